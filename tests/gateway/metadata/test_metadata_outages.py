"""Servers that go and come back, and what is said meanwhile."""

import asyncio
import contextlib
from typing import NamedTuple

import pytest
from sqlalchemy import make_url, text

from gateway.metadata.database import MetadataDown, Pool, open_database
from gateway.metadata.engine import open_engine
from gateway.metadata.errors import BadDatabaseUrl
from gateway.metadata.migrate import prepare, status, up
from gateway.metadata.transactions import Transactions


class Sql(NamedTuple):
    """What each server calls it."""

    sleep: str
    own_id: str
    kill: str
    is_encrypted: str


SQL = {
    "mysql": Sql(
        "SELECT SLEEP(50)",
        "SELECT CONNECTION_ID()",
        "KILL {}",
        "SELECT variable_value <> '' FROM information_schema.session_status"
        " WHERE variable_name = 'Ssl_cipher'",
    ),
    "postgresql": Sql(
        "SELECT pg_sleep(50)",
        "SELECT pg_backend_pid()",
        "SELECT pg_terminate_backend({}, 10000)",
        "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    ),
}


@contextlib.asynccontextmanager
async def open_transactions(url, pool):
    async with open_engine(url, pool) as engine:
        yield Transactions(engine, pool.timeout_s)


@pytest.fixture
def server_url(server):
    return server.create_database()


async def test_a_server_that_was_away_is_used_again(server, server_url):
    await up(server_url)
    async with open_database(server_url) as database:
        await asyncio.gather(*(database.check() for _ in range(5)))
        ann = await database.users.add("ann", "a hash")

        server.stop()
        try:
            with pytest.raises(MetadataDown) as down:
                await database.users.find("ann")
            assert down.value.retry_after_s > 0
        finally:
            server.start()

        assert await asyncio.gather(*(database.users.find("ann") for _ in range(5))) == [ann] * 5


async def test_connections_that_died_unseen_are_replaced(server, server_url):
    await up(server_url)
    async with open_database(server_url) as database:
        await asyncio.gather(*(database.check() for _ in range(5)))

        server.stop()
        server.start()

        await asyncio.gather(*(database.users.add(f"user {number}", "a hash") for number in range(5)))
        assert len(await database.users.all()) == 5


async def test_what_is_cut_off_in_the_middle_is_tried_once_more(server, server_url):
    ids = []
    asleep = asyncio.Event()

    async def work(connection):
        sql = SQL[connection.dialect.name]
        ids.append(await connection.scalar(text(sql.own_id)))
        if len(ids) == 1:
            asleep.set()
            await connection.execute(text(sql.sleep))
        return sql

    async with (
        open_transactions(server_url, Pool(timeout_s=60)) as transactions,
        asyncio.TaskGroup() as tasks,
    ):
        task = tasks.create_task(transactions.write(work))
        await asleep.wait()
        sql = SQL[make_url(server_url).get_backend_name()]
        await asyncio.to_thread(server.run_sql, sql.kill.format(ids[0]))

        assert await task == sql
    assert len(set(ids)) == 2


async def test_what_is_cut_off_twice_is_down(server, server_url):
    ids = asyncio.Queue()

    async def work(connection):
        sql = SQL[connection.dialect.name]
        ids.put_nowait(await connection.scalar(text(sql.own_id)))
        await connection.execute(text(sql.sleep))

    async with open_transactions(server_url, Pool(timeout_s=60)) as transactions:
        task = asyncio.ensure_future(transactions.write(work))
        for _ in range(2):
            kill = SQL[make_url(server_url).get_backend_name()].kill.format(await ids.get())
            await asyncio.to_thread(server.run_sql, kill)
        with pytest.raises(MetadataDown):
            await task
    assert ids.empty()


async def test_a_deadlock_is_tried_again(server, server_url):
    await up(server_url)
    async with open_database(server_url) as database:
        users = [(await database.users.add(name, "a hash")).id for name in ("ann", "bob")]
    both = asyncio.Barrier(2)
    tries = []

    def change(first, second):
        async def work(connection):
            tries.append(first)
            await connection.execute(text(f"UPDATE users SET password_hash = 'b' WHERE id = {first}"))
            if len(tries) <= 2:
                await both.wait()
            await connection.execute(text(f"UPDATE users SET password_hash = 'c' WHERE id = {second}"))

        return work

    async with open_transactions(server_url, Pool(timeout_s=60)) as transactions:
        await asyncio.gather(*(transactions.write(change(*order)) for order in (users, users[::-1])))
    assert len(tries) >= 3  # who is tried again may meet the other once more


async def test_a_server_that_says_nothing_is_down_in_time(server, server_url):
    await up(server_url)
    async with open_database(server_url, Pool(timeout_s=2)) as database:
        await database.check()
        server.halt()
        try:
            with pytest.raises(MetadataDown, match="no answer in 2 s"):
                await database.check()
        finally:
            server.resume()

        async with asyncio.timeout(30):
            while True:  # what is left of the halt is soon over
                try:
                    return await database.check()
                except MetadataDown:
                    continue


async def test_more_at_once_than_connections_wait_for_each_other(server, server_url):
    await up(server_url)
    async with open_database(server_url, Pool(max_open=2, max_idle=0)) as database:
        await asyncio.gather(*(database.users.add(f"user {number}", "a hash") for number in range(20)))

        assert len(await database.users.all()) == 20


async def test_who_finds_no_connection_free_is_told(server, server_url):
    asleep = asyncio.Event()

    async def sleep(connection):
        asleep.set()
        await connection.execute(text(SQL[connection.dialect.name].sleep))

    async def ask(connection):
        await connection.execute(text("SELECT 1"))

    async with open_transactions(server_url, Pool(max_open=1, timeout_s=1)) as transactions:
        sleeping = asyncio.ensure_future(transactions.read(sleep))
        await asleep.wait()
        with pytest.raises(MetadataDown, match="all connections are in use"):
            await transactions.read(ask)
        with pytest.raises(MetadataDown, match="no answer in 1 s"):
            await sleeping
        await transactions.read(ask)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"password": "wr0ng"}, "denied|authentication failed"),
        ({"database": "nowhere"}, "nowhere"),
        ({"host": "nowhere.invalid"}, "not known|resolution"),
        ({"port": 1}, "Connect call failed"),
        ({"query": {"sslmode": "verify-full"}}, "certificate verify failed"),
    ],
)
async def test_what_cannot_be_reached_says_why_and_shows_no_secret(server, server_url, changed, reason):
    url = make_url(server_url).set(**changed).render_as_string(hide_password=False)

    async with open_database(url) as database:
        for act in (database.check(), up(url), status(url), prepare(url)):
            with pytest.raises(MetadataDown, match=reason) as down:
                await act
            assert "s3cret" not in str(down.value)
            assert "wr0ng" not in str(down.value)


