"""Bringing the tables to what this program needs, and back.

Alembic knows the steps (`migrations/versions`), the database says in `alembic_version` how far it is.
Several processes may do this at once: one does the work, the others wait for it and find it done.
"""

import asyncio
import contextlib
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.metadata.engine import Pool, make_file, open_engine
from gateway.metadata.errors import MetadataDown, MetadataError
from gateway.metadata.schema import check_schema, wrong_schema
from gateway.metadata.transactions import Transactions
from gateway.metadata.urls import is_sqlite, normalize_url, place_of

TIMEOUT_S: Final = 60.0
_RETRY_S: Final = 0.05
_FOLDER: Final = Path(__file__).parent / "migrations"
_LOCKS: Final = {
    # Held until the transaction ends, and until the connection does.
    "postgresql": "SELECT pg_advisory_xact_lock(8412640357)",
    "mysql": "SELECT GET_LOCK(CONCAT('tickgate ', MD5(DATABASE())), 3600)",
}

Result = TypeVar("Result")


class BadRevision(MetadataError):
    """There is no such step to go to."""


@dataclass(frozen=True, slots=True)
class Status:
    """How far a database is."""

    current: str | None
    """The last step that was done; None: not one."""
    head: str
    pending: list[str]
    """The steps to do, each its number and what it is about."""


async def up(url: str) -> list[str]:
    """Do the steps that are not done, and return them. Raises MetadataDown, MetadataOld of newer tables."""
    return await _work(url, lambda connection, config: _move(connection, config, "head", command.upgrade))


async def down(url: str, revision: str = "-1") -> list[str]:
    """Undo steps down to a revision (`base`: all), and return them. What they held is lost.

    Raises BadRevision, and what `up` does.
    """
    return await _work(url, lambda connection, config: _move(connection, config, revision, command.downgrade))


async def status(url: str) -> Status:
    """Say how far a database is. Raises MetadataDown, MetadataOld of newer tables."""
    return await _work(url, _status)


async def prepare(url: str) -> None:
    """Make a database ready at start: a file of our own is brought up to date, a server is only looked at.

    Raises MetadataDown, or MetadataOld with what to run.
    """
    if is_sqlite(url):
        await up(url)
        return
    async with open_engine(url, Pool(max_open=1)) as engine:
        await check_schema(Transactions(engine, Pool().timeout_s))


async def _work(url: str, act: Callable[[Connection, Config], Result]) -> Result:
    """Do something alone, in one transaction where the server can do that with tables: MariaDB cannot."""
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))

    async def work(connection: AsyncConnection) -> Result:
        await _take_turn(connection)
        return await connection.run_sync(act, config)

    async with _file_lock(url), open_engine(url, Pool(max_open=1, timeout_s=TIMEOUT_S)) as engine:
        return await Transactions(engine, TIMEOUT_S).write(work)


async def _take_turn(connection: AsyncConnection) -> None:
    lock = _LOCKS.get(connection.dialect.name)
    if lock is not None:
        await connection.execute(text(lock))


def _move(
    connection: Connection, config: Config, revision: str, act: Callable[[Config, str], None]
) -> list[str]:
    script = ScriptDirectory.from_config(config)
    before = _current(connection, script)
    config.attributes["connection"] = connection
    try:
        act(config, revision)
    except CommandError as error:
        raise BadRevision(f"cannot go from {before or 'nothing'} to {revision}: {error}") from None
    after = _current(connection, script)
    if act is command.upgrade:
        return _steps(script, after, before)
    return _steps(script, before, after)[::-1]


def _status(connection: Connection, config: Config) -> Status:
    script = ScriptDirectory.from_config(config)
    current, head = _current(connection, script), script.get_current_head() or ""
    return Status(current, head, _steps(script, head, current))


def _current(connection: Connection, script: ScriptDirectory) -> str | None:
    """Return the step that the tables are at, if it is one that we know."""
    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and found not in {one.revision for one in script.walk_revisions()}:
        raise wrong_schema(place_of(connection.engine.url), found)
    return found


def _steps(script: ScriptDirectory, upper: str | None, lower: str | None) -> list[str]:
    """List the steps that lie between two, the first one first."""
    if upper is None:
        return []
    steps = [f"{one.revision} {one.doc}" for one in script.iterate_revisions(upper, lower or "base")]
    return steps[::-1]


@contextlib.asynccontextmanager
async def _file_lock(url: str) -> AsyncIterator[None]:
    """Let one process at a time work on a database that is a file: SQLite cannot change to WAL in company."""
    if not is_sqlite(url):
        yield
        return
    address = make_url(normalize_url(url))
    make_file(address)
    try:
        handle = os.open(f"{address.database}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise MetadataDown(place_of(address), error.strerror or str(error)) from None
    try:
        await _acquire(handle, place_of(address))
        await asyncio.to_thread(_let_read_while_written, address)
        yield
    finally:
        os.close(handle)  # and with it goes the lock


async def _acquire(handle: int, place: str) -> None:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            while not _is_ours(handle):  # noqa: ASYNC110  the lock is another process's to give up
                await asyncio.sleep(_RETRY_S)
    except TimeoutError:
        raise MetadataDown(place, "another process is migrating it, and does not end") from None


def _let_read_while_written(address: URL) -> None:
    """Switch a file to a write-ahead log; it remembers that, and whoever opens it has nothing to do."""
    try:
        with contextlib.closing(sqlite3.connect(address.database or "", timeout=TIMEOUT_S)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.Error as error:
        raise MetadataDown(place_of(address), str(error)) from None


def _is_ours(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
