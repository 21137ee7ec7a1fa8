"""The history store: how fast bars go in, how small they lie, how soon a chart's window is there.

Bars of a seeded market go in as a backfill brings them: page by page, newest first, all symbols in turn,
every write on disk when it returns. While they do, windows are read. Then windows of 2,000 bars at random
places, warm, are read from that store and from others that hold the same bars: an SQLite file with a
primary key, and a Parquet file, by DuckDB and, where it is installed, by pandas.
"""

import asyncio
import importlib
import importlib.util
import random
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
from zlib_ng.zlib_ng import crc32

from bench.result import Row, missing, result
from gateway.store.duck.store import DuckStore
from gateway.store.history import Change, Span
from gateway.store.parquet import export_parquet
from protocol.bars import BAR, Bars, Series

MINUTE_MS: Final = 60_000
START_MS: Final = 1_780_000_020_000
READ_EVERY_S: Final = 0.01
NAMES: Final = ", ".join(BAR.names or ())


@dataclass(frozen=True, slots=True)
class Params:
    symbols: int = 50
    days: float = 90.0
    page: int = 1_000
    """Bars of one symbol that come together."""
    pages_a_write: int = 10
    window: int = 2_000
    """Bars of one read."""
    reads: int = 500
    seed: int = 7

    @property
    def pages(self) -> int:
        return max(1, round(self.days * 1_440 / self.page))

    @property
    def bars(self) -> int:
        return self.symbols * self.pages * self.page


async def run(params: Params) -> dict[str, Any]:
    """Measure once."""
    with tempfile.TemporaryDirectory(prefix="tickgate-bench-") as folder:
        rows = [*await measure_duck(params, Path(folder)), await measure_sqlite(params, Path(folder))]
        rows += await measure_parquet(params, Path(folder) / "bars.parquet")
    digests = {row.pop("digest") for row in rows if "digest" in row}
    return result("store", params, rows, bars=params.bars, same=len(digests) == 1)


# The market


