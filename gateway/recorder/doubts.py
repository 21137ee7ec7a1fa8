"""What of the recorded is certain, and what the venue is asked about.

The rules of this file:
- A minute is in doubt if the venue's bar did not come, or its trades came too late to count them here.
- Doubts about one symbol are one span, asked in one request. It is asked again until the venue answers; if it
  lacks some of it, `ATTEMPTS` times: then that stays as we recorded it.
- What the candle processor still keeps goes through it, so that longer bars follow. Older minutes are
  compared and corrected in the store, and so are the longer bars that hold them.
- A final bar is covered, so that nobody fetches it. One that holds a minute in doubt is handed out like the
  others, but the store does not have it for certain: after a crash it is fetched.
"""

import asyncio
import random
from collections.abc import Mapping
from typing import Final, TypeAlias

import structlog

from gateway.feeds.backoff import Backoff
from gateway.feeds.errors import Refused
from gateway.recorder.backfill import FAILURES, Backfill, KlineSource
from gateway.recorder.coverage import Coverage
from gateway.recorder.recording import Recording
from gateway.store import spans
from gateway.store.history import Span
from processors.candles import Doubt
from protocol.bars import Series
from protocol.intervals import MINUTES, next_open, open_of
from protocol.market import Bar

ASKS_AT_ONCE: Final = 4
ATTEMPTS: Final = 5
FIRST_RETRY_MS: Final = 1_000
LONGEST_RETRY_MS: Final = 30_000
_DENIED: Final = (400, 404)
"""What a venue says to a question that it will never answer."""
MINUTE_MS: Final = 60_000
MOST_BARS: Final = 1_000
"""In one question, and in one doubt. What is older than that is fetched like all that is not covered."""
Key: TypeAlias = tuple[str, str]
"""Venue and native symbol."""

log = structlog.get_logger()


class Doubts:
    """Bounded by the symbols: one span each."""

    def __init__(
        self,
        sources: Mapping[str, KlineSource],
        backfill: Backfill,
        coverage: Coverage,
    ) -> None:
        self.settled = 0
        self._sources = sources
        self._backfill = backfill
        self._coverage = coverage
        self._open: dict[Key, Span] = {}
        self._held: dict[Key, dict[Series, list[Span]]] = {}
        """The bars that became final while they were in doubt."""
        self._turns = asyncio.Semaphore(ASKS_AT_ONCE)
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def waiting(self) -> int:
        return len(self._open)

    def on_final(self, series: Series, open_ms: int) -> None:
        """React to a bar that became final, or was corrected."""
        key, bar = (series.venue, series.native), Span(open_ms, next_open(open_ms, series.interval))
        doubt = self._open.get(key)
        if doubt is None or doubt.from_ms >= bar.to_ms or doubt.to_ms <= bar.from_ms:
            self._coverage.note(series, bar)
            return
        self._coverage.assume(series, bar)
        held = self._held.setdefault(key, {})
        held[series] = spans.add(held.get(series, []), bar)

    async def run(self) -> None:
        """Ask until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                await asyncio.Event().wait()
            finally:
                self._tasks = None

    def on_doubts(self, recording: Recording, doubts: list[Doubt]) -> None:
        """Ask about them; after `run` has ended, only remember them: the next recorder fetches these bars."""
        for native, from_ms, to_ms in doubts:
            from_ms = max(from_ms, to_ms - MOST_BARS * MINUTE_MS)
            key = (recording.venue, native)
            known = self._open.get(key)
            if known is not None:
                self._open[key] = Span(min(known.from_ms, from_ms), max(known.to_ms, to_ms))
            else:
                self._open[key] = Span(from_ms, to_ms)
                if self._tasks is not None:
                    self._tasks.create_task(self._settle(recording, native))

    async def _settle(self, recording: Recording, native: str) -> None:
        """Ask about one symbol until nothing is in doubt, or no more can be had."""
        key, attempt, backoff = (recording.venue, native), 0, Backoff(FIRST_RETRY_MS, LONGEST_RETRY_MS)
        while True:
            span = self._open[key]
            try:
                async with self._turns:
                    is_settled = await self._ask(recording, native, span)
            except FAILURES as error:
                is_settled = False
                attempt += isinstance(error, Refused) and error.status in _DENIED
                log.info("recorder.venue_not_asked", native=native, reason=str(error))
            else:
                attempt += not is_settled
            if self._open[key] != span:  # more has come into doubt meanwhile
                attempt = 0
            elif is_settled or attempt >= ATTEMPTS:
                break
            await asyncio.sleep(backoff.next_delay_ms(random.random()) / 1_000)
        del self._open[key]
        self.settled += 1
        for series, bars in self._held.pop(key, {}).items():
            for bar in bars:
                self._coverage.note(series, bar)

    async def _ask(self, recording: Recording, native: str, span: Span) -> bool:
        """Ask for the bars of a span; say whether all of them have come."""
        is_whole = True
        for from_ms in range(span.from_ms, span.to_ms, MOST_BARS * MINUTE_MS):
            to_ms = min(from_ms + MOST_BARS * MINUTE_MS, span.to_ms)
            count = (to_ms - from_ms) // MINUTE_MS
            bars = await self._sources[recording.venue].klines(native, 1, from_ms, to_ms, count)
            final = [bar for bar in bars if bar.final]
            too_old = [bar for bar in final if not recording.on_venue_bar(bar)]
            if too_old:
                await self._correct_old(recording, native, too_old)
            is_whole = is_whole and len(final) >= count
        return is_whole

    async def _correct_old(self, recording: Recording, native: str, bars: list[Bar]) -> None:
        """Compare every interval's bars that hold these minutes with the venue's."""
        for interval in MINUTES.values():
            series = Series(recording.venue, native, interval)
            span = Span(open_of(bars[0].open_ms, interval), next_open(bars[-1].open_ms, interval))
            await self._backfill.fetch_again(series, span)
