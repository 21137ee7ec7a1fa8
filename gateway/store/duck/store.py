"""History in one DuckDB file: nothing to install, and small enough to copy.

    series    (id, venue, native, interval)     interval 0: the single trades of a symbol
    fresh     bars as they came                 every write appends here
    bars      runs of bars by series, opening   what `fresh` grew to, sorted and put away
    coverage  (series, from_ms, to_ms)
    ticks     single trades as they came

The rules of this file:
- No table has a key: an index would be larger than the bars. The same opening may stand in several rows,
  and the highest version holds, when it is read.
- A write has returned when its transaction is in DuckDB's log and the log is on disk. Writes that come
  meanwhile share the next transaction.
- When `fresh` holds a million rows they are sorted into `bars`, in one transaction, and replace what they
  correct there: half a second in which writes wait. Sorted bars are half as large, and a read skips what
  its series is not in.
- DuckDB moves its log into the file when that has 16 MB. Reads see the state of their beginning
  and wait for neither.
- One thread writes, two read; the event loop never does.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import numpy as np
import structlog

from gateway.store.convoy import Convoy
from gateway.store.duck.bars import BAR_FIELDS, fetch_bars
from gateway.store.duck.batch import EVERY_BAR, TICKS, Batch, Catalog, read_catalog
from gateway.store.duck.file import DuckFile
from gateway.store.history import Span, StoreDown
from gateway.store.operations import OperatedStore, Operation, newest
from protocol.bars import Bars, Series, no_bars
from protocol.events import Trade

FRESH_ROWS: Final = 1_000_000
READERS: Final = 2
MINUTE_MS: Final = 60_000
_FIELDS: Final = ", ".join(BAR_FIELDS)
_BARS_BETWEEN: Final = f"""
    SELECT {_FIELDS} FROM bars WHERE series = $series AND open_ms >= $from_ms AND open_ms < $to_ms
    UNION ALL
    SELECT {_FIELDS} FROM fresh WHERE series = $series AND open_ms >= $from_ms AND open_ms < $to_ms
"""
_BARS_CHANGED: Final = f"""
    SELECT {_FIELDS} FROM {EVERY_BAR} WHERE series = $series AND version > $after_us
    ORDER BY open_ms DESC LIMIT $limit
"""
_TICKS_BETWEEN: Final = """
    SELECT flags, count, id, exchange_us, price, quantity FROM ticks
    WHERE series = $series AND exchange_us >= $from_us AND exchange_us < $to_us
    ORDER BY id LIMIT $limit
"""
_REMOVE_REPLACED: Final = """
    DELETE FROM bars USING fresh
    WHERE bars.series = fresh.series AND bars.open_ms = fresh.open_ms AND bars.version <= fresh.version
"""
_SORT_INTO_BARS: Final = """
    INSERT INTO bars FROM fresh
    QUALIFY row_number() OVER (PARTITION BY series, open_ms ORDER BY version DESC) = 1
    ORDER BY series, open_ms
