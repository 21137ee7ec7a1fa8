"""What goes to InfluxDB and how its answers are read, beyond the conformance of all stores."""

import httpx
import numpy as np
import pytest

from gateway.processes.ports import find_free_port
from gateway.store.history import Change, Span, StoreDown
from gateway.store.influx import InfluxStore
from protocol.bars import BAR, Series
from protocol.events import Trade

SERIES = Series("binance", "BTCUSDT", 60)
BAR_ROW = (1_780_000_200_000, 1_780_000_260_000_001, 70_000.5, 70_001.0, 7e-7, 1e22, 12.5, 3.0, 0.1, 42, 1, 3)


@pytest.fixture
def bar():
    return np.array([BAR_ROW], BAR)


def post(url, **request):
    httpx.post(url, **request).raise_for_status()


def ask(url, database, query):
    answer = httpx.get(f"{url}/query", params={"db": database, "q": query, "epoch": "ns"})
    return [table for result in answer.json()["results"] for table in result.get("series", [])]


async def everything(store, series=SERIES):
    return await store.read(series, 0, 2**53, 1_000_000)


async def test_the_request_that_a_2x_gets(influx2_url, database, bar):
    before = len(influx2_url.writes)
    async with InfluxStore(influx2_url.url, "a-token", "an org", database, 2, 5.0) as store:
        await store.write([Change(SERIES, bar)])
        await store.write_ticks(
            "binance", "币安 USDT", [Trade(0, 1, 2, 7_012, 1_780_000_000_000_001, 0.5, 8.0)]
        )
    first, second = influx2_url.writes[before:]
    assert first == {
        "org": ["an org"],
        "bucket": [database],
        "precision": ["ns"],
        "lines": [
            "ohlcv_1h,exchange=binance,symbol=BTCUSDT close=1e+22,flags=3i,high=70001,low=7e-07,open=70000.5,"
            "quote_volume=3,revision=1i,taker_buy=0.1,trade_count=42i,version=1780000260000001i,volume=12.5 "
            "1780000200000000000"
        ],
    }
    assert second["lines"] == [
        "trades,exchange=binance,symbol=币安\\ USDT count=2i,flags=1i,price=0.5,sequence=7012i,volume=8 "
        "1780000000000001012"
    ]


async def test_a_request_holds_at_most_a_hundred_points(influx2_url, database, make_bars):
    before = len(influx2_url.writes)
    async with InfluxStore(influx2_url.url, "a-token", "an org", database, 2, 5.0) as store:
        await store.write([Change(SERIES, make_bars(250, step_ms=3_600_000))])
        assert len(await everything(store)) == 250
    assert [len(write["lines"]) for write in influx2_url.writes[before:]] == [100, 100, 50]


async def test_a_wrong_token_is_said(influx2_url, database, bar):
    async with InfluxStore(influx2_url.url, "another", "an org", database, 2, 5.0) as store:
        with pytest.raises(StoreDown, match="InfluxDB answers 401: unauthorized access"):
            await store.write([Change(SERIES, bar)])
        with pytest.raises(StoreDown, match="InfluxDB answers 401: unauthorized access"):
            await everything(store)


async def test_what_a_1x_holds_has_the_names_that_others_look_for(influx_url, database, bar):
    async with InfluxStore(influx_url, "", "", database, 1, 5.0) as store:
        await store.write([Change(SERIES, bar)])
        await store.cover(SERIES, Span(1, 2))
    (table,) = ask(influx_url, database, "SELECT * FROM ohlcv_1h")
    row = dict(zip(table["columns"], table["values"][0], strict=True))
    assert row == {
        "time": 1_780_000_200_000_000_000, "exchange": "binance", "symbol": "BTCUSDT",
        "open": 70_000.5, "high": 70_001, "low": 7e-7, "close": 1e22, "volume": 12.5, "trade_count": 42,
        "quote_volume": 3, "taker_buy": 0.1, "revision": 1, "flags": 3, "version": 1_780_000_260_000_001,
    }  # fmt: skip
    (table,) = ask(influx_url, database, "SELECT spans FROM coverage WHERE \"interval\" = '1h'")
    assert [value for _, value in table["values"]] == ["[[1,2]]"]


