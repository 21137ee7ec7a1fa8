"""One bar as a tuple, in the field order of `protocol.bars.BAR`: when two are equal, and what both make."""

from typing import Final, NamedTuple

from protocol.events import CandleFlag
from protocol.market import Bar

MAX_REVISION: Final = 65_535
"""A revision is a u16: it rises no further."""
TOLERANCE: Final = 1e-9
"""Relative. Sums of the same decimals in another order differ in their last bits."""
_FINAL: Final = int(CandleFlag.FINAL)
_REST: Final = int(CandleFlag.REST)
_REBUILT: Final = int(CandleFlag.REBUILT)


class BarRow(NamedTuple):
    open_ms: int
    version: int
    """0 in what a processor says: the recorder numbers its changes itself."""
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    taker_buy: float
    trades: int
    revision: int
    flags: int
    """CandleFlag."""

    @property
    def is_venues(self) -> bool:
        """The venue said so; otherwise trades did."""
        return bool(self.flags & _REST)


def word_of(bar: Bar) -> BarRow:
    """Return what a venue's final bar says."""
    amounts = (bar.volume, bar.quote_volume, bar.taker_buy, bar.trades)
    return BarRow(bar.open_ms, 0, bar.open, bar.high, bar.low, bar.close, *amounts, 0, _FINAL | _REST)


def flat_after(before: BarRow, open_ms: int, flags: int) -> BarRow:
    """Return the bar of a time in which nobody traded."""
    close = before.close
    return BarRow(open_ms, 0, close, close, close, close, 0.0, 0.0, 0.0, 0, 0, flags)


def join(earlier: BarRow, later: BarRow) -> BarRow:
    """Return the running bar of two that follow each other. It is the venue's word if both are.

    The price of a bar in which nobody traded is one from before it: beside one with trades it says nothing.
    """
    open_ms, _, open_, high, low, close, volume, quote_volume, taker_buy, trades, _, flags = earlier
    _, _, open_2, high_2, low_2, close_2, volume_2, quote_volume_2, taker_buy_2, trades_2, _, flags_2 = later
    if (trades and trades_2) or not (trades or trades_2):
        high = high if high > high_2 else high_2
        low = low if low < low_2 else low_2
        close = close_2
    elif trades_2:
        open_, high, low, close = open_2, high_2, low_2, close_2
    # Not BarRow(…): this is made 50,000 times a second, and takes half the time.
    return tuple.__new__(
        BarRow,
        (
            open_ms,
            0,
            open_,
            high,
            low,
            close,
            volume + volume_2,
            quote_volume + quote_volume_2,
            taker_buy + taker_buy_2,
            trades + trades_2,
            0,
            flags & flags_2 & _REST | (flags | flags_2) & _REBUILT,
        ),
    )


def as_running(row: BarRow, open_ms: int) -> BarRow:
    """Return the running bar that holds nothing but this one yet."""
    if row.open_ms == open_ms and not (row.version or row.revision or row.flags & _FINAL):
        return row
    return row._replace(open_ms=open_ms, version=0, revision=0, flags=row.flags & ~_FINAL)


def as_final(row: BarRow, revision: int) -> BarRow:
    """Return a running bar as it is once nothing more belongs to it."""
    return row._replace(revision=revision, flags=row.flags | _FINAL)


def corrected(known: BarRow, better: BarRow) -> BarRow:
    """Return a final bar as it is after a correction, which may turn out to be none."""
    if is_same(known, better):
        return known if known.flags == better.flags else better._replace(revision=known.revision)
    return better._replace(revision=min(known.revision + 1, MAX_REVISION))


def is_same(one: BarRow, other: BarRow, rounding: float = 0.0) -> bool:
    """Say whether two bars state the same. `rounding` is how far amounts may lie apart in any case."""
    return one.trades == other.trades and all(
        abs(a - b) <= max(TOLERANCE * max(abs(a), abs(b)), slack)
        for a, b, slack in (
            (one.open, other.open, 0.0),
            (one.high, other.high, 0.0),
            (one.low, other.low, 0.0),
            (one.close, other.close, 0.0),
            (one.volume, other.volume, rounding),
            (one.quote_volume, other.quote_volume, rounding),
            (one.taker_buy, other.taker_buy, rounding),
        )
    )
