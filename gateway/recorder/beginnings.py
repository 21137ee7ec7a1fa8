"""Gives each symbol its past: what its running bars are built on, its extremes, and a chart's first bars.

The rules of this file:
- First of all, for every symbol: the 1m bars of the last hours, the hours of the day, the days of the month;
  the longer bars are right from then on. Then its whole life in months, for Enigma. Then `backfill_bars` of
  every interval, so that no chart is empty.
- What the store has is not fetched again. So after a restart this fetches what was missed meanwhile.
- It is looked through again every `AGAIN_S`: what failed, or was missed since, is fetched then.
"""

import asyncio
from collections.abc import Callable
from enum import IntEnum
from itertools import count
from typing import Final, NamedTuple

import numpy as np
import structlog

from gateway.recorder.archive import FOREVER_MS, Archive
from gateway.recorder.backfill import FAILURES, Backfill
from gateway.recorder.recording import Recording
from gateway.store.history import Span
from protocol.bars import MAX_BARS, Bars, Series
from protocol.events import CandleFlag
from protocol.intervals import MINUTES, MONTH, WEEK, open_of

WORKERS: Final = 3
AGAIN_S: Final = 600.0
RETRY_S: Final = 5.0
MINUTES_MS: Final = 3 * 3_600_000
"""So far back the 1m bars are kept by the candle processor: late trades correct them."""
HOUR: Final = 60
DAY: Final = 1_440


class Rank(IntEnum):
    """What is done first, for all symbols."""

    SEEDS = 0
    LIFE = 1
    CHART = 2


class Step(NamedTuple):
    """What is to be done for a symbol."""

    rank: Rank
    number: int
    recording: Recording
    native: str


log = structlog.get_logger()


class Beginnings:
    """All symbols. Bounded by their number: each waits here at most twice."""

    def __init__(
        self, backfill: Backfill, archive: Archive, backfill_bars: int, now_ms: Callable[[], int]
    ) -> None:
        self._backfill = backfill
        self._archive = archive
        self._backfill_bars = backfill_bars
        self._now_ms = now_ms
        self._steps: asyncio.PriorityQueue[Step] = asyncio.PriorityQueue()
        self._number = count()

    @property
    def waiting(self) -> int:
        return self._steps.qsize()

    def on_symbol(self, recording: Recording, native: str) -> None:
        """React to a symbol that is heard of for the first time."""
        self._put(Rank.SEEDS, recording, native)

    def _put(self, rank: Rank, recording: Recording, native: str) -> None:
        self._steps.put_nowait(Step(rank, next(self._number), recording, native))

    async def run(self, recordings: list[Recording]) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(WORKERS):
                tasks.create_task(self._work(tasks))
            while True:
                await asyncio.sleep(AGAIN_S)
                for recording in recordings:
                    for native in recording.natives:
                        if self._is_live(recording, native):
                            self._put(Rank.CHART, recording, native)

    def _is_live(self, recording: Recording, native: str) -> bool:
        """Say whether a symbol still trades here: of one that was let go nothing is missed."""
        running = recording.candles.running(native, 1)
        return running is not None and running.open_ms > self._now_ms() - AGAIN_S * 1_000

    async def _work(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            rank, _, recording, native = await self._steps.get()
            try:
                match rank:
                    case Rank.SEEDS:
                        await self._begin(recording, native)
                    case Rank.LIFE:
                        await self._tell_life(recording, native)
                    case Rank.CHART:
                        await self._fill_all(recording, native)
            except FAILURES as error:
                log.warning(
                    "recorder.past_not_fetched", native=native, venue=recording.venue, reason=str(error)
                )
                tasks.create_task(self._again(rank, recording, native))

    async def _again(self, rank: Rank, recording: Recording, native: str) -> None:
        await asyncio.sleep(RETRY_S)
        self._put(rank, recording, native)

    async def _begin(self, recording: Recording, native: str) -> None:
        """Tell the processors what they could not hear. Raises FAILURES."""
        for interval, from_ms in seeds_of(self._now_ms()):
            bars = await self._past(Series(recording.venue, native, interval), from_ms)
            recording.candles.seed(native, interval, bars, from_ms)
        self._put(Rank.LIFE if recording.enigma else Rank.CHART, recording, native)

    async def _tell_life(self, recording: Recording, native: str) -> None:
        """Tell the extremes of a symbol's life. Raises FAILURES."""
        assert recording.enigma is not None  # or nobody has asked for this
        parts = [await self._past(Series(recording.venue, native, MONTH), 0)]
        for interval, from_ms in reversed(seeds_of(self._now_ms())):
            parts.append(await self._past(Series(recording.venue, native, interval), from_ms))
        recording.enigma.seed(native, np.concatenate(parts))
        self._put(Rank.CHART, recording, native)

    async def _past(self, series: Series, from_ms: int) -> Bars:
        """Return the final bars of a series from a moment on, and with them what a chart starts with."""
        wanted = Span(min(from_ms, self._first_of_chart(series.interval)), FOREVER_MS)
        await self._backfill.fill(series, wanted)
        bars = await self._archive.read(series, from_ms, FOREVER_MS, MAX_BARS)
        final: Bars = bars[(bars["flags"] & CandleFlag.FINAL) != 0]
        return final

    async def _fill_all(self, recording: Recording, native: str) -> None:
        for interval in MINUTES.values() if self._backfill_bars else ():
            wanted = Span(self._first_of_chart(interval), FOREVER_MS)
            await self._backfill.fill(Series(recording.venue, native, interval), wanted)

    def _first_of_chart(self, interval: int) -> int:
        return max(self._now_ms() - self._backfill_bars * interval * 60_000, 0)


def seeds_of(now_ms: int) -> list[tuple[int, int]]:
    """List the intervals that longer bars are built from, and from when on each is needed."""
    days_from = min(open_of(now_ms, interval) for interval in (3 * DAY, WEEK, MONTH))
    return [
        (1, open_of(now_ms - MINUTES_MS, HOUR)),
        (HOUR, open_of(now_ms - MINUTES_MS, DAY)),
        (DAY, min(days_from, open_of(now_ms - MINUTES_MS, DAY))),
    ]
