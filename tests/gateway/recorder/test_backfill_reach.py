"""A venue that answers for so long a time at once, and no longer."""

from pathlib import Path

import pytest

from gateway.exchanges.venue import VENUES
from gateway.feeds.rest import Rest
from gateway.recorder.archive import Archive
from gateway.recorder.backfill import Backfill
from gateway.recorder.coverage import Coverage
from gateway.recorder.memory import Memory
from gateway.store.duck.store import DuckStore
from gateway.store.history import Span
from protocol.bars import Series
from protocol.market import Bar

DAY = 1_440
DAY_MS = 86_400_000
NOW_MS = 20_000 * DAY_MS
SERIES = Series("binance-coinm", "BTCUSD_PERP", DAY)


class Venue:
    """Has a bar of every day, and keeps what it was asked for."""

    has_spare = True

    def __init__(self, longest_klines_ms: int) -> None:
        self.longest_klines_ms = longest_klines_ms
        self.asked: list[Span] = []

    async def klines(self, native: str, interval: int, from_ms: int, to_ms: int, limit: int) -> list[Bar]:
        self.asked.append(Span(from_ms, to_ms))
        opens = range(-(-from_ms // DAY_MS) * DAY_MS, to_ms, DAY_MS)[:limit]
        return [
            Bar(native, interval, at, 2, 3, 1, 2, 5, 10, 2, 4, 9, -1, -1, True, at * 1_000) for at in opens
        ]


async def announced(_series, _rows) -> None:
    pass


@pytest.mark.parametrize(("longest_days", "pages"), [(0, 1), (200, 5)])
async def test_no_page_is_longer_than_what_the_venue_answers_at_once(tmp_path: Path, longest_days, pages):
    venue = Venue(longest_days * DAY_MS)
    async with DuckStore(tmp_path / "history.duckdb") as store:
        coverage, memory = Coverage(store), Memory()
        archive = Archive(store, memory, coverage)
        backfill = Backfill(
            store, archive, coverage, memory, {SERIES.venue: venue}, announced, 2**60, lambda: NOW_MS
        )
        wanted = Span(NOW_MS - 900 * DAY_MS, NOW_MS - 10 * DAY_MS)
        await backfill.fill(SERIES, wanted)
        assert await coverage.missing(SERIES, wanted) == []
    assert len(venue.asked) == pages
    assert all(longest_days == 0 or to - first <= longest_days * DAY_MS for first, to in venue.asked)


@pytest.mark.parametrize(("name", "days"), [("binance", 0), ("binance-usdm", 0), ("binance-coinm", 200)])
async def test_the_venue_says_how_long_that_is(name, days):
    async with Rest(VENUES[name]) as rest:
        assert rest.longest_klines_ms == days * DAY_MS