@pytest.mark.parametrize("mode", ["disable", "require", "verify-full"])
async def test_a_connection_is_encrypted_and_checked_as_asked(server, server_url, mode):
    query = {"sslmode": mode} | ({"sslrootcert": str(server.certificate)} if mode == "verify-full" else {})
    address = make_url(server_url).set(host="localhost", query=query)

    async def ask(connection):
        return await connection.scalar(text(SQL[connection.dialect.name].is_encrypted))

    async with open_transactions(address.render_as_string(hide_password=False), Pool()) as transactions:
        assert bool(await transactions.read(ask)) is (mode != "disable")


async def test_a_certificate_of_another_host_is_refused(server, server_url):
    query = {"sslmode": "verify-full", "sslrootcert": str(server.certificate)}
    address = make_url(server_url).set(host="127.0.0.1", query=query)

    with pytest.raises(MetadataDown, match="certificate verify failed"):
        await status(address.render_as_string(hide_password=False))


async def test_an_authority_that_is_no_file_is_named():
    with pytest.raises(BadDatabaseUrl, match="sslrootcert: /nowhere: No such file"):
        await status("mysql://a:s3cret@host/db?sslmode=require&sslrootcert=/nowhere")


async def test_rights_that_are_missing_are_named(server, server_url):
    await up(server_url)
    address = make_url(server_url)
    create = f"CREATE USER reader{address.database} "
    server.run_sql(create + ("PASSWORD 's3cret'" if "postgres" in server_url else "IDENTIFIED BY 's3cret'"))
    if "postgres" not in server_url:
        server.run_sql(f"GRANT SELECT ON {address.database}.alembic_version TO reader{address.database}")

    reader = address.set(username=f"reader{address.database}").render_as_string(hide_password=False)
    async with open_database(reader) as database:
        with pytest.raises(MetadataDown, match="denied"):
            await database.users.all()
