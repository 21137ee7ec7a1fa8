"""Longer bars out of a whole history of shorter ones, at once.

It gives what `longer_bars.py` gives one at a time, but for two things that only time tells: a bar's version
and revision are the highest of its children's.
"""

import numpy as np

from protocol.bars import Bars
from protocol.events import CandleFlag
from protocol.intervals import Times, next_open, opens_of


def roll_up(bars: Bars, interval: int, child_interval: int = 1) -> Bars:
    """Put final bars of one series, oldest first, together into bars of a longer interval.

    Where a bar is missing, nothing was traded. The first bar holds what there is of it; the last one is
    final if its last child is there.
    """
    if not len(bars):
        return bars.copy()
    opens = opens_of(bars["open_ms"], interval)
    firsts = _firsts(opens)
    longer = bars[firsts]
    longer["open_ms"] = opens[firsts]
    for name in ("version", "revision"):
        longer[name] = np.maximum.reduceat(bars[name], firsts)
    for name in ("volume", "quote_volume", "taker_buy", "trades"):
        longer[name] = np.add.reduceat(bars[name], firsts)
    longer["flags"] = _flags(bars, firsts)
    last_ms = int(bars["open_ms"][-1])
    if last_ms + child_interval * 60_000 < next_open(last_ms, interval):
        longer["flags"][-1] &= ~np.uint16(CandleFlag.FINAL)
    # The price of a bar in which nobody traded is one from before it: beside others it says nothing.
    is_silent = np.repeat(longer["trades"] == 0, np.diff(firsts, append=len(bars)))
    _set_prices(longer, bars[(bars["trades"] > 0) | is_silent], interval)
    return longer


def _firsts(opens: Times) -> Times:
    """Return where in a sorted array each value is for the first time."""
    return np.flatnonzero(np.append(True, opens[1:] != opens[:-1]))


def _set_prices(longer: Bars, bars: Bars, interval: int) -> None:
    firsts = _firsts(opens_of(bars["open_ms"], interval))
    longer["open"] = bars["open"][firsts]
    longer["high"] = np.maximum.reduceat(bars["high"], firsts)
    longer["low"] = np.minimum.reduceat(bars["low"], firsts)
    longer["close"] = bars["close"][np.append(firsts[1:], len(bars)) - 1]


def _flags(bars: Bars, firsts: Times) -> Times:
    """A bar is final and the venue's word if all of its children are, and rebuilt if one is."""
    flags = bars["flags"]
    every = np.bitwise_and.reduceat(flags, firsts) & (CandleFlag.FINAL | CandleFlag.REST)
    return every | np.bitwise_or.reduceat(flags, firsts) & CandleFlag.REBUILT
