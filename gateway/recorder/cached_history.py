"""Keeps in Redis what gateways go on with when the recorder does not answer: newest bars, Enigma levels.

The rules of this file:
- Of a series that somebody asked for in the last `ASKED_S` the newest `BARS` bars are written: when one of
  them has become final or was corrected, and every `REWRITE_S` in any case. They live for `BARS_LIFE_S`, so
  what can be read there is never much older than the recorder's last word.
- Levels that have moved are written every `LEVELS_EVERY_S`, and all of them every `LEVELS_REWRITE_S`.
- A round waits for the store and for Redis, and nothing waits for it: what changes meanwhile is for the next
  one. While Redis is not well rounds are skipped and counted. After that all is written: it may be lost.

Full, at `MOST_SERIES`: the series that nobody has asked for longest is written no more.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Final, NamedTuple

import numpy as np
import structlog

from gateway.cache import keys
from gateway.cache.cache import Cache
from gateway.cache.rounds import Rounds
from gateway.cache.values import CachedBar, CachedBars, CachedLevel, encode_value
from gateway.recorder.backfill import FAILURES
from gateway.recorder.recording import Recording
from protocol.bars import AnswerState, BarsAnswer, BarsQuery, Series
from protocol.symbols import Instrument, SymbolTable

ROUND_S: Final = 1.0
BARS: Final = 500
ASKED_S: Final = 600.0
REWRITE_S: Final = 60.0
BARS_LIFE_S: Final = 300.0
MOST_SERIES: Final = 500
LEVELS_EVERY_S: Final = 5.0
LEVELS_REWRITE_S: Final = 600.0
LEVEL_LIFE_S: Final = 86_400.0
LEVELS_AT_ONCE: Final = 100
EVER_MS: Final = 2**53
"""Later than any bar opens."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Asked:
    """A series that somebody asks for."""

    asked_s: float
    written_s: float = -inf
    has_changed: bool = True


class _Level(NamedTuple):
    """What was written of a symbol last."""

    level: CachedLevel
    at_s: float


class CachedHistory:
    """All venues of the recorder."""

    def __init__(
        self,
        cache: Cache,
        recordings: Mapping[str, Recording],
        symbols: SymbolTable,
        read: Callable[[BarsQuery], Awaitable[BarsAnswer]],
    ) -> None:
        """`read` answers with bars; it raises FAILURES."""
        self._cache = cache
        self._recordings = recordings
        self._symbols = symbols
        self._read = read
        self._asked: OrderedDict[Series, _Asked] = OrderedDict()
        self._levels: dict[int, _Level] = {}
        """By symbol id. Bounded by the symbols that are recorded."""
        self._levels_at_s = -inf
        self._rounds = Rounds("history")

    def on_asked(self, series: Series) -> None:
        """React to somebody who asks for the newest bars of a series."""
        now_s = time.monotonic()
        one = self._asked.setdefault(series, _Asked(now_s))
        one.asked_s = now_s
        self._asked.move_to_end(series)
        if len(self._asked) > MOST_SERIES:
            self._asked.popitem(last=False)

    def on_final(self, series: Series) -> None:
        """React to a bar that has become final, or was corrected."""
        if one := self._asked.get(series):
            one.has_changed = True

    def describe(self) -> dict[str, Any]:
        return self._rounds.describe() | {"series": len(self._asked)}

    async def run(self) -> None:
        """Write once a second. Until cancelled."""
        while True:
            await self.write(time.monotonic())
            await asyncio.sleep(ROUND_S)

    async def write(self, now_s: float) -> None:
        """Write what is due."""
        if not (await self._write_levels(now_s) and await self._write_series(now_s)):
            self._levels.clear()
            self._levels_at_s = -inf
            self._rounds.on_skipped()

    # Bars

    async def _write_series(self, now_s: float) -> bool:
        """Write the series that are due, and say whether Redis is well, and so has them."""
        while self._asked and now_s - next(iter(self._asked.values())).asked_s > ASKED_S:
            self._asked.popitem(last=False)
        for series, one in list(self._asked.items()):
            if one.has_changed or now_s - one.written_s >= REWRITE_S:
                if not self._is_well():
                    return False
                one.has_changed, one.written_s = False, now_s
                if not await self._put(await self._bars_of(series), BARS_LIFE_S):
                    one.has_changed = True
                    return False
        return True

    async def _bars_of(self, series: Series) -> dict[str, bytes]:
        instrument = self._symbols.by_native(series.venue, series.native)
        if instrument is None:
            return {}
        query = BarsQuery(**series._asdict(), from_ms=EVER_MS, to_ms=EVER_MS, countback=BARS)
        try:
            answer = await self._read(query)
        except FAILURES as error:
            log.debug("recorder.bars_not_cached", **series._asdict(), reason=str(error))
            return {}
        return {keys.bars(instrument, series.interval): encode_value(cached_bars(answer, instrument))}

    # Levels

    async def _write_levels(self, now_s: float) -> bool:
        """Write the levels that are due, and say whether Redis is well, and so has them."""
        if now_s - self._levels_at_s < LEVELS_EVERY_S:
            return True
        self._levels_at_s = now_s
        due = [(one, level) for one, level in self._known_levels() if self._is_due(one, level, now_s)]
        for start in range(0, len(due), LEVELS_AT_ONCE):
            some = due[start : start + LEVELS_AT_ONCE]
            values = {keys.enigma(one): encode_value(level) for one, level in some}
            if not await self._put(values, LEVEL_LIFE_S):
                return False
            self._levels |= {one.id: _Level(level, now_s) for one, level in some}
        return True

    def _is_due(self, instrument: Instrument, level: CachedLevel, now_s: float) -> bool:
        last = self._levels.get(instrument.id)
        return last is None or last.level != level or now_s - last.at_s >= LEVELS_REWRITE_S

    def _known_levels(self) -> Iterator[tuple[Instrument, CachedLevel]]:
        for venue, recording in self._recordings.items():
            for native in recording.natives if recording.enigma else ():
                instrument = self._symbols.by_native(venue, native)
                if instrument and recording.enigma and (known := recording.enigma.describe(native)):
                    yield instrument, CachedLevel(**known, simulated=instrument.simulated)

    async def _put(self, values: Mapping[str, bytes], life_s: float) -> bool:
        if not self._is_well():
            return False
        await self._cache.put(values, life_s)
        if not self._is_well():
            return False
        self._rounds.on_written(len(values))
        return True

    def _is_well(self) -> bool:
        return not self._cache.reason


def cached_bars(answer: BarsAnswer, instrument: Instrument) -> CachedBars:
    """Say the bars of an answer. Volumes are put back on the grid of lots, which sums of floats have left."""
    bars = answer.bars
    prices = [bars[name].tolist() for name in ("open", "high", "low", "close")]
    volumes = np.round(bars["volume"], instrument.quantity_precision).tolist()
    rows = zip((bars["open_ms"] // 1_000).tolist(), *prices, volumes, strict=True)
    is_from_beginning = AnswerState.BEGINNING in answer.state
    cached = [CachedBar(*row) for row in rows]
    return CachedBars(answer.as_of_us, is_from_beginning, cached, instrument.simulated)
