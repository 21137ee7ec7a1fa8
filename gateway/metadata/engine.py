"""The connections to the database, of whichever kind it is.

SQLite, MariaDB (or MySQL) and Postgres, each through its asyncio driver. Nothing connects before it is
needed, and what was lost is found out before it is used (`pool_pre_ping`).
"""

import asyncio
import contextlib
import logging
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from gateway.metadata.errors import BadDatabaseUrl, MetadataDown
from gateway.metadata.urls import normalize_url, place_of

WRITES: Final = "tickgate_writes"
"""The execution option of a connection whose transaction writes."""
SQLITE_CONNECTIONS: Final = 4
"""Each is a thread, and one at a time writes."""
_CLOSE_TIMEOUT_S: Final = 2.0
_SQL_MODE: Final = "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"
"""Else an older server cuts what is too long and says nothing."""
_WAIT_SHARE: Final = 0.8
"""Of the time that a transaction has: who waits for a lock or a connection gives up a little earlier, and
says for what."""


@dataclass(frozen=True, slots=True)
class Pool:
    """How many connections to keep, and how long to wait."""

    max_open: int = 25
    """All in use: who comes next waits, at most `timeout_s`."""
    max_idle: int = 10
    max_life_s: float = 300.0
    timeout_s: float = 5.0
    """For one transaction, with everything."""


@contextlib.asynccontextmanager
async def open_engine(url: str, pool: Pool) -> AsyncIterator[AsyncEngine]:
    """Hold the connections until the block is left. Raises BadDatabaseUrl, or MetadataDown of a file."""
    address = make_url(normalize_url(url))
    engine = (_sqlite if address.get_backend_name() == "sqlite" else _server)(address, pool)
    # It prints a traceback for every connection that is lost. MetadataDown says that in one line.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    try:
        yield engine
    finally:
        # A server that is not there any more is not waited for.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await engine.dispose()


def _server(address: URL, pool: Pool) -> AsyncEngine:
    options: dict[str, Any] = {}
    if "sslmode" in address.query:
        options["ssl"] = tls_context(address)
    if address.get_backend_name() == "mysql":
        options |= {"charset": "utf8mb4", "sql_mode": _SQL_MODE}
    idle = max(1, min(pool.max_idle, pool.max_open))  # 0 would be no limit at all
    return create_async_engine(
        address.set(query={}),
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        pool_size=idle,
        max_overflow=pool.max_open - idle,
        pool_recycle=pool.max_life_s,
        pool_timeout=pool.timeout_s * _WAIT_SHARE,
        hide_parameters=True,
        connect_args=options,
    )


def tls_context(address: URL) -> ssl.SSLContext | Literal[False]:
    """Return how to encrypt a connection, or that it is not, as `sslmode` says. Raises BadDatabaseUrl."""
    mode, authority = address.query["sslmode"], address.query.get("sslrootcert")
    if mode == "disable":
        return False
    try:
        context = ssl.create_default_context(cafile=str(authority) if authority else None)
    except OSError as error:  # an SSLError is one
        raise BadDatabaseUrl(f"sslrootcert: {authority}: {error.strerror or error}") from None
    if mode != "verify-full":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _sqlite(address: URL, pool: Pool) -> AsyncEngine:
    make_file(address)
    engine = create_async_engine(
        address,
        pool_size=min(pool.max_open, SQLITE_CONNECTIONS),
        max_overflow=0,
        pool_timeout=pool.timeout_s * _WAIT_SHARE,
        hide_parameters=True,
        connect_args={"timeout": pool.timeout_s * _WAIT_SHARE},
    )
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say, not where Python's module guesses
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes then would fail at once when another has written meanwhile.
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def make_file(address: URL) -> None:
    """Make sure that the file of an SQLite database is there. Raises MetadataDown."""
    path = Path(address.database or "")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # It has password hashes in it. The files that SQLite puts beside it get the same mode.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise MetadataDown(place_of(address), error.strerror or str(error)) from None
