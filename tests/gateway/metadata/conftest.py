"""Databases to test with: an SQLite file, and a database on each of the real servers."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sql_servers import MariaDb, Postgres, SqlServer, run_server

from gateway.metadata.database import Database, open_database
from gateway.metadata.migrate import up
from gateway.metadata.users import User


class Clock:
    """A clock that stands still until it is set."""

    now_ms = 1_795_294_851_261

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture(scope="session")
def mariadb() -> Iterator[SqlServer]:
    """A running MariaDB, for all the tests of a process."""
    with run_server(MariaDb) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[SqlServer]:
    """A running Postgres, for all the tests of a process."""
    with run_server(Postgres) as server:
        yield server


@pytest.fixture(params=["mariadb", "postgres"])
def server(request: pytest.FixtureRequest) -> SqlServer:
    """Each of the servers."""
    found: SqlServer = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/metadata.sqlite"


@pytest.fixture(params=["sqlite", "mariadb", "postgres"])
def empty_url(request: pytest.FixtureRequest) -> str:
    """The address of a database without tables, of each kind."""
    if request.param == "sqlite":
        url: str = request.getfixturevalue("sqlite_url")
        return url
    server: SqlServer = request.getfixturevalue(request.param)
    return server.create_database()


@pytest.fixture
async def url(empty_url: str) -> str:
    """The address of a database with all tables and no rows, of each kind."""
    await up(empty_url)
    return empty_url


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def database(url: str, clock: Clock) -> AsyncIterator[Database]:
    """An open one, of each kind."""
    async with open_database(url, now_ms=clock) as opened:
        yield opened


@pytest.fixture
async def ann(database: Database) -> User:
    """A user of that database."""
    return await database.users.add("ann", "a hash")