async def test_coverage_is_one_point_a_day(influx_url, database):
    async with InfluxStore(influx_url, "", "", database, 1, 5.0) as store:
        for number in range(20):
            await store.cover(SERIES, Span(10 * number, 10 * number + 5))
        assert len(await store.coverage(SERIES)) == 20
    (table,) = ask(influx_url, database, "SELECT count(spans) FROM coverage")
    assert table["values"][0][1] <= 2, "two if it was midnight meanwhile"


async def test_bars_with_newer_versions_stay_whoever_comes_later(influx_url, database, make_bars):
    new, old = make_bars(300, version=1_000, seed=1), make_bars(600, version=1, seed=2)
    async with InfluxStore(influx_url, "", "", database, 1, 5.0) as store:
        await store.write([Change(SERIES, new)])
    async with InfluxStore(influx_url, "", "", database, 1, 5.0) as later:
        await later.write([Change(SERIES, old)])
        there = await everything(later)
    assert there[:300].tobytes() == new.tobytes()
    assert there[300:].tobytes() == old[300:].tobytes()


async def test_points_that_the_bucket_does_not_keep_hold_nothing_up(influx_url, database, bar):
    quoted = '"' + database.replace('"', '\\"') + '"'
    post(f"{influx_url}/query", params={"q": f"CREATE DATABASE {quoted} WITH DURATION 24h"})
    future = bar.copy()
    future["open_ms"] = 4_000_000_000_000
    old = bar.copy()
    old["open_ms"] = 1_000_000_000_000
    async with InfluxStore(influx_url, "", "", database, 1, 5.0) as store:
        await store.write([Change(SERIES, np.concatenate([old, future]))])
        assert (await everything(store)).tobytes() == future.tobytes()


async def test_a_point_of_which_fields_are_missing_is_no_bar(influx_url, database, bar):
    async with InfluxStore(influx_url, "", "", database, 1, 5.0) as store:
        await store.write([Change(SERIES, bar)])
        post(
            f"{influx_url}/write",
            params={"db": database},
            content="ohlcv_1h,exchange=binance,symbol=BTCUSDT open=1,close=2 1780000000000000000",
        )
        assert (await everything(store)).tobytes() == bar.tobytes()
        assert await store.last_version() == BAR_ROW[1]


async def test_a_field_that_cannot_be_is_said(influx_url, database, bar):
    async with InfluxStore(influx_url, "", "", database, 1, 5.0) as store:
        assert await store.series() == []
        post(
            f"{influx_url}/write",
            params={"db": database},
            content='ohlcv_1h,exchange=binance,symbol=BTCUSDT open="a text" 1780000200000000000',
        )
        with pytest.raises(StoreDown, match="400: partial write: field type conflict"):
            await store.write([Change(SERIES, bar)])


async def test_a_database_that_somebody_dropped_is_made_again(influx_url, database, bar):
    quoted = '"' + database.replace('"', '\\"') + '"'
    async with InfluxStore(influx_url, "", "", database, 1, 5.0) as store:
        await store.write([Change(SERIES, bar)])
        post(f"{influx_url}/query", params={"q": f"DROP DATABASE {quoted}"})
        with pytest.raises(StoreDown, match="database not found"):
            await store.write([Change(SERIES, bar)])
        await store.write([Change(SERIES, bar)])
        assert (await everything(store)).tobytes() == bar.tobytes()


@pytest.mark.parametrize("version", [1, 2])
async def test_nobody_there_is_down(version, bar):
    url = f"http://127.0.0.1:{find_free_port()}"
    async with InfluxStore(url, "", "", "history", version, 5.0) as store:
        for call in (
            store.write([Change(SERIES, bar)]),
            everything(store),
            store.series(),
            store.drop_ticks(1),
        ):
            with pytest.raises(StoreDown, match="cannot be reached"):
                await call


async def test_a_user_of_a_1x_is_sent_along(influx_url, database, bar):
    async with InfluxStore(influx_url, "somebody:and: a password", "", database, 1, 5.0) as store:
        await store.write([Change(SERIES, bar)])  # influxd without accounts takes anybody
        assert len(await everything(store)) == 1
