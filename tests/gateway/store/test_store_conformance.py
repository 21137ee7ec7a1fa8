"""What every store does, whichever it is. Each test runs over all of them."""

import asyncio
from contextlib import AbstractAsyncContextManager

import numpy as np
import pytest

from gateway.store.duck.store import DuckStore
from gateway.store.history import Change, HistoryStore, Span
from gateway.store.influx import InfluxStore
from gateway.store.spool import SpooledStore
from protocol.bars import BAR, Series
from protocol.events import Trade
from protocol.intervals import MINUTES

SERIES = Series("binance", "BTCUSDT", 1)
ODD_NAMES = (
    "币安人生USDT", "A B", "a,b=c", 'q"q', "o'o", "back\\slash", "end\\", "per%20cent", "' OR exchange != '",
    "line\nbreak", "tab\t", "🦆", "#x", "a'; DROP MEASUREMENT ohlcv_1m; --",
)  # fmt: skip
TRADES = [
    Trade(0, 1, 2, 10, 1_780_000_000_000_001, 70_000.1, 0.1),
    Trade(0, 0, 1, 11, 1_780_000_000_000_001, 70_000.2, 1e-8),
    Trade(0, 2, 1, 12, 1_780_000_000_000_500, 70_000.3, 5.0),
]


@pytest.fixture(params=["duckdb", "duckdb, spooled", "influxdb 1", "influxdb 2"])
async def store(request, tmp_path, database):
    async with open_one(request, tmp_path, database) as opened:
        yield opened


def open_one(request, tmp_path, database) -> AbstractAsyncContextManager[HistoryStore]:
    match request.param:
        case "duckdb":
            return DuckStore(tmp_path / "history.duckdb", fresh_rows=7)
        case "duckdb, spooled":
            return SpooledStore(DuckStore(tmp_path / "history.duckdb"), tmp_path / "spool", 1_000_000)
        case "influxdb 1":
            url = request.getfixturevalue("influx_url")
            return InfluxStore(url, "", "", database, 1, 10.0)
        case _:
            front = request.getfixturevalue("influx2_url")
            return InfluxStore(front.url, "a-token", "an org", database, 2, 10.0)


async def everything(store, series=SERIES):
    return await store.read(series, 0, 2**53, 1_000_000)


async def test_an_empty_store_has_nothing(store):
    assert len(await everything(store)) == 0
    assert len(await store.changed(SERIES, 0, 10)) == 0
    assert await store.coverage(SERIES) == []
    assert await store.series() == []
    assert await store.last_version() == 0
    assert await store.read_ticks("binance", "BTCUSDT", 0, 2**62, 10) == []


async def test_bars_come_back_bit_for_bit(store, make_bars):
    bars = make_bars(250)
    await store.write([Change(SERIES, bars)])
    there = await everything(store)
    assert there.dtype == BAR
    assert there.tobytes() == bars.tobytes()


async def test_numbers_at_their_limits_come_back(store, make_bars):
    bars = make_bars(4)
    bars["open"] = [5e-324, 1.7976931348623157e308, 0.1 + 0.2, -0.0]
    bars["volume"] = [0.0, 1e-8, 123_456_789_012.345_67, 2.0**53 + 2]
    bars["version"] = [1, 2, 3, 2**62]
    await store.write([Change(SERIES, bars)])
    there = await everything(store)
    for name in BAR.names:
        assert there[name].tolist() == bars[name].tolist()
    assert await store.last_version() == 2**62


async def test_every_interval_is_a_series_of_its_own(store, make_bars):
    written = {
        Series("binance", "BTCUSDT", minutes): make_bars(2, version=minutes, seed=minutes)
        for minutes in MINUTES.values()
    }
    await store.write([Change(series, bars) for series, bars in written.items()])
    for series, bars in written.items():
        assert (await everything(store, series)).tobytes() == bars.tobytes()
    assert await store.series() == sorted(written)


