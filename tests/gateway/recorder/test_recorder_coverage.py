"""Which spans are covered, remembered over a real store."""

from pathlib import Path

import pytest

from gateway.recorder.coverage import Coverage, without
from gateway.recorder.versions import VersionClock
from gateway.store.duck.store import DuckStore
from gateway.store.history import Span
from protocol.bars import Series

SERIES = Series("binance", "BTCUSDT", 1)


@pytest.mark.parametrize(
    ("covered", "wanted", "left"),
    [
        ([], (0, 10), [(0, 10)]),
        ([(0, 10)], (2, 8), []),
        ([(2, 4), (6, 8)], (0, 10), [(0, 2), (4, 6), (8, 10)]),
        ([(2, 4)], (4, 6), [(4, 6)]),
        ([(0, 5)], (5, 5), []),
        ([(0, 5)], (9, 3), []),
    ],
)
def test_what_is_not_covered_is_missing(covered, wanted, left):
    assert without([Span(*one) for one in covered], Span(*wanted)) == [Span(*one) for one in left]


async def test_what_is_added_is_there_at_once_and_after_a_restart(tmp_path: Path):
    path = tmp_path / "history.duckdb"
    async with DuckStore(path) as store:
        coverage = Coverage(store)
        assert await coverage.missing(SERIES, Span(0, 60_000)) == [Span(0, 60_000)]
        await coverage.add(SERIES, Span(0, 60_000))
        assert await coverage.missing(SERIES, Span(0, 120_000)) == [Span(60_000, 120_000)]
    async with DuckStore(path) as store:
        assert await Coverage(store).covered(SERIES) == [Span(0, 60_000)]


async def test_what_is_noted_is_in_the_store_only_once_it_is_saved(tmp_path: Path):
    async with DuckStore(tmp_path / "history.duckdb") as store:
        coverage = Coverage(store)
        coverage.note(SERIES, Span(0, 60_000))
        coverage.note(SERIES, Span(60_000, 120_000))
        assert await coverage.covered(SERIES) == [Span(0, 120_000)]
        assert await store.coverage(SERIES) == []
        await coverage.save(coverage.take_unsaved())
        assert await store.coverage(SERIES) == [Span(0, 120_000)]
        assert coverage.take_unsaved() == {}


async def test_what_was_noted_is_not_forgotten_with_the_rest(tmp_path: Path):
    async with DuckStore(tmp_path / "history.duckdb") as store:
        coverage = Coverage(store)
        coverage.note(SERIES, Span(0, 60_000))
        await store.cover(SERIES, Span(120_000, 180_000))
        coverage.forget()
        assert await coverage.covered(SERIES) == [Span(0, 60_000), Span(120_000, 180_000)]


def test_versions_rise_even_if_the_clock_stands_or_goes_back():
    clock = VersionClock(100)
    assert [clock.next(now) for now in (50, 102, 102, 90, 200)] == [101, 102, 103, 104, 200]
