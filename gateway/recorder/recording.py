"""What one venue trades, on its way to bars: from what is heard to news with a version. Pure.

The rules of this file:
- All changes of one frame have one version, and frames come one after the other: who has read a frame has
  every change up to its version.
- A change is in memory before it is news, so that no answer lacks what was announced.
- Final bars and corrections are urgent, running bars wait for the next turn.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from gateway.recorder.memory import FINAL, Memory, as_bars
from gateway.recorder.versions import VersionClock
from processors.bars.bar_row import BarRow
from processors.candles import CandleProcessor, Changed, Doubt
from processors.enigma import EnigmaProcessor
from protocol.bars import Bars, Series
from protocol.events import Enigma, Kind, Trade, TradeFlag
from protocol.frames import LAYOUTS, Records
from protocol.market import Bar

LONGER_EVERY_US: Final = 1_000_000
"""How often running bars of more than a minute are put together and told; minutes: every turn."""
MAX_A_FRAME: Final = 4_000
"""Bars in one frame: 288 kB, well below what a NATS server takes."""
_RECOVERED: Final = int(TradeFlag.RECOVERED)  # an IntFlag costs a microsecond each time
SAME_FIELDS: Final = ("open_ms", "open", "high", "low", "close", "volume", "trades", "taker_buy", "revision")
"""Those that a bar and a CANDLE record have alike."""


class News(NamedTuple):
    """What goes out in one frame of a kind."""

    version: int
    series: list[Series]
    candles: Records
    """CANDLE records, one for each entry of `series`."""
    enigmas: list[Enigma]


class Recording:
    """One venue."""

    def __init__(self, venue: str, memory: Memory, clock: VersionClock, *, enigma: bool) -> None:
        self.venue = venue
        self.candles = CandleProcessor(venue)
        self.enigma = EnigmaProcessor(venue) if enigma else None
        self.on_urgent: Callable[[], None] = lambda: None
        """Called when something is final, or was corrected: it should not wait for its turn."""
        self.on_final: Callable[[Series, int], None] = lambda _series, _open_ms: None
        """Called with each bar that is final, or was corrected, once it is in memory."""
        self.on_ticks: Callable[[str, str, Sequence[Trade]], None] | None = None
        """Called with venue, symbol and trades, if single trades are kept as well."""
        self.last_ids: dict[str, int] = {}
        """The newest trade of each symbol that its running bars in memory hold."""
        self._memory = memory
        self._clock = clock
        self._ids: dict[str, int] = {}
        self._natives: dict[int, str] = {}
        self._series: dict[tuple[str, int], Series] = {}
        self._corrections: list[Changed] = []
        self._all_taken_us = 0

    # In

    def has_symbol(self, native: str) -> bool:
        """Say whether this symbol is recorded."""
        return self.candles.has_symbol(native)

    def add_symbol(self, native: str, symbol_id: int) -> None:
        """Record a symbol from now on."""
        self._know(native, symbol_id)
        self.candles.add_symbol(native)

    def _know(self, native: str, symbol_id: int) -> None:
        self._ids[native] = symbol_id
        self._natives[symbol_id] = native

    @property
    def natives(self) -> list[str]:
        return [native for native in self._ids if self.has_symbol(native)]

    def native_of(self, symbol_id: int) -> str | None:
        return self._natives.get(symbol_id)

    def on_trades(self, native: str, trades: Sequence[Trade]) -> None:
        """Take in trades that were not here before, by id."""
        self.candles.on_trades(native, trades)
        if self.enigma is not None:
            self.enigma.on_trades(native, trades)
        if self.on_ticks is not None:
            self.on_ticks(self.venue, native, trades)
        if trades[0].flags & _RECOVERED:
            self.on_urgent()

    def on_gap(self, native: str, from_us: int, to_us: int) -> None:
        self.candles.on_gap(native, from_us, to_us)

    def on_venue_bar(self, bar: Bar) -> bool:
        """Take in a final 1m bar of the venue. False: it is older than what is kept here."""
        is_of_use = self.candles.on_venue_bar(bar)
        self.on_urgent()
        return is_of_use

    def correct(self, native: str, symbol_id: int, interval: int, rows: Sequence[BarRow]) -> None:
        """Announce bars that were fetched: they were missed, or the store had them otherwise.

        The symbol need not be recorded.
        """
        self._know(native, symbol_id)
        self._corrections += [Changed(native, interval, row) for row in rows]
        self.on_urgent()

    def on_time(self, now_ms: int) -> list[Doubt]:
        """Close what has ended; return what the venue should be asked for."""
        return self.candles.on_time(now_ms)

    # Out

    def flush(self, now_us: int) -> Iterator[News]:
        """Number what has changed, put it into memory, and hand it out."""
        corrections, self._corrections = self._corrections, []
        minutes_only = now_us - self._all_taken_us < LONGER_EVERY_US
        if not minutes_only:
            self._all_taken_us = now_us
        changes = [*corrections, *self.candles.take(minutes_only=minutes_only)]
        for start in range(0, len(changes), MAX_A_FRAME):
            yield self._keep(changes[start : start + MAX_A_FRAME], now_us)
        if self.enigma is None:
            return
        # As of the clock's next version, which is taken only if there is anything.
        if enigmas := self.enigma.take(max(self._clock.last_us + 1, now_us), self._ids):
            yield News(self._clock.next(now_us), [], as_candles(as_bars([]), [], []), enigmas)

    def _keep(self, changes: Sequence[Changed], now_us: int) -> News:
        version = self._clock.next(now_us)
        series, rows = [], []
        for native, interval, row in changes:
            one = self._series_of(native, interval)
            versioned = BarRow(row[0], version, *row[2:])
            self._memory.put(one, versioned)
            if row.flags & FINAL:
                self.on_final(one, row.open_ms)
            series.append(one)
            rows.append(versioned)
        for native in {one.native for one in series if self.has_symbol(one.native)}:
            self.last_ids[native] = self.candles.last_id(native)
        ids = [self._ids[one.native] for one in series]
        return News(version, series, as_candles(as_bars(rows), ids, [one.interval for one in series]), [])

    def _series_of(self, native: str, interval: int) -> Series:
        one = self._series.get((native, interval))
        if one is None:
            one = self._series[native, interval] = Series(self.venue, native, interval)
        return one

    def describe(self) -> dict[str, Any]:
        return {"symbols": len(self.natives), "differences": self.candles.differences}


def as_candles(bars: Bars, ids: Sequence[int], intervals: Sequence[int]) -> Records:
    """Say bars as CANDLE records."""
    candles = np.zeros(len(bars), LAYOUTS[Kind.CANDLE].dtype)
    candles["symbol_id"] = ids
    candles["interval"] = intervals
    candles["flags"] = bars["flags"]
    for field in SAME_FIELDS:
        candles[field] = bars[field]
    return candles
