"""Windows of bars for a gateway's clients: put together out of blocks that are kept current.

The rules of this file:
- A window is every bar that opens in [from, to), and at least `countback` bars that open before `to`. It is
  whole or it is refused. With a countback, an empty one means that there is nothing before `to`.
- What blocks hold that are good (`blocks.py`) is taken from them; what is missing is asked of the recorder,
  whole blocks at a time and newest first. A window with fewer bars than `countback`, although history goes on
  before it, is asked for as it is, in one question: that is how thin series stay cheap.
- Batches that were missed, a recorder that began anew and a bus that was away empty the cache.
- Where the recorder has no answer, what it has left in Redis (`cached.py`) is one, if it is whole. It leaves
  what it is asked for: a present block is asked for again every `ASK_AGAIN_S`, though it is current.
"""

import time
from collections.abc import Callable
from math import inf
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import structlog

from gateway.cache.cache import Cache
from gateway.cache.memory import MemoryCache
from gateway.history.blocks import (
    BLOCK_BARS,
    MINUTE_MS,
    Block,
    Held,
    block_ms,
    cut,
    held_from,
    is_settled,
    joined,
)
from gateway.history.cache import BarCache
from gateway.history.cached import CachedHistory
from gateway.history.questions import MAX_WINDOW_BARS, HistoryUnavailable, Questions, Together, WindowTooLong
from gateway.history.voices import Voices
from processors.bus import Bus
from protocol import subjects
from protocol.bars import AnswerState, BarsAnswer, BarsQuery
from protocol.batches import decode_batch
from protocol.errors import ProtocolError
from protocol.events import CandleFlag, Kind, SeriesKey
from protocol.symbols import SymbolTable

CACHE_BYTES: Final = 128 * 1024 * 1024
BLOCKS_A_QUESTION: Final = 16
"""8,192 bars, which the recorder has room for in one answer."""
ASK_AGAIN_S: Final = 300.0
"""The recorder leaves what was asked for in the last ten minutes."""
WANTED_S: Final = 70.0
"""Charts ask every second to every minute."""

log = structlog.get_logger()


class Window(NamedTuple):
    """An answer, oldest bar first."""

    key: SeriesKey
    as_of_us: int
    """It holds every change up to this version."""
    last_id: int
    """The newest trade in its last bar, which is running; 0: not known."""
    version: int
    """When a bar in it, or right beside it, changed last."""
    is_settled: bool
    """All of it was final a while ago: it changes only by a correction."""
    bars: Held


