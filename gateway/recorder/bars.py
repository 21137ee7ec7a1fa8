"""Answers `request.bars`: what the archive has, after fetching from the venue what it lacks.

The rules of this file:
- A window that is not covered is fetched before it is answered, for at most `FETCH_S`. If that is not enough
  the fetch goes on, and whoever asked is told to ask again. A hole is never handed out as if it were none.
- One answer has the newest `MAX_BARS` of its window, and only those are fetched: the asker goes on there.
- An answer is composed without a pause between its version and its bars: what changes later comes on
  `recorded.<venue>` with a higher one.
- A question after a version fetches nothing: its asker holds the rest.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

from gateway.recorder.archive import Archive
from gateway.recorder.backfill import FAILURES, Backfill
from gateway.recorder.coverage import Coverage
from gateway.recorder.recording import Recording
from gateway.recorder.versions import VersionClock
from gateway.registry import Registry
from gateway.store.history import Span
from processors.bus import SlowEndpoint, Unavailable
from protocol import subjects
from protocol.bars import (
    MAX_BARS,
    AnswerState,
    Bars,
    BarsAnswer,
    BarsQuery,
    Series,
    encode_answer,
    parse_query,
)
from protocol.errors import BadMessage
from protocol.intervals import next_open, open_of

FETCH_S: Final = 4.0
NEWEST_MS: Final = 60_000
"""Who asks for bars up to so long ago, asks for the newest."""
WIDER: Final = 4
"""A span in which there were fewer bars than wanted is widened to so many times its length."""


class BarsAnswers:
    def __init__(
        self,
        archive: Archive,
        coverage: Coverage,
        backfill: Backfill,
        recordings: Mapping[str, Recording],
        registry: Registry,
        clock: VersionClock,
        now_ms: Callable[[], int],
    ) -> None:
        self.answered = 0
        self.on_asked: Callable[[Series], None] = lambda _series: None
        """Called with each series of which somebody has asked for the newest bars, and got them."""
        self._archive = archive
        self._coverage = coverage
        self._backfill = backfill
        self._recordings = recordings
        self._registry = registry
        self._clock = clock
        self._now_ms = now_ms

    def endpoint(self) -> SlowEndpoint:
        return SlowEndpoint("bars", subjects.REQUEST_BARS, self._answer)

    async def _answer(self, _subject: str, payload: bytes) -> bytes:
        try:
            query = parse_query(payload)
        except BadMessage as error:
            raise KeyError(f"not a question for bars: {error}") from None
        recording = self._recordings.get(query.venue)
        if recording is None or self._registry.table.by_native(query.venue, query.native) is None:
            raise KeyError(f"{query.venue} {query.native}")
        try:
            answer = await self.answer(query)
        except FAILURES as error:
            raise Unavailable(str(error)) from None
        self.answered += 1
        if query.to_ms > self._now_ms() - NEWEST_MS and not query.changed_after_us:
            self.on_asked(query.series)
        return encode_answer(answer)

    async def answer(self, query: BarsQuery) -> BarsAnswer:
        """Return the bars of a window. Raises FAILURES."""
        if query.changed_after_us:
            return await self._changed(query)
        window, deadline_s = self._window(query), time.monotonic() + FETCH_S
        while True:
            window = await self._filled(query.series, window, deadline_s)
            bars = await self._archive.read(query.series, window.from_ms, window.to_ms, MAX_BARS + 1)
            # No await from here on.
            if not window.from_ms or len(bars) > MAX_BARS:
                break
            if window.from_ms <= query.from_ms and len(bars) >= query.countback:
                break
            window = Span(max(window.to_ms - WIDER * (window.to_ms - window.from_ms), 0), window.to_ms)
        return self._compose(query, bars, is_whole=not window.from_ms)

    def _window(self, query: BarsQuery) -> Span:
        """Return the span that has to be looked at, if bars stand one behind the other."""
        interval = query.interval
        end_ms = next_open(self._now_ms(), interval)
        to_ms = max(min(query.to_ms, end_ms), 0)
        length_ms = interval * 60_000
        from_ms = min(query.from_ms, to_ms - max(query.countback, 1) * length_ms)
        from_ms = max(from_ms, to_ms - (MAX_BARS + 1) * length_ms, 0)
        return Span(open_of(from_ms, interval) if from_ms else 0, to_ms)

    async def _filled(self, series: Series, window: Span, deadline_s: float) -> Span:
        """See to it that a span is covered; return it from 0 on if nothing is missing before it either."""
        await self._backfill.fill_within(series, window, max(deadline_s - time.monotonic(), 0.0))
        oldest = (await self._coverage.covered(series))[:1]
        is_whole = bool(oldest) and oldest[0].from_ms == 0 and oldest[0].to_ms >= window.from_ms
        return Span(0, window.to_ms) if is_whole else window

    def _compose(self, query: BarsQuery, bars: Bars, *, is_whole: bool) -> BarsAnswer:
        """Cut the newest bars to what was asked for."""
        state = AnswerState(0)
        opens = bars["open_ms"]
        in_window = int((opens >= query.from_ms).sum())
        wanted = max(in_window, min(query.countback, len(bars)))
        answer = bars[len(bars) - min(wanted, MAX_BARS) :]
        if wanted > MAX_BARS:
            state |= AnswerState.MORE
        if is_whole and len(answer) == len(bars):
            state |= AnswerState.BEGINNING
        recording = self._recordings[query.venue]
        return BarsAnswer(self._clock.last_us, recording.last_ids.get(query.native, 0), state, answer)

    async def _changed(self, query: BarsQuery) -> BarsAnswer:
        bars = await self._archive.changed(query.series, query.changed_after_us, MAX_BARS + 1)
        opens = bars["open_ms"]
        bars = bars[(opens >= query.from_ms) & (opens < query.to_ms)]
        state = AnswerState.MORE if len(bars) > MAX_BARS else AnswerState(0)
        last_id = self._recordings[query.venue].last_ids.get(query.native, 0)
        return BarsAnswer(self._clock.last_us, last_id, state, bars[-MAX_BARS:])
