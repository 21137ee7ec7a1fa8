"""Fetches from the venues what the store lacks: page by page, newest first.

The rules of this file:
- What is covered is not asked for. A page is covered as soon as it is written, so a fill that was interrupted
  goes on where it was.
- A venue is asked only while it has weight to spare: the feed workers' repairs share it. Somebody who waits
  for an answer goes before what is fetched for later.
- Only closed bars are kept, and not those whose close is younger than `SETTLED_MS`, nor those that are still
  running here: the venue's stream is about to say how they ended.
- A bar that closed while no recorder was there, or later, is news: it gets a version and is announced, like
  one that is not what the store has. An older one was never known to anybody: its version is its close.
- Where a page lacks its oldest bars, the venue is asked for the first bar of all: before that nothing is
  asked for.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from gateway.feeds.errors import VenueError
from gateway.recorder.archive import FOREVER_MS, Archive
from gateway.recorder.coverage import Coverage
from gateway.recorder.memory import Memory, as_bars
from gateway.store.history import Change, HistoryStore, Span, StoreDown
from processors.bars.bar_row import MAX_REVISION, BarRow, is_same
from protocol.bars import MAX_BARS, Bars, Series
from protocol.events import CandleFlag
from protocol.intervals import MONTH, next_open, open_of
from protocol.market import Bar

PAGE_BARS: Final = 1_000
DAY_MS: Final = 86_400_000
SETTLED_MS: Final = 2_000
POLL_S: Final = 0.25
ASKS_AT_ONCE: Final = 4
MAX_UNDER_WAY: Final = 256


class KlineSource(Protocol):
    """A venue's REST."""

    @property
    def has_spare(self) -> bool: ...

    @property
    def longest_klines_ms(self) -> int:
        """The longest time that bars can be asked for at once; 0 is without end."""

    async def klines(self, native: str, interval: int, from_ms: int, to_ms: int, limit: int) -> list[Bar]: ...


class NotFetched(Exception):
    """What was asked for could not be had from the venue in time; the message says why."""


FAILURES: Final = (VenueError, StoreDown, NotFetched)
"""What a fill may end with; all of it may be better later."""


class Filled(NamedTuple):
    from_ms: int
    """From here on, up to the end of the span, nothing is missing any more."""
    is_finished: bool


class Known(NamedTuple):
    """What of a page is how."""

    unknown: list[BarRow]
    different: list[BarRow]


