"""What the tests of bars trade, and bars cut from it in the plainest way there is."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pytest

from processors.bars.bar_row import BarRow
from processors.candles import CandleProcessor
from protocol.bars import BAR, Bars
from protocol.events import CandleFlag, Trade, TradeFlag
from protocol.intervals import MINUTES, open_of
from protocol.market import Bar

NATIVE = "BTCUSDT"
MINUTE = 60_000
HOUR = 3_600_000
NOON = 1_781_265_600_000
"""2026-06-12, a Friday, 12:00 UTC."""
FINAL = int(CandleFlag.FINAL)
REST = int(CandleFlag.FINAL | CandleFlag.REST)
REBUILT = int(CandleFlag.FINAL | CandleFlag.REBUILT)
INTERVALS = sorted(MINUTES.values())


class Numbers(NamedTuple):
    """What a bar states."""

    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    taker_buy: float
    trades: int


def trade(
    trade_id: int, at_ms: int, price: float, quantity: float = 1.0, *, sold: bool = False, count: int = 1
) -> Trade:
    flags = TradeFlag.TAKER_SOLD if sold else 0
    return Trade(7, flags, count, trade_id, at_ms * 1_000, price, quantity)


def processor() -> CandleProcessor:
    candles = CandleProcessor("binance")
    candles.add_symbol(NATIVE)
    return candles


def numbers(row: Sequence[float]) -> Numbers:
    """Read what a row of BAR states."""
    return Numbers(*row[2:9], trades=int(row[9]))


def is_close(one: Numbers, other: Numbers) -> bool:
    return one == pytest.approx(other, rel=1e-9, abs=1e-9)


def cut(trades: Iterable[Trade], interval: int = 1) -> dict[int, Numbers]:
    """Sort trades by id and cut them where bars open."""
    bars: dict[int, Numbers] = {}
    for one in sorted(trades, key=lambda one: one.id):
        open_ms = open_of(one.exchange_us // 1_000, interval)
        price, quantity = one.price, one.quantity
        bought = 0.0 if one.flags & TradeFlag.TAKER_SOLD else quantity
        bar = bars.get(open_ms, Numbers(price, price, price, price, 0.0, 0.0, 0.0, 0))
        bars[open_ms] = Numbers(
            bar.open,
            max(bar.high, price),
            min(bar.low, price),
            price,
            bar.volume + quantity,
            bar.quote_volume + price * quantity,
            bar.taker_buy + bought,
            bar.trades + one.count,
        )
    return bars


def filled(bars: dict[int, Numbers], to_ms: int) -> dict[int, Numbers]:
    """Put flat minutes where nobody traded, up to an opening that does not belong to it any more."""
    every: dict[int, Numbers] = {}
    for open_ms in range(min(bars), to_ms, MINUTE):
        close = every[open_ms - MINUTE].close if every else 0.0
        every[open_ms] = bars.get(open_ms, Numbers(close, close, close, close, 0.0, 0.0, 0.0, 0))
    return every


def rolled(minutes: dict[int, Numbers], interval: int) -> dict[int, Numbers]:
    """Put minutes together into longer bars; beside others, silent ones count for nothing."""
    longer: dict[int, Numbers] = {}
    for open_ms in sorted(minutes):
        one, opened = minutes[open_ms], open_of(open_ms, interval)
        sofar = longer.get(opened)
        if sofar is None or (one.trades and not sofar.trades):
            longer[opened] = one
        elif one.trades or not sofar.trades:
            longer[opened] = Numbers(
                sofar.open,
                max(sofar.high, one.high),
                min(sofar.low, one.low),
                one.close,
                *(a + b for a, b in zip(sofar[4:], one[4:], strict=True)),
            )
    return longer


def venue_bar(open_ms: int, said: Numbers) -> Bar:
    """Say a minute as the venue does."""
    *most, trades = said
    return Bar(NATIVE, 1, open_ms, *most, 0.0, int(trades), -1, -1, True, 0)


def bar(open_ms: int, said: Numbers, flags: int = REST, revision: int = 0) -> BarRow:
    return BarRow(open_ms, 0, *said, revision, flags)


def bars_of(rows: Iterable[BarRow]) -> Bars:
    return np.array(list(rows), BAR)


def flat(price: float) -> Numbers:
    return Numbers(price, price, price, price, 0.0, 0.0, 0.0, 0)


def rising(price: float, volume: float = 1.0) -> Numbers:
    """A bar of some trades, of which every field says another number."""
    return Numbers(price, price + 3, price - 2, price + 1, volume, volume * price, volume / 4, 5)


class Kept:
    """What a reader of the changes has: the newest state of every bar."""

    def __init__(self, candles: CandleProcessor) -> None:
        self.candles = candles
        self.bars: dict[int, dict[int, BarRow]] = {interval: {} for interval in INTERVALS}

    def take(self) -> list[tuple[int, BarRow]]:
        """Take the changes in; return them."""
        changes = [(one.interval, one.row) for one in self.candles.take()]
        for interval, row in changes:
            known = self.bars[interval].get(row.open_ms)
            if known is not None and known.flags & CandleFlag.FINAL:
                assert row.flags & CandleFlag.FINAL, "a final bar runs again"
                if is_close(numbers(known), numbers(row)):
                    assert row.revision == known.revision
                else:
                    assert row.revision == known.revision + 1
            self.bars[interval][row.open_ms] = row
        return changes

    def minutes(self) -> list[tuple[int, int, int]]:
        """Return minute, revision and flags of each 1m bar; the minutes counted from noon."""
        return [
            ((row.open_ms - NOON) // MINUTE, row.revision, row.flags)
            for _, row in sorted(self.bars[1].items())
        ]

    def final(self, interval: int) -> dict[int, BarRow]:
        return {one: row for one, row in self.bars[interval].items() if row.flags & CandleFlag.FINAL}
