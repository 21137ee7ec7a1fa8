"""The file: who may read it, who waits for whom, and what happens when it cannot be written."""

import asyncio
import sqlite3
import stat
import sys
from contextlib import closing

import pytest

from gateway.metadata.database import MetadataDown, Pool, open_database
from gateway.metadata.migrate import up

ADD_USERS = """
import asyncio, sys
from gateway.metadata.database import open_database
from gateway.metadata.migrate import prepare

async def main(url, name, count):
    await prepare(url)
    async with open_database(url) as database:
        for number in range(count):
            user = await database.users.add(f"{name} {number}", "a hash")
            await database.watchlists.add(user.id, "BTCUSDT", 10)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""
FILL_UP = """
import asyncio, resource, sys
from gateway.metadata.database import MetadataDown, open_database

async def main(url):
    async with open_database(url) as database:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
        try:
            for number in range(1_000):
                await database.users.add(f"user {number}", "h" * 255, ["P" * 2_000])
        except MetadataDown as error:
            print(number, error)
        assert len(await database.users.all()) == number

asyncio.run(main(sys.argv[1]))
"""


async def run_python(source, *arguments):
    """Run a program of Python to its end, and return what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", source, *arguments, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    return said.decode()


@pytest.fixture
async def file(sqlite_url, tmp_path):
    await up(sqlite_url)
    return tmp_path / "metadata.sqlite"


async def test_nobody_else_may_read_it(sqlite_url, file, tmp_path):
    async with open_database(sqlite_url) as database:
        await database.users.add("ann", "a hash")
        files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}

    assert files == dict.fromkeys([file.name + end for end in ("", "-wal", "-shm", ".lock")], 0o600)


async def test_its_folder_is_made(tmp_path):
    await up(f"sqlite:///{tmp_path}/not/yet/there.sqlite")

    assert (tmp_path / "not/yet/there.sqlite").exists()


async def test_processes_that_begin_and_write_at_once_lose_nothing(sqlite_url):
    await asyncio.gather(*(run_python(ADD_USERS, sqlite_url, name, "40") for name in ("a", "b", "c")))

    async with open_database(sqlite_url) as database:
        users = await database.users.all()
        assert {user.name for user in users} == {f"{name} {number}" for name in "abc" for number in range(40)}
        assert [await database.watchlists.of(user.id) for user in users] == [["BTCUSDT"]] * 120


async def test_who_reads_does_not_wait_for_who_writes(sqlite_url, file):
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        async with open_database(sqlite_url) as database:
            await database.check()
            assert await database.users.all() == []


async def test_a_file_that_stays_locked_is_down(sqlite_url, file):
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        async with open_database(sqlite_url, Pool(timeout_s=0.2)) as database:
            reason = r"metadata\.sqlite cannot be used: (database is locked|no answer)"
            with pytest.raises(MetadataDown, match=reason):
                await database.users.add("ann", "a hash")

            writer.execute("ROLLBACK")

            assert await database.users.add("ann", "a hash")


async def test_a_full_disk_is_down_and_what_is_there_stays(sqlite_url, file):
    said = await run_python(FILL_UP, sqlite_url)

    assert "cannot be used" in said
    assert int(said.split()[0]) > 10


async def test_what_is_no_database_is_down(tmp_path):
    file = tmp_path / "metadata.sqlite"
    file.write_text("something else, and long enough to see that it is no database " * 20)
    async with open_database(f"sqlite:///{file}") as database:
        for act in (database.check(), up(f"sqlite:///{file}")):
            with pytest.raises(MetadataDown, match="file is not a database"):
                await act


async def test_a_place_where_no_file_can_be_is_down(tmp_path):
    (tmp_path / "file").touch()
    for place in (f"{tmp_path}/file/metadata.sqlite", str(tmp_path)):
        with pytest.raises(MetadataDown, match="cannot be used"):
            await up(f"sqlite:///{place}")
        with pytest.raises(MetadataDown, match="cannot be used"):
            async with open_database(f"sqlite:///{place}"):
                pass


async def test_a_user_that_is_deleted_by_hand_takes_what_is_theirs_along(sqlite_url, file):
    async with open_database(sqlite_url) as database:
        ann = await database.users.add("ann", "a hash")
        await database.watchlists.add(ann.id, "BTCUSDT", 10)
        with closing(sqlite3.connect(file)) as by_hand, by_hand:
            by_hand.execute("PRAGMA foreign_keys = ON")
            by_hand.execute("DELETE FROM users")

        assert await database.watchlists.of(ann.id) == []