async def test_odd_names_are_names_and_nothing_else(store, make_bars):
    for number, name in enumerate(ODD_NAMES):
        await store.write([Change(Series(name, name, 1), make_bars(1, version=number + 1))])
        await store.cover(Series(name, name, 5), Span(0, number + 1))
        await store.write_ticks(name, name, TRADES[:1])
    for number, name in enumerate(ODD_NAMES):
        assert (await everything(store, Series(name, name, 1)))["version"].tolist() == [number + 1]
        assert await store.coverage(Series(name, name, 5)) == [Span(0, number + 1)]
        assert await store.read_ticks(name, name, 0, 2**62, 10) == TRADES[:1]
    expected = sorted(Series(name, name, minutes) for name in ODD_NAMES for minutes in (1, 5))
    assert await store.series() == expected


async def test_the_window_is_half_open_and_the_newest_are_kept(store, make_bars):
    bars = make_bars(10)
    await store.write([Change(SERIES, bars)])
    opens = bars["open_ms"].tolist()

    async def read(from_ms, to_ms, limit=100):
        return (await store.read(SERIES, from_ms, to_ms, limit))["open_ms"].tolist()

    assert await read(opens[2], opens[5]) == opens[2:5]
    assert await read(opens[2] + 1, opens[5] + 1) == opens[3:6]
    assert await read(0, 2**53, 3) == opens[-3:]
    assert await read(-(2**53), opens[4], 3) == opens[1:4]
    assert await read(opens[5], opens[5]) == []
    assert await read(opens[5], opens[2]) == []
    assert await read(0, 2**53, 0) == []
    assert await read(opens[-1] + 1, 2**53) == []


async def test_few_bars_far_apart_are_all_found(store, make_bars):
    bars = make_bars(12, step_ms=60_000 * 10_000)
    await store.write([Change(SERIES, bars)])
    assert (await store.read(SERIES, 0, 2**53, 5))["open_ms"].tolist() == bars["open_ms"][-5:].tolist()
    assert (await everything(store)).tobytes() == bars.tobytes()


async def test_the_higher_version_holds_whichever_came_first(store, make_bars):
    old, new = make_bars(5, version=100, seed=1), make_bars(5, version=200, seed=2)
    await store.write([Change(SERIES, new[:3])])
    await store.write([Change(SERIES, old)])
    await store.write([Change(SERIES, new[3:])])
    await store.write([Change(SERIES, old)])
    assert (await everything(store)).tobytes() == new.tobytes()
    assert await store.last_version() == 204


async def test_two_versions_in_one_write(store, make_bars):
    old, new = make_bars(2, version=100, seed=1), make_bars(2, version=200, seed=2)
    await store.write([Change(SERIES, new), Change(SERIES, old)])
    assert (await everything(store)).tobytes() == new.tobytes()


async def test_changed_are_those_with_a_higher_version(store, make_bars):
    bars = make_bars(10, version=1_000)
    await store.write([Change(SERIES, bars)])
    corrected = make_bars(2, first=3, version=2_000, seed=9)
    await store.write([Change(SERIES, corrected)])
    changed = await store.changed(SERIES, 1_007, 100)
    assert changed["version"].tolist() == [2_000, 2_001, 1_008, 1_009]
    assert changed["open_ms"].tolist() == sorted(changed["open_ms"].tolist())
    assert (await store.changed(SERIES, 1_007, 3))["version"].tolist() == [2_001, 1_008, 1_009]
    assert len(await store.changed(SERIES, 2_001, 100)) == 0
    assert len(await store.changed(Series("binance", "ETHUSDT", 1), 0, 100)) == 0


async def test_coverage_grows_together_and_can_be_taken_back(store):
    await store.cover(SERIES, Span(100, 200))
    await store.cover(SERIES, Span(300, 400))
    assert await store.coverage(SERIES) == [Span(100, 200), Span(300, 400)]
    await store.cover(SERIES, Span(200, 300))
    assert await store.coverage(SERIES) == [Span(100, 400)]
    await store.uncover(SERIES, Span(150, 160))
    assert await store.coverage(SERIES) == [Span(100, 150), Span(160, 400)]
    assert await store.coverage(Series("binance", "BTCUSDT", 5)) == []
    assert await store.series() == [SERIES]
    await store.uncover(SERIES, Span(0, 2**53))
    assert await store.coverage(SERIES) == []
    assert await store.series() == []