"""
R = TypeVar("R")

log = structlog.get_logger()


class DuckStore(OperatedStore):
    """Use with `async with`. Raises StoreUnusable when it is entered; the file is then as it was."""

    def __init__(self, path: Path, fresh_rows: int = FRESH_ROWS) -> None:
        self._file = DuckFile(path)
        self._fresh_rows = fresh_rows
        self._writer = ThreadPoolExecutor(1, "history-writer")
        self._readers = ThreadPoolExecutor(READERS, "history-reader")
        self._convoy = Convoy(lambda operations: self._in(self._writer, self._commit, operations))
        self._catalog = Catalog()
        self._is_known = False
        """Whether the catalog is what the file says: after a failed commit nobody knows."""
        self._put_away_at = fresh_rows

    async def __aenter__(self) -> Self:
        await self._in(self._writer, self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._readers.shutdown)  # a read that nobody waits for may be under way
        await self._in(self._writer, self._file.close)
        self._writer.shutdown()

    async def apply(self, operation: Operation) -> None:
        await self._convoy.send(operation)

    async def read(self, series: Series, from_ms: int, to_ms: int, limit: int) -> Bars:
        return await self._in(self._readers, self._read, series, from_ms, to_ms, limit)

    async def changed(self, series: Series, after_us: int, limit: int) -> Bars:
        return await self._in(self._readers, self._changed, series, after_us, limit)

    async def coverage(self, series: Series) -> list[Span]:
        return list(self._catalog.coverage.get(series, ()))

    async def series(self) -> list[Series]:
        catalog = self._catalog
        covered = {series for series, there in catalog.coverage.items() if there}
        return sorted(catalog.extents.keys() | covered)

    async def last_version(self) -> int:
        return self._catalog.last_version

    async def read_ticks(self, venue: str, native: str, from_us: int, to_us: int, limit: int) -> list[Trade]:
        series = Series(venue, native, TICKS)
        return await self._in(self._readers, self._read_ticks, series, from_us, to_us, limit)

    async def drop_ticks(self, before_us: int) -> None:
        await self._in(self._writer, self._drop_ticks, before_us)

    async def _in(self, threads: ThreadPoolExecutor, work: Callable[..., R], *arguments: Any) -> R:
        return await asyncio.get_running_loop().run_in_executor(threads, work, *arguments)

    # In the writer's thread

    def _open(self) -> None:
        self._file.open()
        self._look()

    def _look(self) -> None:
        with self._file.cursor() as cursor:
            self._catalog = read_catalog(cursor)
        self._is_known = True

    def _commit(self, operations: Sequence[Operation]) -> None:
        """Write all of them in one transaction. Raises StoreDown."""
        if not self._is_known:
            self._look()
        if self._catalog.fresh_rows >= self._put_away_at:
            self._put_away()
        batch = Batch(self._catalog, operations)
        self._is_known = False
        with self._file.cursor() as cursor:
            cursor.begin()
            batch.insert(cursor)
            cursor.commit()
        self._catalog, self._is_known = batch.catalog, True

    def _put_away(self) -> None:
        try:
            with self._file.cursor() as cursor:
                cursor.begin()
                cursor.execute(_REMOVE_REPLACED)
                cursor.execute(_SORT_INTO_BARS)
                cursor.execute("TRUNCATE fresh")
                cursor.commit()
        except StoreDown as error:  # nothing is lost by it: reads are slower until it succeeds
            log.warning("store.fresh_bars_stay", rows=self._catalog.fresh_rows, reason=str(error))
            self._put_away_at = self._catalog.fresh_rows + self._fresh_rows
        else:
            self._catalog = self._catalog._replace(fresh_rows=0)
            self._put_away_at = self._fresh_rows

    def _drop_ticks(self, before_us: int) -> None:
        with self._file.cursor() as cursor:
            cursor.execute("DELETE FROM ticks WHERE exchange_us < $before_us", {"before_us": before_us})

    # In a reader's thread

    def _read(self, series: Series, from_ms: int, to_ms: int, limit: int) -> Bars:
        """Look into windows that grow backwards, each read once, until there are enough bars."""
        catalog = self._catalog
        extent = catalog.extents.get(series)
        if extent is None or limit <= 0:
            return no_bars()
        oldest_ms, to_ms = max(from_ms, extent.from_ms), min(to_ms, extent.to_ms)
        width_ms = limit * series.interval * MINUTE_MS
        parts: list[Bars] = []
        while oldest_ms < to_ms and sum(map(len, parts)) < limit:
            window = Span(max(oldest_ms, to_ms - width_ms), to_ms)
            parts.insert(0, self._read_window(catalog.ids[series], window))
            to_ms, width_ms = window.from_ms, width_ms * 4
        return np.concatenate(parts)[-limit:] if parts else no_bars()

    def _read_window(self, number: int, window: Span) -> Bars:
        with self._file.cursor() as cursor:
            cursor.execute(_BARS_BETWEEN, {"series": number, **window._asdict()})
            return newest(fetch_bars(cursor))

    def _changed(self, series: Series, after_us: int, limit: int) -> Bars:
        number = self._catalog.ids.get(series)
        if number is None or limit <= 0:
            return no_bars()
        asked = limit + 100  # an opening may stand in several rows
        while True:
            with self._file.cursor() as cursor:
                cursor.execute(_BARS_CHANGED, {"series": number, "after_us": after_us, "limit": asked})
                rows = fetch_bars(cursor)
            bars = newest(rows)
            # One more than wanted: of the oldest opening, the newest row may be the one that was cut off.
            if len(bars) > limit or len(rows) < asked:
                return bars[-limit:]
            asked *= 2

    def _read_ticks(self, series: Series, from_us: int, to_us: int, limit: int) -> list[Trade]:
        number = self._catalog.ids.get(series)
        if number is None or limit <= 0:
            return []
        asked = limit + 100
        while True:
            window = {"series": number, "from_us": from_us, "to_us": to_us, "limit": asked}
            with self._file.cursor() as cursor:
                rows = cursor.execute(_TICKS_BETWEEN, window).fetchall()
            trades = {row[2]: Trade(0, *row) for row in rows}
            if len(trades) >= limit or len(rows) < asked:
                return list(trades.values())[:limit]
            asked *= 2