class Backfill:
    """All venues."""

    def __init__(
        self,
        store: HistoryStore,
        archive: Archive,
        coverage: Coverage,
        memory: Memory,
        sources: Mapping[str, KlineSource],
        announce: Callable[[Series, Sequence[BarRow]], Awaitable[None]],
        news_since_us: int,
        now_ms: Callable[[], int],
    ) -> None:
        """`announce` returns when bars that are news are in memory, and so in every answer from then on.

        `news_since_us` is when the last recorder stopped writing.
        """
        self.fetched: Counter[Series] = Counter()
        self._store = store
        self._coverage = coverage
        self._memory = memory
        self._archive = archive
        self._sources = sources
        self._announce = announce
        self._news_since_us = news_since_us
        self._now_ms = now_ms
        self._locks: dict[Series, asyncio.Lock] = {}
        self._turns = {False: asyncio.Semaphore(ASKS_AT_ONCE // 2), True: asyncio.Semaphore(ASKS_AT_ONCE)}
        self._demanded = 0
        self._under_way: dict[tuple[Series, Span], asyncio.Task[str]] = {}
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def under_way(self) -> int:
        """How many fills somebody waits for, or has waited for."""
        return len(self._under_way)

    async def run(self) -> None:
        """Hold the fills that go on when nobody waits for them any more. Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await asyncio.Event().wait()

    def end_of(self, series: Series) -> int:
        """Return up to where a series can be complete: the bars that have closed, and settled."""
        closed = open_of(self._now_ms() - SETTLED_MS, series.interval)
        running = self._memory.first_running(series)
        return closed if running is None else min(closed, running)

    # For somebody who waits

    async def fill_within(self, series: Series, span: Span, timeout_s: float) -> None:
        """Fill a span; if it takes longer, it goes on and this raises NotFetched. Raises StoreDown."""
        span = self._clipped(series, span)
        if not await self._coverage.missing(series, span):
            return
        if self._tasks is None or len(self._under_way) >= MAX_UNDER_WAY:
            raise NotFetched("too much is being fetched, ask again")
        task = self._under_way.get((series, span))
        if task is None:
            task = self._under_way[series, span] = self._tasks.create_task(self._fill_demanded(series, span))
        done, _ = await asyncio.wait([task], timeout=timeout_s)
        if not done:
            raise NotFetched("being fetched from the venue, ask again")
        if reason := task.result():
            raise NotFetched(reason)

    async def _fill_demanded(self, series: Series, span: Span) -> str:
        """Return why it did not work, nothing if it did."""
        self._demanded += 1
        try:
            await self.fill(series, span, is_demanded=True)
        except FAILURES as error:
            return str(error)
        finally:
            self._demanded -= 1
            del self._under_way[series, span]
        return ""

    # Page by page

    async def fill(
        self, series: Series, span: Span, *, is_demanded: bool = False, until_s: float = float("inf")
    ) -> Filled:
        """Fetch what of a span is not covered; after `until_s` (monotonic) stop at a page's end.

        Raises FAILURES.
        """
        span, lock = self._clipped(series, span), self._locks.setdefault(series, asyncio.Lock())
        while True:
            while self._demanded and not is_demanded:  # noqa: ASYNC110  # whoever waits goes first
                await asyncio.sleep(POLL_S)
            async with lock:  # for one page, lest somebody waits for all that is fetched for later
                missing = await self._coverage.missing(series, span)
                if not missing:
                    return Filled(span.from_ms, is_finished=True)
                if time.monotonic() >= until_s:
                    return Filled(missing[-1].to_ms, is_finished=False)
                await self._fill_newest(series, missing[-1], is_demanded)

    async def _fill_newest(self, series: Series, hole: Span, is_demanded: bool) -> None:
        page = Span(max(_back(hole.to_ms, series, self._longest_ms(series)), hole.from_ms), hole.to_ms)
        first_ms = await self._fetch_page(series, page, is_demanded)
        if first_ms is None or first_ms > page.from_ms:
            await self._cover_before_birth(series, page, is_demanded)

    async def _cover_before_birth(self, series: Series, page: Span, is_demanded: bool) -> None:
        """See whether a page lacks its oldest bars because its symbol was not listed yet."""
        longest_ms = self._longest_ms(series)
        if series.interval == MONTH and longest_ms:
            is_first = True  # months stand one behind the other
        else:
            from_ms = await self._before_birth_ms(series)
            upto_ms = min(page.to_ms, from_ms + (longest_ms or FOREVER_MS))
            oldest = await self._ask(series, Span(from_ms, upto_ms), is_demanded, limit=1)
            is_first = oldest[0].open_ms >= page.from_ms if oldest else not from_ms
        if is_first:
            await self._coverage.add(series, Span(0, page.from_ms))

    async def _before_birth_ms(self, series: Series) -> int:
        """Return a moment from which on the venue can be asked for the first bar of all."""
        if not self._longest_ms(series):
            return 0
        life = series._replace(interval=MONTH)
        await self.fill(life, Span(0, FOREVER_MS), is_demanded=True)  # it would wait for whoever waits for us
        months = await self._archive.read(life, 0, FOREVER_MS, MAX_BARS)
        birth_ms = int(months["open_ms"][0]) if len(months) else self._now_ms()
        return open_of(birth_ms, series.interval)

    async def fetch_again(self, series: Series, span: Span) -> None:
        """Compare a span with the venue once more, and correct what differs. Raises FAILURES."""
        span = self._clipped(series, span)
        page = Span(span.to_ms, span.to_ms)
        while page.from_ms > span.from_ms:
            oldest_ms = _back(page.from_ms, series, self._longest_ms(series))
            page = Span(max(oldest_ms, span.from_ms), page.from_ms)
            await self._fetch_page(series, page, is_demanded=False)

    def _longest_ms(self, series: Series) -> int:
        """Return what the venue answers in one request at most; 0 is without end."""
        source = self._sources.get(series.venue)
        return source.longest_klines_ms if source else 0

    def _clipped(self, series: Series, span: Span) -> Span:
        """Return the whole bars of a span that have closed."""
        interval, end_ms = series.interval, self.end_of(series)
        from_ms = max(open_of(max(span.from_ms, 0), interval), 0)
        to_ms = end_ms if span.to_ms >= end_ms else next_open(span.to_ms - 1, interval)
        return Span(from_ms, max(to_ms, from_ms))

    async def _fetch_page(self, series: Series, page: Span, is_demanded: bool) -> int | None:
        """Fetch the bars of a page, write and cover it; return when its first bar opened, if it has any."""
        bars = await self._ask(series, page, is_demanded)
        rows = [bar_row(bar) for bar in bars if bar.final and page.from_ms <= bar.open_ms < page.to_ms]
        self.fetched[series] += len(rows)
        known = _compare(rows, await self._archive.read(series, *page, PAGE_BARS))
        news = [row for row in known.unknown if self._is_news(series, row)]
        old = [row for row in known.unknown if not self._is_news(series, row)]
        if old:
            await self._store.write([Change(series, _closed_as(series, old))])
        if news or known.different:
            await self._announce(series, news + known.different)
            self._coverage.note(series, page)  # they are written with what is recorded live
        else:
            await self._coverage.add(series, page)
        return rows[0].open_ms if rows else None

    def _is_news(self, series: Series, row: BarRow) -> bool:
        return next_open(row.open_ms, series.interval) * 1_000 > self._news_since_us

    async def _ask(
        self, series: Series, page: Span, is_demanded: bool, limit: int | None = None
    ) -> list[Bar]:
        source = self._sources.get(series.venue)
        if source is None:
            raise NotFetched(f"{series.venue} is not among the venues of this recorder")
        async with self._turns[is_demanded]:
            while not source.has_spare:  # noqa: ASYNC110  # time gives it back, nobody says when
                await asyncio.sleep(POLL_S)
            limit = limit or _count(page, series.interval)
            return await source.klines(series.native, series.interval, *page, limit)


def bar_row(bar: Bar) -> BarRow:
    """Say a venue's closed bar as ours."""
    return BarRow(
        bar.open_ms,
        0,
        bar.open,
        bar.high,
        bar.low,
        bar.close,
        bar.volume,
        bar.quote_volume,
        bar.taker_buy,
        bar.trades,
        0,
        CandleFlag.FINAL | CandleFlag.REST,
    )


def _compare(rows: Sequence[BarRow], known: Bars) -> Known:
    """Sort out the bars that are not known, and those that are known otherwise, with their next revision."""
    by_open = {row[0]: BarRow._make(row) for row in known.tolist()}
    unknown, different = [], []
    for row in rows:
        ours = by_open.get(row.open_ms)
        if ours is None:
            unknown.append(row)
        elif ours.flags & CandleFlag.FINAL and not is_same(ours, row):
            different.append(row._replace(revision=min(ours.revision + 1, MAX_REVISION)))
    return Known(unknown, different)


def _closed_as(series: Series, rows: Sequence[BarRow]) -> Bars:
    bars = as_bars(rows)
    bars["version"] = [next_open(row.open_ms, series.interval) * 1_000 for row in rows]
    return bars


def _back(to_ms: int, series: Series, longest_ms: int) -> int:
    """Return where the page begins that ends at an opening."""
    page_ms = PAGE_BARS * series.interval * 60_000
    longest_ms = min(page_ms, longest_ms or page_ms)
    from_ms = open_of(max(to_ms - longest_ms, 0), series.interval)
    if from_ms < to_ms - longest_ms:  # a month is longer than what its number says
        from_ms = next_open(from_ms, series.interval)
    return from_ms if from_ms < to_ms else open_of(to_ms - 1, series.interval)


def _count(page: Span, interval: int) -> int:
    """Say how many bars a page can hold at most."""
    shortest_ms = 28 * DAY_MS if interval == MONTH else interval * 60_000
    return min((page.to_ms - page.from_ms) // shortest_ms + 1, PAGE_BARS)