async def test_writes_at_the_same_time_are_all_kept(store, make_bars):
    async def write(number):
        series = Series("binance", f"S{number % 7}", 1)
        await store.write([Change(series, make_bars(3, first=3 * number, version=1 + 3 * number))])
        await store.cover(series, Span(number, number + 1))

    async with asyncio.TaskGroup() as tasks:
        for number in range(40):
            tasks.create_task(write(number))
    kept = [await everything(store, Series("binance", f"S{number}", 1)) for number in range(7)]
    assert sorted(np.concatenate(kept)["version"].tolist()) == list(range(1, 121))
    covered = [
        span for number in range(7) for span in await store.coverage(Series("binance", f"S{number}", 1))
    ]
    assert sum(to_ms - from_ms for from_ms, to_ms in covered) == 40


async def test_reads_go_on_while_writes_do(store, make_bars):
    async def write():
        for number in range(30):
            await store.write([Change(SERIES, make_bars(5, first=5 * number, version=1 + 5 * number))])

    writing = asyncio.create_task(write())
    while not writing.done():
        there = (await everything(store))["version"].tolist()
        assert there == list(range(1, len(there) + 1)), "a write is there, and all before it, or it is not"
        assert len(there) % 5 == 0
    await writing
    assert len(await everything(store)) == 150


async def test_trades_come_back_by_id(store):
    await store.write_ticks("binance", "BTCUSDT", TRADES[1:])
    await store.write_ticks("binance", "BTCUSDT", TRADES[:2])
    await store.write_ticks("binance", "ETHUSDT", TRADES[:1])
    read = store.read_ticks
    assert await read("binance", "BTCUSDT", 0, 2**62, 100) == TRADES
    assert await read("binance", "BTCUSDT", 0, 2**62, 2) == TRADES[:2]
    assert await read("binance", "BTCUSDT", TRADES[2].exchange_us, 2**62, 2) == TRADES[2:]
    assert await read("binance", "BTCUSDT", 0, TRADES[2].exchange_us, 9) == TRADES[:2]
    assert await read("binance", "BTCUSDT", 0, 2**62, 0) == []
    assert await store.series() == [], "single trades are no bars"


async def test_a_thousand_trades_of_one_microsecond_stay_apart(store):
    trades = [Trade(0, 0, 1, 5_500 + number, 1_780_000_000_000_000, 1.5, 2.0) for number in range(500)]
    await store.write_ticks("binance", "BTCUSDT", trades)
    assert await store.read_ticks("binance", "BTCUSDT", 0, 2**62, 1_000) == trades


async def test_old_trades_are_forgotten_on_request(store, make_bars):
    await store.write_ticks("binance", "BTCUSDT", TRADES)
    await store.write([Change(SERIES, make_bars(2))])
    await store.drop_ticks(TRADES[2].exchange_us)
    assert await store.read_ticks("binance", "BTCUSDT", 0, 2**62, 100) == TRADES[2:]
    assert len(await everything(store)) == 2


async def test_nothing_to_write_is_nothing_written(store, make_bars):
    await store.write([])
    await store.write([Change(SERIES, make_bars(0))])
    await store.write_ticks("binance", "BTCUSDT", [])
    await store.cover(SERIES, Span(5, 5))
    assert await store.series() == []


@pytest.mark.parametrize("store_again", ["duckdb", "duckdb, spooled", "influxdb 1", "influxdb 2"])
async def test_what_was_kept_is_there_when_it_is_opened_again(
    store_again, request, tmp_path, database, make_bars
):
    request.param = store_again
    bars = make_bars(20, version=50)
    async with open_one(request, tmp_path, database) as first:
        await first.write([Change(SERIES, bars)])
        await first.cover(SERIES, Span(1, 9))
        await first.write_ticks("binance", "BTCUSDT", TRADES)
    async with open_one(request, tmp_path, database) as second:
        assert (await everything(second)).tobytes() == bars.tobytes()
        assert await second.coverage(SERIES) == [Span(1, 9)]
        assert await second.last_version() == 69
        assert await second.read_ticks("binance", "BTCUSDT", 0, 2**62, 100) == TRADES
        await second.write([Change(Series("binance", "ETHUSDT", 1), bars)])
        await second.uncover(SERIES, Span(3, 5))
        assert await second.coverage(SERIES) == [Span(1, 3), Span(5, 9)]
        assert (await everything(second)).tobytes() == bars.tobytes()
