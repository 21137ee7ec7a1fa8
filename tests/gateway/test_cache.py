"""The watchlists in a real Redis, and what becomes of them when it goes away."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from fleet import redis_server
from redis.asyncio import Redis

from gateway.cache import KEYS_A_STEP, WatchlistReader
from gateway.processes.ports import find_free_port

StartRedis = Callable[[int], AbstractAsyncContextManager[Redis]]


@pytest.fixture
def start_redis(tmp_path: Path) -> StartRedis:
    """Start redis-servers on ports of the test's choice."""
    return lambda port: redis_server(tmp_path, port)


async def test_what_is_on_any_watchlist_is_read(start_redis):
    port = find_free_port()
    async with start_redis(port) as redis, WatchlistReader(f"127.0.0.1:{port}") as reader:
        assert await reader.read() == frozenset()
        await redis.sadd("marketwatch:alice", "BTCUSDT", "BINANCE:ETHUSDT.P")
        await redis.sadd("marketwatch:bob", "BTCUSDT", "SOLUSDT")
        await redis.sadd("other:carol", "XRPUSDT")
        assert await reader.read() == {"BTCUSDT", "BINANCE:ETHUSDT.P", "SOLUSDT"}
        await redis.srem("marketwatch:bob", "SOLUSDT")
        assert await reader.read() == {"BTCUSDT", "BINANCE:ETHUSDT.P"}


async def test_thousands_of_watchlists_are_read(start_redis):
    port, users = find_free_port(), 3 * KEYS_A_STEP
    async with start_redis(port) as redis, WatchlistReader(f"127.0.0.1:{port}") as reader:
        async with redis.pipeline(transaction=False) as pipeline:
            for user in range(users):
                pipeline.sadd(f"marketwatch:{user}", f"S{user}USDT")
            await pipeline.execute()
        assert await reader.read() == {f"S{user}USDT" for user in range(users)}


async def test_what_is_no_set_or_no_text_spoils_nothing(start_redis):
    port = find_free_port()
    async with start_redis(port) as redis, WatchlistReader(f"127.0.0.1:{port}") as reader:
        await redis.set("marketwatch:broken", "BTCUSDT")
        await redis.sadd("marketwatch:alice", b"\xff\xfe", "ETHUSDT")
        read = await reader.read()
    assert read is not None
    assert "ETHUSDT" in read
    assert len(read) == 2


async def test_redis_may_be_away_and_come_back(start_redis):
    port = find_free_port()
    async with WatchlistReader(f"127.0.0.1:{port}") as reader:
        assert await reader.read() is None
        assert reader.is_down
        for _ in range(2):  # it comes, and goes again under a connection that was open
            async with start_redis(port) as redis:
                await redis.sadd("marketwatch:alice", "BTCUSDT")
                assert await reader.read() == {"BTCUSDT"}
                assert not reader.is_down
            assert await reader.read() is None


async def test_a_server_that_does_not_answer_is_not_waited_for():
    gone = asyncio.Event()

    async def stay_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        gone.set()

    async with asyncio.timeout(10):
        server = await asyncio.start_server(stay_silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with WatchlistReader(f"127.0.0.1:{port}", timeout_s=0.1) as reader:
            assert await reader.read() is None
        await gone.wait()
        server.close()


async def test_a_wrong_password_is_a_reason_like_any_other(start_redis):
    port = find_free_port()
    async with start_redis(port) as redis:
        await redis.config_set("requirepass", "right")
        async with WatchlistReader(f"127.0.0.1:{port}", "wrong") as reader:
            assert await reader.read() is None
        async with WatchlistReader(f"127.0.0.1:{port}", "right") as reader:
            assert await reader.read() == frozenset()