class History:
    """Answers with windows of bars. `start` first."""

    def __init__(
        self, bus: Bus, symbols: SymbolTable, cache_bytes: int = CACHE_BYTES, shared: Cache | None = None
    ) -> None:
        """`shared` is where the recorder leaves what it knows last, if it does."""
        self.clearings = 0
        self.on_wanted: Callable[[], None] = lambda: None
        """Called when `wanted` has grown."""
        self.cache = BarCache(cache_bytes, inf if shared is None else ASK_AGAIN_S)
        self.cached = CachedHistory(MemoryCache() if shared is None else shared)
        self.questions = Questions(bus, self.is_live)
        self._bus = bus
        self._symbols = symbols
        self._voices = Voices()
        self._begins_ms: dict[SeriesKey, int] = {}
        self._together = Together()
        self._asked_s: dict[int, float] = {}

    async def start(self) -> None:
        """Subscribe; from here on what is cached stays current."""
        await self._bus.subscribe(subjects.ALL_RECORDED, self._on_recorded)
        self._bus.on_reconnect(lambda: self._clear("bus_was_away"))

    # What is asked

    async def bars(
        self, venue: str, native: str, interval: int, from_ms: int, to_ms: int, countback: int = 0
    ) -> Window:
        """Return the bars of a window. Raises HistoryUnavailable or WindowTooLong."""
        instrument = self._symbols.by_native(venue, native)
        if instrument is None:
            raise HistoryUnavailable(f"{venue} does not list {native} any more")
        if countback > MAX_WINDOW_BARS:
            raise WindowTooLong
        key = SeriesKey(instrument.id, interval)
        query = BarsQuery(
            venue=venue, native=native, interval=interval, from_ms=from_ms, to_ms=to_ms, countback=countback
        )
        if to_ms > now_ms() - MINUTE_MS:
            self._want(instrument.id)
        try:
            return await self._from_recorder(key, query)
        except HistoryUnavailable:
            if cached := await self.cached.bars(instrument, query):
                as_of_us, bars = cached
                return Window(key, as_of_us, 0, as_of_us, False, bars)
            raise

    async def _from_recorder(self, key: SeriesKey, query: BarsQuery) -> Window:
        blocks, is_from_beginning = await self._collect(key, query)
        window = self._window(key, query, blocks)
        if is_from_beginning or len(window.bars) >= query.countback:
            return window
        return await self._together.once(query, lambda: self._ask_as_it_is(key, query))

    async def enigma(self, venue: str, native: str) -> dict[str, Any]:
        """Return what the recorder knows of a symbol's extremes. Raises HistoryUnavailable."""
        try:
            return await self.questions.enigma(venue, native)
        except HistoryUnavailable:
            instrument = self._symbols.by_native(venue, native)
            if instrument and (cached := await self.cached.level(instrument)):
                return cached
            raise

    def _want(self, symbol_id: int) -> None:
        is_new = symbol_id not in self._asked_s
        self._asked_s[symbol_id] = time.monotonic()
        if is_new:
            self.on_wanted()

    def wanted(self) -> set[int]:
        """Return the ids of symbols that charts go on asking for: to be carried as if they were watched."""
        since_s = time.monotonic() - WANTED_S
        self._asked_s = {one: asked_s for one, asked_s in self._asked_s.items() if asked_s >= since_s}
        return set(self._asked_s)

    def is_live(self, venue: str) -> bool:
        """Say whether the recorder is heard of this venue."""
        return self._voices.is_live(venue, time.monotonic())

    # Windows out of blocks

    async def _collect(self, key: SeriesKey, query: BarsQuery) -> tuple[list[Block], bool]:
        """Return the blocks of a window, oldest first, and whether there is nothing before them."""
        first, number = plan_blocks(query, now_ms())
        newest_first: list[Block] = []
        held = 0
        while number >= max(first, self._first_block(key)):
            block = self._cached(key, number, query.venue)
            if block:
                found = [block]
            else:
                found = await self._fetch_down(key, query, number, first)
            newest_first += found
            number -= len(found)
            held += sum(len(one.bars()) for one in found)
            # The first and the last block reach out of the window.
            if held > MAX_WINDOW_BARS + 2 * BLOCK_BARS:
                raise WindowTooLong
        return newest_first[::-1], number < self._first_block(key)

    def _first_block(self, key: SeriesKey) -> int:
        """Return the number of the block before which the series has nothing, as far as is known."""
        return self._begins_ms.get(key, -1) // block_ms(key.interval)

    def _cached(self, key: SeriesKey, number: int, venue: str) -> Block | None:
        return self.cache.get(key, number, time.monotonic(), is_live=self.is_live(venue))

    async def _fetch_down(self, key: SeriesKey, query: BarsQuery, last: int, lowest: int) -> list[Block]:
        """Ask for a block and for those right before it that are missing too; newest first."""
        first = last
        lowest = max(lowest, self._first_block(key), last - BLOCKS_A_QUESTION + 1)
        while first > lowest and self._cached(key, first - 1, query.venue) is None:
            first -= 1
        return await self._together.once((key, first, last), lambda: self._fetch(key, query, first, last))

    async def _fetch(self, key: SeriesKey, query: BarsQuery, first: int, last: int) -> list[Block]:
        length_ms = block_ms(key.interval)
        whole = msgspec.structs.replace(
            query, from_ms=first * length_ms, to_ms=(last + 1) * length_ms, countback=0
        )
        with self.cache.fetching(key) as fetch:
            answer = await self.questions.bars(whole)
            self._note_beginning(key, whole, answer)
            blocks = []
            for number, bars in cut(answer.bars, key.interval, first, last).items():
                last_id = answer.last_id if number == last else 0
                block = Block(bars, (number + 1) * length_ms, answer.as_of_us, last_id)
                self.cache.keep(key, number, block, fetch, time.monotonic())
                blocks.append(block)
        return blocks[::-1]

    def _window(self, key: SeriesKey, query: BarsQuery, blocks: list[Block]) -> Window:
        """Cut a window out of its blocks."""
        heard = self._voices.version(query.venue)
        as_of_us = min((max(one.as_of_us, one.is_current * heard) for one in blocks), default=heard)
        bars = joined([one.bars() for one in blocks])
        end = int(np.searchsorted(bars["open_ms"], query.to_ms))
        start = int(np.searchsorted(bars["open_ms"], query.from_ms))
        bars = bars[max(min(start, end - query.countback), 0) : end]
        if len(bars) > MAX_WINDOW_BARS:
            raise WindowTooLong
        version = max((one.version for one in blocks), default=0)
        return _seal(key, query, as_of_us, blocks[-1].last_id if blocks else 0, version, bars)

    async def _ask_as_it_is(self, key: SeriesKey, query: BarsQuery) -> Window:
        """Ask for exactly this window, and keep nothing of it."""
        answer = await self.questions.bars(query)
        self._note_beginning(key, query, answer)
        version = int(answer.bars["version"].max()) if len(answer.bars) else 0
        return _seal(key, query, answer.as_of_us, answer.last_id, version, held_from(answer.bars))

    def _note_beginning(self, key: SeriesKey, query: BarsQuery, answer: BarsAnswer) -> None:
        if AnswerState.BEGINNING in answer.state:
            nothing_before = min(query.to_ms, now_ms())
            self._begins_ms[key] = int(answer.bars[0]["open_ms"]) if len(answer.bars) else nothing_before

    # What is heard

    def _on_recorded(self, subject: str, payload: bytes) -> None:
        try:
            batch = decode_batch(payload)
        except ProtocolError as error:
            log.warning("history.bad_batch", subject=subject, error=str(error))
            self._clear("bad_batch")
            return
        now_s = time.monotonic()
        if cause := self._voices.hear(subject, batch, now_s):
            self._clear(cause)
        for frame in batch.frames:
            if frame.kind is Kind.CANDLE and len(frame.records):
                self.cache.on_candles(frame.records, frame.time_us, now_s)

    def _clear(self, cause: str) -> None:
        log.info("history.cache_cleared", cause=cause, blocks=len(self.cache))
        self.clearings += 1
        self.cache.clear()
        self._begins_ms.clear()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def plan_blocks(query: BarsQuery, at_ms: int) -> tuple[int, int]:
    """Say which blocks hold a window, first and last, where every interval has its bar."""
    length_ms = query.interval * MINUTE_MS
    right_ms = min(query.to_ms, at_ms + length_ms)  # no bar opens later
    left_ms = query.from_ms
    if query.countback:
        left_ms = min(left_ms, right_ms - (query.countback + 1) * length_ms)
    return max(left_ms, 0) // block_ms(query.interval), (right_ms - 1) // block_ms(query.interval)


def _seal(key: SeriesKey, query: BarsQuery, as_of_us: int, last_id: int, version: int, bars: Held) -> Window:
    is_running = bool(len(bars)) and not int(bars[-1]["flags"]) & CandleFlag.FINAL
    settled = is_settled(bars, query.to_ms, as_of_us)
    return Window(key, as_of_us, last_id if is_running else 0, version, settled, bars)