def draw_page(params: Params, symbol: int, page: int) -> Bars:
    """Walk a price on its grid of ticks, trade on a grid of lots; the same for the same arguments."""
    count, draw = params.page, np.random.default_rng([params.seed, symbol, page])
    magnitude = np.random.default_rng([params.seed, symbol]).uniform(-1, 5)
    decimals = max(0, 4 - int(magnitude // 1))
    lot_decimals = max(0, 5 - decimals)
    close = round(10 ** (magnitude + decimals)) + np.cumsum(
        np.rint(draw.normal(0, 3, count)).astype(np.int64)
    )
    opened = np.concatenate([close[:1], close[:-1]])
    high = np.maximum(opened, close) + draw.geometric(0.3, count) - 1
    low = np.minimum(opened, close) - draw.geometric(0.3, count) + 1
    trades = draw.geometric(1 / 300, count)
    volume = np.rint(draw.lognormal(np.log(5_000), 1.2, count) * trades / 300).astype(np.int64) + 1
    taker_buy = np.rint(volume * draw.uniform(0.2, 0.8, count)).astype(np.int64)
    quote = volume * ((opened + close + high + low) // 4) + draw.integers(0, 1_000, count)
    bars = np.zeros(count, BAR)
    bars["open_ms"] = START_MS + (page * count + np.arange(count)) * MINUTE_MS
    for name, ticks in (("open", opened), ("high", high), ("low", low), ("close", close)):
        bars[name] = ticks / 10.0**decimals
    bars["volume"], bars["taker_buy"] = volume / 10.0**lot_decimals, taker_buy / 10.0**lot_decimals
    bars["quote_volume"] = quote / 10.0 ** (decimals + lot_decimals)
    bars["trades"], bars["flags"] = trades, 3
    return bars


def draw_writes(params: Params) -> Iterator[list[Change]]:
    """Yield the pages in the order of a backfill, with rising versions, so many at a time."""
    version, some = 1_790_000_000_000_000, []
    for page in reversed(range(params.pages)):
        for symbol in range(params.symbols):
            bars = draw_page(params, symbol, page)
            bars["version"] = version + np.arange(params.page)
            version += 50_000 + params.page
            some.append(Change(series_of(symbol), bars))
            if len(some) == params.pages_a_write:
                yield some
                some = []
    if some:
        yield some


def series_of(symbol: int) -> Series:
    return Series("binance", f"S{symbol}USDT", 1)


def draw_windows(params: Params, oldest_page: int = 0) -> Iterator[tuple[Series, Span]]:
    """Yield random windows, for ever, of what lies between a page and the newest."""
    draw = random.Random(params.seed)
    first, last = oldest_page * params.page, params.pages * params.page
    while True:
        start = draw.randrange(first, max(first + 1, last - params.window))
        start_ms = START_MS + start * MINUTE_MS
        yield series_of(draw.randrange(params.symbols)), Span(start_ms, start_ms + params.window * MINUTE_MS)


# The stores


async def measure_duck(params: Params, folder: Path) -> list[Row]:
    """Write, read meanwhile and after; and leave the bars as a Parquet file for others."""
    path = folder / "history.duckdb"
    async with DuckStore(path) as store:
        ingest, meanwhile_ms = await write_all(params, store)
    started_s = time.perf_counter()
    async with DuckStore(path) as store:
        open_s = time.perf_counter() - started_s

        async def read(series: Series, span: Span) -> Bars:
            return await store.read(series, *span, params.window)

        reads = await read_windows(params, read)
        started_s = time.perf_counter()
        names = [series_of(symbol) for symbol in range(params.symbols)]
        await export_parquet(store, folder / "bars.parquet", names, Span(0, 2**53))
        export_s = time.perf_counter() - started_s
    figures = {"open_s": round(open_s, 2), "export_bars_per_s": round(params.bars / export_s)}
    return [
        {"name": "tickgate", **ingest, **figures, **size_of(path, params), **reads},
        {"name": "tickgate_while_written", **quantiles(meanwhile_ms)},
    ]


async def write_all(params: Params, store: DuckStore) -> tuple[Row, list[float]]:
    """Return how fast bars went in, and how long reads took meanwhile."""
    took_s, meanwhile_ms = [], [0.0]
    writes, windows = draw_writes(params), draw_windows(params, params.pages - 1)

    async def read_now_and_then() -> None:
        while True:
            await asyncio.sleep(READ_EVERY_S)
            series, span = next(windows)
            started_s = time.perf_counter()
            await store.read(series, *span, params.window)
            meanwhile_ms.append((time.perf_counter() - started_s) * 1_000)

    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(read_now_and_then())
        while (changes := await asyncio.to_thread(next, writes, None)) is not None:
            started_s = time.perf_counter()
            await store.write(changes)
            took_s.append(time.perf_counter() - started_s)
        reading.cancel()
    rate, longest_ms = params.bars / sum(took_s), max(took_s) * 1_000
    return {"ingest_bars_per_s": round(rate), "longest_write_ms": round(longest_ms)}, meanwhile_ms


async def measure_sqlite(params: Params, folder: Path) -> Row:
    """Do the same with a table that SQLite keeps in the order of its key, one transaction a write."""
    path, spent_s = folder / "history.sqlite", 0.0
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(f"CREATE TABLE bars (series, {NAMES}, PRIMARY KEY (series, open_ms)) WITHOUT ROWID")
        insert = f"INSERT OR REPLACE INTO bars VALUES ({', '.join('?' * (len(BAR.names or ()) + 1))})"
        for changes in draw_writes(params):
            started_s = time.perf_counter()
            with database:
                for series, bars in changes:
                    database.executemany(insert, ((series.native, *row) for row in bars.tolist()))
            spent_s += time.perf_counter() - started_s
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        query = f"SELECT {NAMES} FROM bars WHERE series = ? AND open_ms >= ? AND open_ms < ? ORDER BY open_ms"

        async def read(series: Series, span: Span) -> Bars:
            return np.array(database.execute(query, (series.native, *span)).fetchall(), BAR)

        reads = await read_windows(params, read)
    rate = round(params.bars / spent_s)
    return {"name": "sqlite", "ingest_bars_per_s": rate, **size_of(path, params), **reads}


async def measure_parquet(params: Params, path: Path) -> list[Row]:
    """Read the same bars from the one file that a DuckStore exported, sorted by symbol and time."""
    values = ", ".join((BAR.names or ())[1:])
    query = f"""
        SELECT epoch_ms(time) AS open_ms, {values} FROM read_parquet('{path}')
        WHERE symbol = $1 AND time >= make_timestamp_ms($2)::TIMESTAMPTZ
        AND time < make_timestamp_ms($3)::TIMESTAMPTZ ORDER BY time
    """
    with duckdb.connect(config={"threads": 2}) as database:
        database.execute("SET TimeZone = 'UTC'")

        async def read(series: Series, span: Span) -> Bars:
            return as_bars(database.execute(query, [series.native, *span]).fetchnumpy())

        rows = [{"name": "parquet_duckdb", **size_of(path, params), **await read_windows(params, read)}]
    if not is_installed("pandas", "pyarrow"):
        return [*rows, missing("parquet_pandas", "pandas and pyarrow are not installed")]
    pandas = importlib.import_module("pandas")

    async def read_by_pandas(series: Series, span: Span) -> Bars:
        first, after = (pandas.Timestamp(ms, unit="ms", tz="UTC") for ms in span)
        wanted = [("symbol", "==", series.native), ("time", ">=", first), ("time", "<", after)]
        frame = pandas.read_parquet(path, filters=wanted, partitioning=None).sort_values("time")
        opens = frame["time"].to_numpy("datetime64[ms]").astype(np.int64)
        return as_bars({"open_ms": opens, **{name: frame[name].to_numpy() for name in (BAR.names or ())[1:]}})

    return [*rows, {"name": "parquet_pandas", **await read_windows(params, read_by_pandas)}]


# What is measured


Read = Callable[[Series, Span], Awaitable[Bars]]


async def read_windows(params: Params, read: Read) -> Row:
    """Read windows at random places, the same ones for every store, after a tenth to warm up."""
    windows, took_ms, digest = draw_windows(params), [], 0
    for number in range(params.reads + params.reads // 10):
        series, span = next(windows)
        started_s = time.perf_counter()
        bars = await read(series, span)
        if number >= params.reads // 10:
            took_ms.append((time.perf_counter() - started_s) * 1_000)
        digest = crc32(bars.tobytes(), digest)
    return {**quantiles(took_ms), "digest": digest}


def quantiles(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    places = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}
    found = {name: ordered[int(len(ordered) * share)] for name, share in places.items()}
    return {name: round(value, 2) for name, value in {**found, "max_ms": ordered[-1]}.items()}


def size_of(path: Path, params: Params) -> dict[str, float]:
    return {"bytes_per_bar": round(path.stat().st_size / params.bars, 1)}


def as_bars(columns: Mapping[str, np.ndarray[Any, Any]]) -> Bars:
    bars = np.empty(len(columns["open_ms"]), BAR)
    for name in BAR.names or ():
        bars[name] = columns[name]
    return bars


def is_installed(*modules: str) -> bool:
    return all(importlib.util.find_spec(module) for module in modules)


# For people


def format_table(result: dict[str, Any]) -> str:
    """Lay the result out for a terminal."""
    params, results = result["params"], result["results"]
    lines = [
        f"store: {results['bars']:,} bars of {params['symbols']} symbols;"
        f" reads of {params['window']:,} bars, in ms",
        "",
        f"{'':<26}{'bars/s in':>12}{'bytes a bar':>13}{'p50':>8}{'p95':>8}{'p99':>8}{'max':>8}",
        *[_line_of(row) for row in results["rows"]],
    ]
    ours = results["rows"][0]
    return "\n".join(
        [
            *lines,
            "",
            f"longest write {ours['longest_write_ms']} ms, opened again in {ours['open_s']} s,"
            f" exported at {ours['export_bars_per_s']:,} bars/s;"
            f" every store gave the same bars: {results['same']}",
        ]
    )


def _line_of(row: Row) -> str:
    if "missing" in row:
        return f"{row['name']:<26}{row['missing']}"
    rate = f"{row['ingest_bars_per_s']:,}" if "ingest_bars_per_s" in row else ""
    times = "".join(f"{row[name]:>8.2f}" for name in ("p50_ms", "p95_ms", "p99_ms", "max_ms"))
    return f"{row['name']:<26}{rate:>12}{row.get('bytes_per_bar', ''):>13}{times}"
