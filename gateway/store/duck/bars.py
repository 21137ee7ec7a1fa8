"""Bars between numpy and a table of DuckDB: a column at a time, no value ever an object of Python."""

from collections.abc import Sequence
from typing import Any, Final

import duckdb
import numpy as np

from protocol.bars import BAR, Bars

BAR_FIELDS: Final[tuple[str, ...]] = BAR.names or ()
BAR_COLUMNS: Final = """
    series UINTEGER, open_ms BIGINT, version UBIGINT,
    open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE,
    volume DOUBLE, quote_volume DOUBLE, taker_buy DOUBLE,
    trades UINTEGER, revision USMALLINT, flags USMALLINT
"""
"""`series` is the number of a series, then the fields of BAR."""


def insert_bars(
    cursor: duckdb.DuckDBPyConnection, table: str, numbers: Sequence[int], bars: Sequence[Bars]
) -> None:
    """Add bars of several series, each with the number of its series. Raises duckdb.Error."""
    rows = np.concatenate(bars)
    columns: dict[str, np.ndarray[Any, Any]] = {
        "series": np.repeat(np.array(numbers, np.uint32), [len(one) for one in bars])
    }
    for name in BAR_FIELDS:
        columns[name] = np.ascontiguousarray(rows[name])
    cursor.register("incoming_bars", columns)
    cursor.execute(f"INSERT INTO {table} FROM incoming_bars")
    cursor.unregister("incoming_bars")


def fetch_bars(cursor: duckdb.DuckDBPyConnection) -> Bars:
    """Take what was selected, which has the fields of BAR. Raises duckdb.Error."""
    columns = cursor.fetchnumpy()
    bars = np.empty(len(columns["open_ms"]), BAR)
    for name in BAR_FIELDS:
        bars[name] = columns[name]
    return bars
