"""Bars as a Parquet file, for whoever wants to look at them with something else, and back again.

    venue VARCHAR   symbol VARCHAR (the venue's own spelling)   interval VARCHAR (1m … 1M)
    time TIMESTAMP WITH TIME ZONE (UTC, the opening)
    open high low close volume quote_volume taker_buy DOUBLE    trades UINTEGER
    revision USMALLINT   flags USMALLINT (final 1, rest 2, rebuilt 4)
    version UBIGINT (µs, when it last changed)

The file's metadata hold, under `tickgate`, the spans that are covered: JSON
[[venue, symbol, interval, [[from_ms, to_ms], …]], …].

The rules of this file:
- Exported and imported, bars are the same bit for bit.
- Neither holds more than a page of bars in memory: they pass through a DuckDB file that is gone afterwards.
- A file is whole under its name, or not there.
- What is imported is examined before the first bar is written. A store that goes away meanwhile has some
  of them: importing once more does no harm.
"""

import asyncio
import contextlib
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import duckdb
import msgspec
import numpy as np

from gateway.store import spans
from gateway.store.duck.bars import BAR_COLUMNS, BAR_FIELDS, fetch_bars, insert_bars
from gateway.store.duck.file import CONFIG
from gateway.store.history import Change, HistoryStore, Span
from protocol.bars import Bars, Series
from protocol.errors import UnknownInterval
from protocol.intervals import format_interval, opens_of, parse_interval

PAGE: Final = 50_000
"""Bars that are in memory at a time."""
LATEST_MS: Final = 7_258_118_400_000
"""The year 2200. Some stores know no time after 2262."""
_PRICES: Final = ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy")
_GLOB: Final = re.compile(r"[*?\[]")
"""What would make several files of a path."""
R = TypeVar("R")
_Covered: TypeAlias = tuple[Series, list[Span]]
_decoder: Final = msgspec.json.Decoder(list[tuple[str, str, str, list[Span]]])
_FIELDS: Final = ", ".join(BAR_FIELDS)
_VALUES: Final = ", ".join((*BAR_FIELDS[2:], "version"))
_TABLES: Final = f"""
    SET TimeZone = 'UTC';
    CREATE TABLE series (id UINTEGER, venue VARCHAR, symbol VARCHAR, interval VARCHAR);
    CREATE TABLE bars ({BAR_COLUMNS.replace(",", " NOT NULL,")} NOT NULL);
"""
_WRITE_FILE: Final = f"""
    COPY (
        SELECT venue, symbol, interval, make_timestamp_ms(open_ms)::TIMESTAMPTZ AS time, {_VALUES}
        FROM bars JOIN series ON bars.series = series.id ORDER BY venue, symbol, interval, time
    ) TO {{path}} (FORMAT parquet, COMPRESSION zstd, KV_METADATA {{{{tickgate: {{metadata}}}}}})
"""
_READ_FILE: Final = f"""
    CREATE VIEW incoming AS SELECT venue, symbol, interval, time::TIMESTAMPTZ AS time, {_VALUES}
    FROM read_parquet({{path}}, hive_partitioning = false);
    INSERT INTO series SELECT row_number() OVER (), *
    FROM (SELECT DISTINCT venue, symbol, interval FROM incoming ORDER BY ALL);
    INSERT INTO bars BY NAME SELECT id AS series, epoch_ms(time) AS open_ms, {_VALUES}
    FROM incoming JOIN series USING (venue, symbol, interval) ORDER BY id, time
"""


