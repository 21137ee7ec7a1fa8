import asyncio

import duckdb
import numpy as np
import pytest

from gateway.store import parquet
from gateway.store.duck.store import DuckStore
from gateway.store.history import Change, Span
from gateway.store.parquet import BadParquet, Imported, export_parquet, import_parquet
from protocol.bars import BAR, Series
from protocol.intervals import MINUTES, opens_of

MINUTE = Series("binance", "BTCUSDT", 1)
ALWAYS = Span(0, 2**53)
GOOD = {
    "venue": "'binance'", "symbol": "'BTCUSDT'", "interval": "'1m'",
    "time": "TIMESTAMPTZ '2026-05-01 10:00:00Z'",
    "open": "1.5", "high": "2.0", "low": "1.0", "close": "1.5", "volume": "10.0", "quote_volume": "15.0",
    "taker_buy": "5.0", "trades": "3::UINTEGER", "revision": "0", "flags": "1", "version": "7::UBIGINT",
}  # fmt: skip


@pytest.fixture
async def store(tmp_path):
    async with DuckStore(tmp_path / "history.duckdb") as opened:
        yield opened


@pytest.fixture
async def empty(tmp_path):
    async with DuckStore(tmp_path / "another.duckdb") as opened:
        yield opened


def write_rows(path, *rows):
    """Write a Parquet file of rows of SQL, one text a column."""
    selects = [f"SELECT {', '.join(f'{value} AS {name}' for name, value in row.items())}" for row in rows]
    with duckdb.connect() as database:
        database.execute(f"COPY ({' UNION ALL '.join(selects)}) TO '{path}' (FORMAT parquet)")


async def everything(store, series):
    return await store.read(series, *ALWAYS, 1_000_000)


async def test_bars_go_out_and_come_in_bit_for_bit(store, empty, tmp_path, make_bars, monkeypatch):
    monkeypatch.setattr(parquet, "PAGE", 70)  # several pages a series
    written = {}
    for minutes in MINUTES.values():
        for native in ("BTCUSDT", "币安 'USDT'"):
            bars = make_bars(200, step_ms=minutes * 60_000, version=minutes, seed=minutes)
            opens = np.unique(opens_of(bars["open_ms"], minutes))
            written[series := Series("binance", native, minutes)] = bars = bars[: len(opens)]
            bars["open_ms"] = opens
            await store.write([Change(series, bars)])
            await store.cover(series, Span(minutes, 10 * minutes))
    path = tmp_path / "out of [the] *store*.parquet"
    count = sum(map(len, written.values()))
    assert await export_parquet(store, path, list(written), ALWAYS) == count
    assert await import_parquet(empty, path) == Imported(count, len(written))
    for series, bars in written.items():
        assert (await everything(empty, series)).tobytes() == bars.tobytes()
        assert await empty.coverage(series) == [Span(series.interval, 10 * series.interval)]
    assert {file.name for file in tmp_path.iterdir()} == {path.name, "history.duckdb", "history.duckdb.wal",
                                                          "another.duckdb", "another.duckdb.wal"}  # fmt: skip


async def test_only_what_was_asked_for_goes_out(store, empty, tmp_path, make_bars):
    bars = make_bars(10)
    opens = bars["open_ms"].tolist()
    other = Series("binance", "ETHUSDT", 1)
    await store.write([Change(MINUTE, bars), Change(other, bars)])
    await store.cover(MINUTE, Span(0, opens[5]))
    assert await export_parquet(store, tmp_path / "some", [MINUTE], Span(opens[3], opens[7])) == 4
    assert await import_parquet(empty, tmp_path / "some") == Imported(4, 1)
    assert (await everything(empty, MINUTE)).tobytes() == bars[3:7].tobytes()
    assert await empty.series() == [MINUTE]
    assert await empty.coverage(MINUTE) == [Span(opens[3], opens[5])]


async def test_the_columns_are_what_people_expect(store, tmp_path, make_bars):
    await store.write([Change(MINUTE, make_bars(2))])
    await export_parquet(store, tmp_path / "bars.parquet", [MINUTE], ALWAYS)
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        described = database.execute(f"DESCRIBE FROM '{tmp_path}/bars.parquet'").fetchall()
        row = database.execute(
            f"SELECT venue, symbol, interval, time::VARCHAR FROM '{tmp_path}/bars.parquet'"
        )
        assert row.fetchone() == ("binance", "BTCUSDT", "1m", "2026-05-28 20:27:00+00")
    assert [name for name, *_ in described] == list(GOOD)
    assert dict(column[:2] for column in described)["time"] == "TIMESTAMP WITH TIME ZONE"


async def test_an_export_that_fails_leaves_nothing_behind(store, tmp_path, make_bars):
    await store.write([Change(MINUTE, make_bars(2))])
    with pytest.raises(BadParquet):
        await export_parquet(store, tmp_path / "no" / "such" / "folder", [MINUTE], ALWAYS)
    (tmp_path / "taken").mkdir()
    with pytest.raises(BadParquet, match="taken"):
        await export_parquet(store, tmp_path / "taken", [MINUTE], ALWAYS)
    assert {file.name for file in tmp_path.iterdir()} == {"history.duckdb", "history.duckdb.wal", "taken"}


