"""What a DuckDB file promises beyond the conformance of all stores."""

import asyncio
import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
import textwrap

import duckdb
import numpy as np
import pytest

from gateway.store.duck.store import DuckStore
from gateway.store.history import Change, Span, StoreDown, StoreUnusable
from protocol.bars import Series

SERIES = Series("binance", "BTCUSDT", 1)
OTHER = Series("binance", "ETHUSDT", 1)
WRITER = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    import numpy as np
    from gateway.store.duck.store import DuckStore
    from gateway.store.history import Change, Span
    from protocol.bars import BAR, Series

    async def main(path, first):
        async with DuckStore(Path(path), fresh_rows=50_000) as store:
            for number in range(first, first + 1_000):
                series = Series("venue", f"S{number % 3}", 1)
                bars = np.zeros(3_000, BAR)
                bars["open_ms"] = (number * 3_000 + np.arange(3_000)) * 60_000
                bars["version"] = number * 3_000 + np.arange(3_000) + 1
                bars["close"] = np.random.default_rng(number).random(3_000)
                await store.write([Change(series, bars)])
                await store.cover(series, Span(number, number + 1))
                print(number, flush=True)

    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
    """
)


def start_writer(path, first=0):
    """A process of its own that writes 3,000 bars at a time, and prints the number of each write after it."""
    return subprocess.Popen([sys.executable, "-c", WRITER, path, str(first)], stdout=subprocess.PIPE)


@contextlib.contextmanager
def full_disk(max_bytes):
    """To who writes, a limit on the size of files is as a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def everything(store, series=SERIES):
    return await store.read(series, 0, 2**53, 1_000_000)


async def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path):
    path = tmp_path / "history.duckdb"
    draw, acknowledged = random.Random(5), -1
    for _ in range(3):
        with start_writer(path, acknowledged + 1) as writer:
            for _ in range(draw.randrange(10, 60)):
                acknowledged = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            acknowledged = int((writer.stdout.read().split() or [acknowledged])[-1])
        async with DuckStore(path) as store:
            names = await store.series()
            kept = np.concatenate([await everything(store, series) for series in names])
            spans = [span for series in names for span in await store.coverage(series)]
        kept.sort(order="version")
        writes = acknowledged + 1
        assert len(kept) in (3_000 * writes, 3_000 * (writes + 1)), (
            "a write is there as a whole or not at all"
        )
        assert kept["version"].tolist() == list(range(1, len(kept) + 1))
        for number in range(writes):
            there = kept["close"][3_000 * number : 3_000 * (number + 1)]
            assert (there == np.random.default_rng(number).random(3_000)).all()
        assert set(range(writes)) <= {number for from_ms, to_ms in spans for number in range(from_ms, to_ms)}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def refuse(path, reason):
    """Open a store that cannot be opened, and see that it stays as it is."""
    before = contents(path.parent)
    with pytest.raises(StoreUnusable, match=reason) as refused:
        async with DuckStore(path):
            pass
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert contents(path.parent) == before


@pytest.fixture
async def filled(tmp_path, make_bars):
    """The path of a store with some bars in it."""
    path = tmp_path / "history.duckdb"
    async with DuckStore(path) as store:
        await store.write(
            [Change(Series("binance", f"S{n}", 1), make_bars(20_000, seed=n)) for n in range(10)]
        )
    return path


@pytest.mark.parametrize("content", [b"", b"hello", b"x" * 100_000, b"SQLite format 3\0" + bytes(8_192)])
async def test_what_is_no_duckdb_file_is_left_untouched(tmp_path, content):
    path = tmp_path / "history.duckdb"
    path.write_bytes(content)
    await refuse(path, "is not a DuckDB file")


async def test_a_store_cut_short_is_left_untouched(filled):
    os.truncate(filled, filled.stat().st_size - 300_000)
    await refuse(filled, "its end is missing|cannot be opened")
    os.truncate(filled, 9_000)
    await refuse(filled, "cannot be opened")


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
async def test_a_damaged_store_is_left_untouched(filled, share):
    data = bytearray(filled.read_bytes())
    start = int(len(data) * share)
    data[start : start + 300_000] = bytes(len(data[start : start + 300_000]))  # a block at least
    filled.write_bytes(data)
    await refuse(filled, "cannot be opened: Corrupt database file")