class BadParquet(Exception):
    """A file that cannot be written; or cannot be imported, and then nothing of it has been."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}")


class Imported(NamedTuple):
    bars: int
    series: int


async def export_parquet(store: HistoryStore, path: Path, series: Sequence[Series], span: Span) -> int:
    """Write the bars of these series that open in a span; return how many. Raises StoreDown, BadParquet."""
    count, covered = 0, []
    async with _staged(path, path.parent) as stage:
        for one in series:
            covered.append((one, spans.clip(await store.coverage(one), span)))
            to_ms = span.to_ms
            while len(page := await store.read(one, span.from_ms, to_ms, PAGE)):
                await stage.do(stage.add, one, page)
                count, to_ms = count + len(page), int(page["open_ms"][0])
        await stage.do(stage.write_file, covered)
    return count


async def import_parquet(store: HistoryStore, path: Path) -> Imported:
    """Write the bars of a file into a store, and cover what it covers. Raises StoreDown, BadParquet."""
    count = 0
    async with _staged(path) as stage:
        await stage.do(stage.read_file)
        covered = await stage.do(stage.examine)
        pages = stage.pages()
        while (page := await stage.do(next, pages, None)) is not None:
            await store.write([page])
            count += len(page.bars)
        for series, there in covered:
            for span in there:
                await store.cover(series, span)
        return Imported(count, len(stage.series))


@contextlib.asynccontextmanager
async def _staged(path: Path, folder: Path | None = None) -> AsyncIterator["_Stage"]:
    """Lend a stage with its file in a folder, or where temporary files go."""
    try:
        with (
            tempfile.TemporaryDirectory(prefix=".tickgate-", dir=folder) as own,
            duckdb.connect(Path(own) / "stage.duckdb", config=CONFIG) as database,
            ThreadPoolExecutor(1, "parquet") as thread,
        ):
            try:
                yield _Stage(path, Path(own), database, thread)
            finally:
                database.interrupt()  # who is cancelled does not wait for the end of a large file
    except (duckdb.Error, OSError) as error:
        raise BadParquet(path, str(error).partition("\n")[0]) from None


class _Stage:
    """The bars of a Parquet file as a table, by series and opening. Raises duckdb.Error and OSError."""

    def __init__(
        self, path: Path, folder: Path, database: duckdb.DuckDBPyConnection, thread: ThreadPoolExecutor
    ) -> None:
        self.series: dict[Series, int] = {}
        self._path = path
        self._unfinished = folder / "unfinished.parquet"
        self._database = database
        self._thread = thread
        database.execute(_TABLES)

    async def do(self, work: Callable[..., R], *arguments: Any) -> R:
        """Do something in the stage's own thread: DuckDB waits, the event loop does not."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def add(self, series: Series, bars: Bars) -> None:
        if series not in self.series:
            self.series[series] = len(self.series) + 1
            row = [self.series[series], series.venue, series.native, format_interval(series.interval)]
            self._database.execute("INSERT INTO series VALUES ($1, $2, $3, $4)", row)
        insert_bars(self._database, "bars", [self.series[series]], [bars])

    def write_file(self, covered: Sequence[_Covered]) -> None:
        named = [(*series[:2], format_interval(series.interval), there) for series, there in covered]
        names = {
            "path": _quote(str(self._unfinished)),
            "metadata": _quote(msgspec.json.encode(named).decode()),
        }
        self._database.execute(_WRITE_FILE.format(**names))
        self._unfinished.replace(self._path)

    def read_file(self) -> None:
        """Take the bars of the file, as far as its columns can be what they must be."""
        if not self._path.is_file():
            raise BadParquet(self._path, "there is no such file")
        self._database.execute(_READ_FILE.format(path=_quote(_GLOB.sub(r"[\g<0>]", str(self._path)))))
        for number, venue, native, interval in self._database.execute("FROM series ORDER BY id").fetchall():
            if not venue or not native or not interval:
                raise BadParquet(self._path, "venue, symbol or interval is empty in some rows")
            self.series[Series(venue, native, self._interval(interval))] = number

    def examine(self) -> list[_Covered]:
        """Look at every bar, and return what is covered. Raises BadParquet."""
        last: tuple[Series, int] | None = None
        for series, bars in self.pages():
            fault = find_fault(series, bars, last[1] if last and last[0] == series else -1)
            if fault:
                raise BadParquet(
                    self._path, f"{series.native} {format_interval(series.interval)} has {fault}"
                )
            last = series, int(bars["open_ms"][-1])
        return self._read_coverage()

    def pages(self) -> Iterator[Change]:
        """Go through the bars of each series, oldest first."""
        extents = self._database.execute("SELECT series, min(rowid), max(rowid) FROM bars GROUP BY series")
        rows = {number: (first, last) for number, first, last in extents.fetchall()}
        for series, number in self.series.items():
            first, last = rows[number]
            for start in range(first, last + 1, PAGE):
                query = f"SELECT {_FIELDS} FROM bars WHERE rowid BETWEEN $1 AND $2"
                page = self._database.execute(query, [start, min(start + PAGE - 1, last)])
                yield Change(series, fetch_bars(page))

    def _read_coverage(self) -> list[_Covered]:
        query = "SELECT value FROM parquet_kv_metadata($1) WHERE key = 'tickgate'"
        row = self._database.execute(query, [_GLOB.sub(r"[\g<0>]", str(self._path))]).fetchone()
        try:
            named = _decoder.decode(row[0]) if row else []
        except msgspec.DecodeError as error:
            raise BadParquet(self._path, f"its metadata are not ours: {error}") from None
        return [
            (Series(venue, native, self._interval(interval)), there)
            for venue, native, interval, there in named
        ]

    def _interval(self, name: str) -> int:
        try:
            return parse_interval(name)
        except UnknownInterval as error:
            raise BadParquet(self._path, str(error)) from None


def find_fault(series: Series, bars: Bars, last_ms: int) -> str | None:
    """Say what no bars of a series may have and these do. `last_ms` is the opening before the first."""
    opens = bars["open_ms"]
    if opens[0] < 0 or opens[-1] > LATEST_MS:
        return "bars before 1970 or after 2200"
    if opens[0] <= last_ms or (np.diff(opens) <= 0).any():
        return "two bars of the same time"
    if (opens_of(opens, series.interval) != opens).any():
        return "bars at times at which none opens"
    if not all(np.isfinite(bars[name]).all() for name in _PRICES):
        return "numbers that are not finite"
    return None


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