async def test_nothing_goes_out_and_comes_in_as_nothing(store, empty, tmp_path):
    assert await export_parquet(store, tmp_path / "none", [MINUTE], ALWAYS) == 0
    assert await import_parquet(empty, tmp_path / "none") == Imported(0, 0)
    assert await empty.series() == []


async def test_a_file_of_somebody_else_with_the_same_columns_comes_in(empty, tmp_path):
    naive = {**GOOD, "time": "TIMESTAMP '2026-05-01 10:01:00'", "trades": "3::BIGINT", "more": "'ignored'"}
    write_rows(tmp_path / "theirs", naive)
    assert await import_parquet(empty, tmp_path / "theirs") == Imported(1, 1)
    (bar,) = await everything(empty, MINUTE)
    assert bar["open_ms"] == 1_777_629_660_000, "a time without a zone is UTC"
    assert bar["trades"] == 3


@pytest.mark.parametrize("content", [b"", b"hello", b"PAR1" + b"x" * 1_000 + b"PAR1", b"time,open\n1,2\n"])
async def test_garbage_is_refused(empty, tmp_path, content):
    (tmp_path / "garbage").write_bytes(content)
    with pytest.raises(BadParquet, match="garbage"):
        await import_parquet(empty, tmp_path / "garbage")


async def test_a_file_that_is_not_there_is_said(empty, tmp_path):
    with pytest.raises(BadParquet, match="there is no such file"):
        await import_parquet(empty, tmp_path / "nothing")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"venue": "''"}, "venue, symbol or interval is empty"),
        ({"symbol": "NULL::VARCHAR"}, "venue, symbol or interval is empty"),
        ({"interval": "'7m'"}, "7m"),
        ({"open": "NULL::DOUBLE"}, "NOT NULL"),
        ({"open": "'nan'::DOUBLE"}, "BTCUSDT 1m has numbers that are not finite"),
        ({"taker_buy": "'-inf'::DOUBLE"}, "numbers that are not finite"),
        ({"open": "'many'"}, "many"),
        ({"version": "-1"}, "-1"),
        ({"flags": "70000"}, "70000"),
        ({"time": "TIMESTAMPTZ '2026-05-01 10:00:01Z'"}, "times at which none opens"),
        ({"time": "TIMESTAMPTZ '1969-05-01 10:00:00Z'"}, "before 1970 or after 2200"),
        ({"time": "TIMESTAMPTZ '2300-05-01 10:00:00Z'"}, "before 1970 or after 2200"),
        ({"time": "'infinity'::TIMESTAMPTZ"}, "."),
        ({"interval": "'1M'", "time": "TIMESTAMPTZ '2026-05-02 00:00:00Z'"}, "times at which none opens"),
        ({"time": GOOD["time"].replace("10:00", "09:00")}, "two bars of the same time"),
    ],
)
async def test_one_wrong_row_and_nothing_is_imported(empty, tmp_path, wrong, reason):
    first = {**GOOD, "time": GOOD["time"].replace("10:00", "09:00")}
    write_rows(tmp_path / "wrong", first, GOOD | wrong)
    with pytest.raises(BadParquet, match=reason) as refused:
        await import_parquet(empty, tmp_path / "wrong")
    assert "\n" not in str(refused.value)
    assert await empty.series() == []


async def test_columns_that_are_missing_or_none_of_ours_are_named(empty, tmp_path):
    write_rows(tmp_path / "missing", {name: value for name, value in GOOD.items() if name != "close"})
    with pytest.raises(BadParquet, match="close"):
        await import_parquet(empty, tmp_path / "missing")
    write_rows(tmp_path / "wrong", GOOD | {"time": "1780000000000"})
    with pytest.raises(BadParquet, match="BIGINT -> TIMESTAMP"):
        await import_parquet(empty, tmp_path / "wrong")


async def test_metadata_that_are_not_ours_are_refused(empty, tmp_path):
    with duckdb.connect() as database:
        columns = ", ".join(f"{value} AS {name}" for name, value in GOOD.items())
        options = "(FORMAT parquet, KV_METADATA {tickgate: '{}'})"
        database.execute(f"COPY (SELECT {columns}) TO '{tmp_path}/foreign' {options}")
    with pytest.raises(BadParquet, match="its metadata are not ours"):
        await import_parquet(empty, tmp_path / "foreign")
    assert await empty.series() == []


def test_bars_are_read_by_the_dtype_they_are_written_with():
    assert set(BAR.names) - {"open_ms"} == set(GOOD) - {"venue", "symbol", "interval", "time"}


class CancellingStore(DuckStore):
    """Has the reader cancelled just after it got a page, when it hands the page on."""

    async def read(self, series, from_ms, to_ms, limit):
        page = await super().read(series, from_ms, to_ms, limit)
        asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)
        return page


async def test_who_is_cancelled_is_cancelled_and_leaves_nothing_behind(tmp_path, make_bars):
    async with CancellingStore(tmp_path / "history.duckdb") as store:
        await store.write([Change(MINUTE, make_bars(50_000))])
        exporting = asyncio.create_task(export_parquet(store, tmp_path / "bars", [MINUTE], ALWAYS))
        await asyncio.wait([exporting])
        assert exporting.cancelled()
        assert {file.name for file in tmp_path.iterdir()} == {"history.duckdb", "history.duckdb.wal"}
