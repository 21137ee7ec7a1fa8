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
MOST_BARS: Final = 1_000
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
        self._final_to: dict[Series, int] = {}
        self._open: dict[Key, Span] = {}
        self._turns = asyncio.Semaphore(ASKS_AT_ONCE)
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def waiting(self) -> int:
        return len(self._open)

    def on_final(self, series: Series, open_ms: int) -> None:
        """React to a bar that became final, or was corrected."""
        to_ms = next_open(open_ms, series.interval)
        self._final_to[series] = max(self._final_to.get(series, 0), to_ms)
        is_doubtful = self._is_doubtful(series, open_ms, to_ms)
        (self._coverage.assume if is_doubtful else self._coverage.note)(series, Span(open_ms, to_ms))

    def _is_doubtful(self, series: Series, open_ms: int, to_ms: int) -> bool:
        doubt = self._open.get((series.venue, series.native))
        return doubt is not None and doubt.from_ms < to_ms and doubt.to_ms > open_ms

    async def run(self) -> None:
        """Ask until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await asyncio.Event().wait()

    def on_doubts(self, recording: Recording, doubts: list[Doubt]) -> None:
        for native, from_ms, to_ms in doubts:
            key = (recording.venue, native)
            known = self._open.get(key)
            if known is not None:
                self._open[key] = Span(min(known.from_ms, from_ms), max(known.to_ms, to_ms))
            elif self._tasks is not None:
                self._open[key] = Span(from_ms, to_ms)
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
        self._cover(recording.venue, native, span)

    async def _ask(self, recording: Recording, native: str, span: Span) -> bool:
        """Ask for the bars of a span; say whether all of them have come."""
        source = self._sources[recording.venue]
        from_ms = max(span.from_ms, span.to_ms - MOST_BARS * 60_000)
        bars = await source.klines(native, 1, from_ms, span.to_ms, MOST_BARS)
        final = [bar for bar in bars if bar.final]
        too_old = [bar for bar in final if not recording.on_venue_bar(bar)]
        if too_old:
            await self._correct_old(recording, native, too_old)
        return len(final) >= (span.to_ms - from_ms) // 60_000

    async def _correct_old(self, recording: Recording, native: str, bars: list[Bar]) -> None:
        """Compare every interval's bars that hold these minutes with the venue's."""
        for interval in MINUTES.values():
            series = Series(recording.venue, native, interval)
            span = Span(open_of(bars[0].open_ms, interval), next_open(bars[-1].open_ms, interval))
            await self._backfill.fetch_again(series, span)

    def _cover(self, venue: str, native: str, span: Span) -> None:
        """Cover the bars that were in doubt, as far as they have been recorded."""
        for interval in MINUTES.values():
            series = Series(venue, native, interval)
            to_ms = min(next_open(span.to_ms - 1, interval), self._final_to.get(series, 0))
            self._coverage.note(series, Span(open_of(span.from_ms, interval), to_ms))