async def test_a_damaged_log_is_left_untouched(tmp_path):
    path = tmp_path / "history.duckdb"
    with start_writer(path) as writer:
        for _ in range(10):
            writer.stdout.readline()
        writer.kill()
    log = path.with_name("history.duckdb.wal")
    data = bytearray(log.read_bytes())
    data[len(data) // 3] ^= 1
    log.write_bytes(data)
    await refuse(path, "cannot be opened: Failure while replaying WAL")


async def test_a_database_of_another_program_is_left_untouched(tmp_path):
    path = tmp_path / "history.duckdb"
    with duckdb.connect(path) as database:
        database.execute("CREATE TABLE bars (a INTEGER)")
    await refuse(path, "of another program")


async def test_a_newer_store_is_left_untouched(filled):
    with duckdb.connect(filled) as database:
        database.execute("UPDATE tickgate SET format = 99")
    await refuse(filled, "has format 99; this version reads up to 1")


async def test_a_store_in_use_is_left_alone(tmp_path):
    path = tmp_path / "history.duckdb"
    with start_writer(path) as writer:
        writer.stdout.readline()
        with pytest.raises(StoreUnusable, match="lock"):
            async with DuckStore(path):
                pass
        assert writer.stdout.readline(), "the other one goes on"
        writer.kill()


async def test_a_folder_that_cannot_be_is_said(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StoreUnusable, match="cannot be opened"):
        async with DuckStore(tmp_path / "data" / "history.duckdb"):
            pass


async def test_a_creation_that_was_killed_is_begun_again(tmp_path, make_bars):
    path = tmp_path / "history.duckdb"
    (tmp_path / "history.duckdb.new").write_bytes(b"half of it")
    async with DuckStore(path) as store:
        await store.write([Change(SERIES, make_bars(3))])
    assert [file.name for file in tmp_path.iterdir()] == ["history.duckdb"]


async def test_bars_that_are_put_away_replace_what_they_correct(tmp_path, make_bars):
    path = tmp_path / "history.duckdb"
    async with DuckStore(path, fresh_rows=1_000) as store:
        for version in (1, 10_001, 20_001, 30_001):
            await store.write([Change(SERIES, make_bars(1_500, version=version, seed=version))])
        corrected = make_bars(1, version=90_000)
        await store.write([Change(SERIES, corrected)])
        expected = make_bars(1_500, version=30_001, seed=30_001)
        expected[0] = corrected[0]
        assert (await everything(store)).tobytes() == expected.tobytes()
    with duckdb.connect(path) as database:
        assert database.execute("SELECT count(*) FROM bars").fetchone() == (1_500,)
        assert database.execute("SELECT count(*) FROM fresh").fetchone() == (1,)


async def test_a_full_disk_is_down_and_not_the_end(tmp_path, make_bars):
    path = tmp_path / "history.duckdb"
    async with DuckStore(path) as store:
        await store.write([Change(SERIES, make_bars(100))])
        with full_disk(path.stat().st_size + 20_000):
            with pytest.raises(StoreDown, match="File too large"):
                await store.write([Change(OTHER, make_bars(5_000))])
            assert len(await everything(store)) == 100, "what is there can be read"
        third = Series("binance", "SOLUSDT", 1)
        await store.write([Change(third, make_bars(50, seed=3))])
        await store.write([Change(OTHER, make_bars(60, seed=4))])
        assert (await everything(store, third)).tobytes() == make_bars(50, seed=3).tobytes()
        assert (await everything(store, OTHER)).tobytes() == make_bars(60, seed=4).tobytes()


async def test_a_database_that_broke_is_opened_again(tmp_path, make_bars):
    """A checkpoint that finds the disk full breaks it, after the bars of a new series were committed."""
    path = tmp_path / "history.duckdb"
    written = 0
    async with DuckStore(path) as store:
        await store.write([Change(SERIES, make_bars(200_000))])
        with full_disk(17_000_000), pytest.raises(StoreDown, match="checkpoint failed"):  # noqa: PT012 - some write
            for written in range(1, 1_000):
                one = Series("binance", f"S{written}", 1)
                await store.write([Change(one, make_bars(1_000, seed=written))])
        third = Series("binance", "third", 1)
        await store.write([Change(third, make_bars(50, seed=3))])
        assert (await everything(store, third)).tobytes() == make_bars(50, seed=3).tobytes()
        for number in range(1, written):
            there = await everything(store, Series("binance", f"S{number}", 1))
            assert there.tobytes() == make_bars(1_000, seed=number).tobytes()


async def test_a_closed_store_says_so(tmp_path):
    async with DuckStore(tmp_path / "history.duckdb") as store:
        await store.cover(SERIES, Span(1, 2))
    with pytest.raises(RuntimeError, match="shutdown"):
        await store.read(SERIES, 0, 1, 1)


async def test_a_write_that_nobody_waits_for_any_more_harms_nobody(tmp_path, make_bars):
    async with DuckStore(tmp_path / "history.duckdb") as store:
        for number in range(20):
            given_up = asyncio.create_task(
                store.write([Change(Series("v", f"A{number}", 1), make_bars(5, seed=number))])
            )
            kept = asyncio.create_task(
                store.write([Change(Series("v", f"B{number}", 1), make_bars(5, seed=number))])
            )
            await asyncio.sleep(0)
            given_up.cancel()
            await kept
        for number in range(20):
            there = await everything(store, Series("v", f"B{number}", 1))
            assert there.tobytes() == make_bars(5, seed=number).tobytes()


async def test_it_closes_while_a_read_is_under_way_that_nobody_waits_for(tmp_path, make_bars):
    path = tmp_path / "history.duckdb"
    async with DuckStore(path) as store:
        await store.write([Change(SERIES, make_bars(200_000))])
        reads = [asyncio.create_task(everything(store)) for _ in range(10)]
        await asyncio.sleep(0)
        for one in reads:
            one.cancel()
    async with DuckStore(path) as store:
        assert len(await everything(store)) == 200_000


async def test_many_reads_at_once(tmp_path, make_bars):
    async with DuckStore(tmp_path / "history.duckdb") as store:
        await store.write([Change(SERIES, make_bars(3_000))])
        found = await asyncio.gather(*(store.read(SERIES, 0, 2**53, 100 + number) for number in range(200)))
        assert [len(bars) for bars in found] == list(range(100, 300))
