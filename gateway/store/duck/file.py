"""The DuckDB file: made whole, examined before anything may change it, held by one process.

The rules of this file:
- A new store is made under another name and gets its own when it is complete.
- One that is there is first opened for reading only, and read through once: every block has a checksum.
  Not ours, damaged, of a newer format or in use: StoreUnusable, and not a byte of it has changed.
- A database that DuckDB declares broken (a checkpoint found the disk full) is opened again by whoever
  needs it next; what was committed is in the file or in its log.
"""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import duckdb

from gateway.store.duck.bars import BAR_COLUMNS
from gateway.store.history import StoreDown, StoreUnusable
from gateway.store.segments import sync_folder

FORMAT: Final = 1
SCHEMA: Final = f"""
    CREATE TABLE tickgate (format INTEGER);
    INSERT INTO tickgate VALUES ({FORMAT});
    CREATE TABLE series (id UINTEGER, venue VARCHAR, native VARCHAR, interval INTEGER);
    CREATE TABLE coverage (series UINTEGER, from_ms BIGINT, to_ms BIGINT);
    CREATE TABLE fresh ({BAR_COLUMNS});
    CREATE TABLE bars ({BAR_COLUMNS});
    CREATE TABLE ticks (
        series UINTEGER, flags USMALLINT, count UINTEGER, id BIGINT, exchange_us BIGINT,
        price DOUBLE, quantity DOUBLE
    );
"""
TABLES: Final = ("series", "coverage", "fresh", "bars", "ticks")
CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    "threads": 2,  # a read is a millisecond's work: more threads only wait for each other
    "memory_limit": "1GB",
    "autoinstall_known_extensions": False,  # a file of another kind would have it go to the network
    "autoload_known_extensions": False,
    "python_enable_replacements": False,  # a name in SQL is a table and never a variable
}
_MAGIC: Final = b"DUCK"
_MAGIC_OFFSET: Final = 8


class DuckFile:
    """One database. Any thread may take a cursor; each is used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._database: duckdb.DuckDBPyConnection | None = None
        self._idle: list[duckdb.DuckDBPyConnection] = []
        """Cursors of it that nobody uses: as many as were used at once, at most."""
        self._is_open = False

    def open(self) -> None:
        """Open the store, or make one. Raises StoreUnusable."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self.path.exists():
                create(self.path)
            examine(self.path)
            self._database = duckdb.connect(self.path, config=CONFIG)
        except (OSError, duckdb.Error) as error:
            raise StoreUnusable(f"{self.path} cannot be opened: {_first_line(error)}") from None
        self._is_open = True

    def close(self) -> None:
        with self._lock:
            self._is_open = False
            self._let_go()

    @contextlib.contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Lend a cursor. Raises StoreDown for whatever DuckDB cannot do with it."""
        try:
            with contextlib.ExitStack() as closing:
                database, cursor = self._borrow()
                closing.callback(cursor.close)
                yield cursor
                if self._is_taken_back(database, cursor):
                    closing.pop_all()
        except duckdb.FatalException as error:
            with self._lock:
                self._let_go()
            raise StoreDown(_first_line(error)) from None
        except duckdb.Error as error:
            raise StoreDown(_first_line(error)) from None

    def _borrow(self) -> tuple[duckdb.DuckDBPyConnection, duckdb.DuckDBPyConnection]:
        with self._lock:  # a connection refuses to be asked by two threads at once
            if not self._is_open:
                raise StoreDown(f"{self.path} is closed")
            if self._database is None:
                self._database = duckdb.connect(self.path, config=CONFIG)
            return self._database, self._idle.pop() if self._idle else self._database.cursor()

    def _is_taken_back(self, database: duckdb.DuckDBPyConnection, cursor: duckdb.DuckDBPyConnection) -> bool:
        """Keep a cursor that did its work for the next one: to make one is a quarter of a read."""
        with self._lock:
            if self._database is not database:
                return False
            self._idle.append(cursor)
            return True

    def _let_go(self) -> None:
        """Close the database; only when every cursor of it is gone can it be opened anew."""
        for connection in (*self._idle, self._database):
            if connection is not None:
                connection.close()
        self._idle, self._database = [], None


def create(path: Path) -> None:
    """Make an empty store, whole or not at all. Raises OSError and duckdb.Error."""
    unfinished = path.with_name(f"{path.name}.new")
    for leftover in (unfinished, unfinished.with_name(f"{unfinished.name}.wal")):
        leftover.unlink(missing_ok=True)
    with duckdb.connect(unfinished, config=CONFIG) as database:
        database.execute(SCHEMA)
    unfinished.rename(path)
    sync_folder(path.parent)


def examine(path: Path) -> None:
    """Read a store through without changing it. Raises StoreUnusable, OSError and duckdb.Error."""
    with path.open("rb") as file:
        if file.read(_MAGIC_OFFSET + len(_MAGIC))[_MAGIC_OFFSET:] != _MAGIC:
            raise StoreUnusable(f"{path} is not a DuckDB file: move it away, or set another data folder")
    with duckdb.connect(path, read_only=True, config=CONFIG) as database:
        _check_format(path, database)
        for table in TABLES:
            database.execute(f"SELECT sum(hash(COLUMNS(*))) FROM {table}").fetchall()


def _check_format(path: Path, database: duckdb.DuckDBPyConnection) -> None:
    try:
        row = database.execute("SELECT max(format) FROM tickgate").fetchone()
    except duckdb.CatalogException:
        raise StoreUnusable(f"{path} is a DuckDB file of another program") from None
    if row is None or row[0] is None or row[0] > FORMAT:
        raise StoreUnusable(f"{path} has format {row and row[0]}; this version reads up to {FORMAT}")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
