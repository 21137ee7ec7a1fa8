"""What a DuckDB store knows of its own contents, and how operations become one transaction of it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import duckdb

from gateway.store import spans
from gateway.store.duck.bars import insert_bars
from gateway.store.history import Change, Span
from gateway.store.operations import Cover, KeepBars, KeepTicks, Operation, Uncover
from protocol.bars import Bars, Series

TICKS: Final = 0
"""Stands for the interval where single trades are meant."""
EVERY_BAR: Final = "(FROM bars UNION ALL FROM fresh)"
_EXTENTS: Final = f"""
    SELECT venue, native, interval, min(open_ms), max(open_ms) + 1
    FROM {EVERY_BAR} AS kept JOIN series ON kept.series = series.id GROUP BY ALL
"""
_COVERAGE: Final = """
    SELECT venue, native, interval, from_ms, to_ms
    FROM coverage JOIN series ON coverage.series = series.id ORDER BY ALL
"""


class Catalog(NamedTuple):
    """A state of the store; never changed, but replaced by the next."""

    ids: Mapping[Series, int] = {}
    extents: Mapping[Series, Span] = {}
    """From the first opening to just after the last."""
    coverage: Mapping[Series, Sequence[Span]] = {}
    last_version: int = 0
    fresh_rows: int = 0


def read_catalog(cursor: duckdb.DuckDBPyConnection) -> Catalog:
    """Learn all of it from the tables."""
    coverage: dict[Series, list[Span]] = {}
    for venue, native, interval, *span in cursor.execute(_COVERAGE).fetchall():
        coverage.setdefault(Series(venue, native, interval), []).append(Span(*span))
    return Catalog(
        {Series(*name): number for number, *name in cursor.execute("FROM series").fetchall()},
        {Series(*row[:3]): Span(*row[3:]) for row in cursor.execute(_EXTENTS).fetchall()},
        coverage,
        _number(cursor, f"SELECT max(version) FROM {EVERY_BAR}"),
        _number(cursor, "SELECT count(*) FROM fresh"),
    )


class Batch:
    """The rows of some operations, and the catalog as it is when they are in."""

    def __init__(self, catalog: Catalog, operations: Sequence[Operation]) -> None:
        self._ids = dict(catalog.ids)
        self._extents = dict(catalog.extents)
        self._covered: dict[Series, Sequence[Span]] = {}
        self._bars: list[Bars] = []
        self._series: list[int] = []
        """Of each of the bars above."""
        self._ticks: list[tuple[float, ...]] = []
        self._before = catalog
        for operation in operations:
            self._add(operation)

    @property
    def catalog(self) -> Catalog:
        before, versions = self._before, [int(bars["version"].max()) for bars in self._bars]
        return Catalog(
            self._ids,
            self._extents,
            {**before.coverage, **self._covered},
            max([before.last_version, *versions]),
            before.fresh_rows + sum(map(len, self._bars)),
        )

    def insert(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Write the rows, inside the caller's transaction."""
        created = self._ids.keys() - self._before.ids.keys()
        _insert(cursor, "series", [(self._ids[series], *series) for series in created])
        _insert(cursor, "ticks", self._ticks)
        if self._covered:
            numbers = [self._ids[series] for series in self._covered]
            cursor.execute("DELETE FROM coverage WHERE series IN (SELECT unnest($1))", [numbers])
            rows = [(self._ids[series], *span) for series, there in self._covered.items() for span in there]
            _insert(cursor, "coverage", rows)
        if self._bars:
            insert_bars(cursor, "fresh", self._series, self._bars)

    def _add(self, operation: Operation) -> None:
        match operation:
            case KeepBars(changes):
                for change in changes:
                    self._add_bars(change)
            case KeepTicks(venue, native, trades):
                number = self._number(Series(venue, native, TICKS))
                self._ticks += [(number, *trade[1:]) for trade in trades]
            case Cover(series, span):
                self._covered[series] = spans.add(self._coverage(series), span)
            case Uncover(series, span):
                self._covered[series] = spans.remove(self._coverage(series), span)

    def _add_bars(self, change: Change) -> None:
        series, bars = change
        self._bars.append(bars)
        self._series.append(self._number(series))
        first, last = int(bars["open_ms"].min()), int(bars["open_ms"].max())
        known = self._extents.get(series, Span(first, last + 1))
        self._extents[series] = Span(min(known.from_ms, first), max(known.to_ms, last + 1))

    def _coverage(self, series: Series) -> Sequence[Span]:
        self._number(series)
        return self._covered.get(series, self._before.coverage.get(series, ()))

    def _number(self, series: Series) -> int:
        return self._ids.setdefault(series, len(self._ids) + 1)


def _insert(cursor: duckdb.DuckDBPyConnection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Add rows of plain values: one list a column, which is much faster than one statement a row."""
    if rows:
        columns = [list(column) for column in zip(*rows, strict=True)]
        values = ", ".join(f"unnest(${number})" for number in range(1, len(columns) + 1))
        cursor.execute(f"INSERT INTO {table} SELECT {values}", columns)


def _number(cursor: duckdb.DuckDBPyConnection, query: str) -> int:
    row = cursor.execute(query).fetchone()
    return int(row[0] or 0) if row else 0
