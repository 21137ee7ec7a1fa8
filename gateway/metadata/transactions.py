"""Transactions on the database: the one place where statements run, and where its failures become ours.

The rules of this file:
- One act, one short transaction. Those that write say so: on SQLite they take the writer's place at the
  beginning, and wait for it, instead of failing in the middle.
- A connection that turns out to be dead is tried again once, a deadlock as often as `DEADLOCKS`: who lost may
  meet the other again. Not at the commit: nobody knows then whether it was done.
- A transaction may take `timeout_s` with all of that, then the database counts as down.
- What a statement breaks (a unique name, a foreign key) is the caller's to name. What is wrong with the
  server, the file or the network is MetadataDown; tables that are not there are MetadataOld.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from sqlalchemy import Executable, Row, Select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.metadata.engine import WRITES
from gateway.metadata.errors import MetadataDown, MetadataOld
from gateway.metadata.urls import place_of

Result = TypeVar("Result")
AnyRow: TypeAlias = Row[*tuple[Any, ...]]
Work: TypeAlias = Callable[[AsyncConnection], Awaitable[Result]]

DEADLOCKS: Final = 3
_NO_TABLE: Final = frozenset({"42P01", "42703", "1146", "1054"})
"""No such table, no such column: Postgres, MariaDB. SQLite says it in words."""
_DEADLOCK: Final = frozenset({"40P01", "40001", "1213"})
_REFUSED: Final = frozenset({"42501", "1142", "1143", "1044"})
"""Rights are missing."""


class Transactions:
    """Runs what is to be read and written, each in a transaction of its own."""

    def __init__(self, engine: AsyncEngine, timeout_s: float) -> None:
        self.place = place_of(engine.url)
        self._engine = engine
        self._timeout_s = timeout_s

    async def rows(self, statement: Select[*tuple[Any, ...]]) -> Sequence[AnyRow]:
        """Return what a query finds."""

        async def fetch(connection: AsyncConnection) -> Sequence[AnyRow]:
            return (await connection.execute(statement)).all()

        return await self.read(fetch)

    async def row(self, statement: Select[*tuple[Any, ...]]) -> AnyRow | None:
        """Return the one row that a query can find."""
        found = await self.rows(statement)
        return found[0] if found else None

    async def change(self, statement: Executable) -> int:
        """Run one statement that writes; return how many rows it matched."""

        async def execute(connection: AsyncConnection) -> int:
            return (await connection.execute(statement)).rowcount

        return await self.write(execute)

    async def read(self, work: Work[Result]) -> Result:
        """Run what only reads, and sees one state of the database where the server keeps that."""
        return await self._run(work, writes=False)

    async def write(self, work: Work[Result]) -> Result:
        """Run what writes: all of it happens, or nothing. It may be run again, from its beginning."""
        return await self._run(work, writes=True)

    async def _run(self, work: Work[Result], *, writes: bool) -> Result:
        try:
            async with asyncio.timeout(self._timeout_s):
                for _ in range(DEADLOCKS):
                    try:
                        return await self._once(work, writes)
                    except DBAPIError as error:
                        if error.connection_invalidated:
                            break
                        if _code(error) not in _DEADLOCK:
                            raise
                return await self._once(work, writes)
        except TimeoutError:
            raise MetadataDown(self.place, f"no answer in {self._timeout_s:g} s") from None
        except (SQLAlchemyError, OSError, sqlite3.Error) as error:
            if (down := self._explain(error)) is None:
                raise
            raise down from error

    async def _once(self, work: Work[Result], writes: bool) -> Result:
        async with self._engine.connect() as connection:
            await connection.execution_options(**{WRITES: writes})
            result = await work(connection)
            try:
                await connection.commit()
            except DBAPIError as error:
                raise MetadataDown(self.place, _words(error)) from error
            return result

    def _explain(self, error: Exception) -> MetadataDown | None:
        """Return what is wrong with the database; None: it is well, and the statement was not."""
        if isinstance(error, IntegrityError | DataError):
            return None
        code, words = _code(error), _words(error)
        if code in _NO_TABLE or "no such table" in words or "no such column" in words:
            return MetadataOld(self.place, f"its tables are not those of this program ({words})")
        if isinstance(error, ProgrammingError) and code not in _REFUSED:
            return None
        if isinstance(error, SQLAlchemyError) and not isinstance(error, DBAPIError | PoolTimeout):
            return None
        return MetadataDown(self.place, words)


def _code(error: Exception) -> str:
    """Return the server's code of an error: five characters from Postgres, a number from MariaDB."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    first = cause.args[0] if cause is not None and cause.args else None
    return str(first if isinstance(first, int) else getattr(cause, "sqlstate", None))


def _words(error: Exception) -> str:
    """Return what was said, without the statement and its values."""
    if isinstance(error, PoolTimeout):
        return "all connections are in use"
    cause: BaseException = error
    if isinstance(error, DBAPIError) and error.orig is not None:
        cause = error.orig.__cause__ or error.orig
    said = cause.args[-1] if cause.args else ""
    return " ".join(str(said).split()) or type(cause).__name__
