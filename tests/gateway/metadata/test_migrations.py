"""The migrations, on every kind of database."""

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from gateway.metadata.database import Database, open_database
from gateway.metadata.engine import Pool, open_engine
from gateway.metadata.errors import MetadataOld
from gateway.metadata.migrate import BadRevision, Status, down, prepare, status, up
from gateway.metadata.schema import HEAD
from gateway.metadata.tables import TABLES

FIRST = "0001 users, sessions, keys, market watch, symbols"


async def run_sql(url, *statements):
    async with open_engine(url, Pool()) as engine, engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def tables_of(url):
    async with open_engine(url, Pool()) as engine, engine.connect() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


async def test_up_makes_the_tables_and_down_removes_them(empty_url):
    assert await status(empty_url) == Status(None, HEAD, [FIRST])

    assert await up(empty_url) == [FIRST]
    assert await status(empty_url) == Status(HEAD, HEAD, [])
    assert await up(empty_url) == []
    assert await tables_of(empty_url) == {*TABLES.tables, "alembic_version"}

    assert await down(empty_url) == [FIRST]
    assert await status(empty_url) == Status(None, HEAD, [FIRST])
    assert await tables_of(empty_url) == {"alembic_version"}

    assert await up(empty_url) == [FIRST]
    assert await down(empty_url, "base") == [FIRST]


async def test_the_migrations_make_what_the_program_expects(url):
    def compare(connection):
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, TABLES)

    async with open_engine(url, Pool()) as engine, engine.connect() as connection:
        assert await connection.run_sync(compare) == []


async def test_those_who_migrate_at_once_find_it_done(empty_url):
    done = await asyncio.gather(*(up(empty_url) for _ in range(4)))

    assert sorted(done) == [[], [], [], [FIRST]]


async def test_a_database_without_tables_says_what_to_run(empty_url):
    async with open_database(empty_url) as database:
        with pytest.raises(MetadataOld, match="run `tickgate migrate up`"):
            await database.check()
        with pytest.raises(MetadataOld, match="run `tickgate migrate up`"):
            await database.users.find("ann")

        await up(empty_url)

        await database.check()


async def test_tables_that_have_lost_a_column_say_so(url, database):
    await run_sql(url, "ALTER TABLE users DROP COLUMN symbols")

    with pytest.raises(MetadataOld):
        await database.users.find("ann")


async def test_tables_of_a_newer_program_are_left_alone(url, database: Database):
    await run_sql(url, "UPDATE alembic_version SET version_num = '9999'")

    for act in (database.check(), up(url), down(url), status(url), prepare(url)):
        with pytest.raises(MetadataOld, match="run a newer tickgate"):
            await act
    assert await database.users.all() == []


async def test_a_step_that_does_not_exist_is_refused(url):
    with pytest.raises(BadRevision, match="cannot go from 0001 to 7"):
        await down(url, "7")
    await down(url)
    with pytest.raises(BadRevision, match="cannot go from nothing to -1"):
        await down(url)


async def test_a_start_prepares_the_file_and_only_looks_at_servers(empty_url):
    if "sqlite" in empty_url:
        await prepare(empty_url)
    else:
        with pytest.raises(MetadataOld, match="run `tickgate migrate up`"):
            await prepare(empty_url)
        assert await tables_of(empty_url) == set()
        await up(empty_url)
    await prepare(empty_url)

    async with open_database(empty_url) as database:
        await database.check()
