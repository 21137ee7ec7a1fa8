"""A cache whose Redis goes away, comes back empty, refuses, is full, or does not answer at all."""

import asyncio

import fleet
import pytest
from redis.asyncio import Redis
from redis_servers import fallback, notices, silent_server, until
from structlog.testing import capture_logs

from gateway.cache import fallback as module
from gateway.cache.memory import MemoryCache
from gateway.cache.open import open_cache

LIFE_S = 60.0


def events(logs: list) -> list[str]:
    return [one["event"] for one in logs]


async def test_that_redis_goes_and_comes_back_is_said_once_each(server):
    await server.come()
    with capture_logs() as logs:
        async with fallback(server.address) as cache:
            assert (cache.is_down, cache.reason) == (False, "")
            await server.go()
            for _ in range(3):
                await cache.put({"a": b"1"}, LIFE_S)
            assert cache.is_down
            assert server.address.rpartition(":")[2] in cache.reason
            await server.come()
            await until(lambda: not cache.is_down)
            assert cache.reason == ""
            await cache.put({"a": b"1"}, LIFE_S)
    assert events(logs) == ["cache.redis_down", "cache.redis_back"]


async def test_a_cache_opens_without_its_redis_and_finds_it_later(server):
    async with fallback(server.address) as cache:
        assert cache.is_down
        await cache.put({"a": b"1"}, LIFE_S)
        assert await cache.get("a") == b"1"
        redis = await server.come()
        await until(lambda: not cache.is_down)
        await cache.put({"b": b"2"}, LIFE_S)
        assert await redis.get("b") == b"2"


async def test_what_was_changed_meanwhile_does_not_come_back_as_it_was(server):
    redis = await server.come()
    async with fallback(server.address) as cache:
        await cache.put({"session:revoked": b"1", "session:renewed": b"1", "session:same": b"1"}, LIFE_S)
        await cache.put_set("marketwatch:1", ["BTCUSDT"], LIFE_S)
        await server.lock_out(redis)
        await notices(cache)
        await cache.forget("session:revoked")
        await cache.put({"session:renewed": b"2"}, LIFE_S)
        await cache.put_set("marketwatch:1", ["ETHUSDT"], LIFE_S)
        assert await cache.get("session:renewed") == b"2"
        assert await cache.get("session:same") is None  # a miss is never wrong
        await server.open(redis)
        await until(lambda: not cache.is_down)
        assert await cache.get("session:revoked") is None
        assert await cache.get("session:renewed") is None
        assert await cache.set_of("marketwatch:1") == frozenset()
        assert await cache.get("session:same") == b"1"


async def test_more_changes_than_are_remembered_cost_the_first_of_them(server, monkeypatch):
    monkeypatch.setattr(module, "MOST_CHANGED", 2)
    redis = await server.come()
    async with fallback(server.address) as cache:
        await cache.put({"a": b"1", "b": b"1", "c": b"1"}, LIFE_S)
        await server.lock_out(redis)
        await notices(cache)
        await cache.forget("a", "b", "c")
        await server.open(redis)
        await until(lambda: not cache.is_down)
        assert [await cache.get(key) for key in "abc"] == [b"1", None, None]


async def test_limits_in_memory_outlive_a_return_of_redis(server):
    async with fallback(server.address) as cache:
        assert await cache.spend("client", 3, 0.001, 3) == 0.0
        assert [await cache.count("login", LIFE_S) for _ in range(2)] == [1, 2]
        await server.come()
        await until(lambda: not cache.is_down)
        assert await cache.count("login", LIFE_S) == 1  # in Redis it is new
        await server.go()
        await notices(cache)
        assert await cache.spend("client", 1, 0.001, 3) > 0
        assert await cache.count("login", LIFE_S) == 3


async def test_a_redis_that_never_answers_holds_up_nobody_for_long():
    async with (
        asyncio.timeout(10),
        silent_server() as (address, connections),
        fallback(address, timeout_s=0.1) as cache,
    ):
        assert cache.is_down
        assert "0.1 s" in cache.reason
        before = connections()
        for _ in range(1_000):
            await cache.spend("client", 1, 100.0, 2_000)
            await cache.put({"a": b"1"}, LIFE_S)
        assert await cache.get("a") == b"1"
        await until(lambda: connections() > before)  # it is tried again all the same


async def test_a_redis_that_stops_answering_is_left_alone_after_the_first_timeout(server):
    redis = await server.come()
    async with fallback(server.address, timeout_s=0.2) as cache:
        values = {str(number): str(number).encode() for number in range(200)}
        await cache.put(values, LIFE_S)
        await redis.client_pause(3_000)
        answers = await asyncio.wait_for(asyncio.gather(*(cache.get(key) for key in values)), 2)
        assert cache.is_down
        assert answers == [None] * 200
        await redis.client_unpause()
        await until(lambda: not cache.is_down)
        # Nobody gets the answer to a question that was given up before.
        assert await asyncio.gather(*(cache.get(key) for key in reversed(values))) == [*values.values()][::-1]


async def tries(redis: Redis) -> int:
    """Count how often somebody has said a password."""
    return (await redis.info("commandstats"))["cmdstat_auth"]["calls"]


async def test_a_wrong_password_is_said_once_and_clearly(server):
    redis = await server.come()
    await redis.config_set("requirepass", "right")
    with capture_logs() as logs:
        async with fallback(server.address, "wrong") as cache:
            tried = await tries(redis)

            async def is_tried_again() -> bool:
                return await tries(redis) > tried

            for _ in range(3):
                await cache.put({"a": b"1"}, LIFE_S)
            await fleet.until(is_tried_again)
            assert cache.is_down
    assert events(logs) == ["cache.redis_down"]
    assert logs[0]["reason"].startswith(f"{server.address} does not accept our password: ")
    assert "wrong" not in logs[0]["reason"].partition(": ")[2].split()


async def test_a_missing_password_is_the_same_and_a_password_too_many_too(server):
    redis = await server.come()
    async with fallback(server.address, "too many") as cache:
        assert "password" in cache.reason
    await redis.config_set("requirepass", "right")
    async with fallback(server.address) as cache:
        assert "password" in cache.reason
    async with fallback(server.address, "right") as cache:
        assert cache.reason == ""


async def test_a_full_redis_is_still_read_and_what_it_did_not_take_is_gone(server):
    redis = await server.come()
    with capture_logs() as logs:
        async with fallback(server.address) as cache:
            await cache.put({"a": b"1", "b": b"1"}, LIFE_S)
            await cache.put_set("s", ["BTCUSDT"], LIFE_S)
            await redis.config_set("maxmemory", 1)
            for _ in range(2):
                await cache.put({"a": b"2"}, LIFE_S)
                await cache.put_set("s", ["ETHUSDT"], LIFE_S)
                await cache.append("stream", [{"a": "1"}], 10)
            assert not cache.is_down
            assert "memory" in cache.reason
            assert [await cache.get("a"), await cache.get("b")] == [None, b"1"]
            assert await cache.set_of("s") == frozenset()
            assert [await cache.count("login", LIFE_S) for _ in range(3)] == [1, 2, 3]
            assert await cache.spend("client", 1, 0.001, 1) == 0.0
            assert await cache.spend("client", 1, 0.001, 1) > 0
            await redis.config_set("maxmemory", 0)
            await until(lambda: not cache.reason)
            await cache.put({"a": b"3"}, LIFE_S)
            assert await redis.get("a") == b"3"
    assert events(logs) == ["cache.redis_refuses", "cache.redis_back"]


async def test_a_replica_is_read_and_never_trusted_with_what_it_cannot_forget(server):
    redis = await server.come()
    async with fallback(server.address) as cache:
        await cache.put({"session": b"1"}, LIFE_S)
        await redis.replicaof("127.0.0.1", "1")  # nobody is there: it keeps what it has, and takes nothing
        await cache.put({"other": b"1"}, LIFE_S)
        assert not cache.is_down
        assert await cache.get("session") == b"1"
        await server.lock_out(redis)
        await notices(cache)
        await cache.forget("session")
        await server.open(redis)
        await until(lambda: "read only" in cache.reason)
        assert cache.is_down
        assert await cache.get("session") is None
        await redis.replicaof("no", "one")
        await until(lambda: not cache.reason)
        assert await cache.get("session") is None


async def test_a_redis_that_has_lost_everything_is_a_cache_like_any_other(server):
    redis = await server.come()
    async with fallback(server.address) as cache:
        await cache.put({"a": b"1"}, LIFE_S)
        await cache.spend("client", 1, 0.001, 1)
        await redis.flushall()
        await redis.script_flush()
        assert await cache.get("a") is None
        assert await cache.spend("client", 1, 0.001, 1) == 0.0
        assert await cache.count("login", LIFE_S) == 1
        assert not cache.is_down


async def test_a_redis_that_restarts_between_two_questions_is_hardly_noticed(server):
    await server.come()
    async with fallback(server.address) as cache:
        await cache.put({"a": b"1"}, LIFE_S)
        await server.go()
        await server.come()
        assert await cache.get("a") is None
        assert not cache.is_down


async def test_more_callers_than_connections_take_turns(server):
    redis = await server.come()
    async with open_cache(server.address, pool_size=2) as cache:
        await cache.put({"a": b"1"}, LIFE_S)
        assert await asyncio.gather(*(cache.get("a") for _ in range(100))) == [b"1"] * 100
        assert not cache.is_down
        assert len(await redis.client_list()) <= 3


async def test_a_stream_has_what_was_appended_and_about_so_many_entries(server):
    redis = await server.come()
    async with open_cache(server.address) as cache:
        await cache.append("prices", [{"symbol": "BTCUSDT", "price": "1.5"}], 100)
        [(_, entry)] = await redis.xrange("prices")
        assert entry == {b"symbol": b"BTCUSDT", b"price": b"1.5"}
        for _ in range(10):
            await cache.append("prices", [{"n": str(n)} for n in range(100)], 100)
        assert await redis.xlen("prices") < 400


async def test_without_an_address_there_is_memory():
    async with open_cache("") as cache:
        assert isinstance(cache, MemoryCache)
        assert (cache.is_down, cache.reason) == (False, "")


async def test_what_is_raised_inside_is_raised(server):
    await server.come()
    with pytest.raises(ExceptionGroup) as raised:
        async with open_cache(server.address):
            raise KeyError("a")
    assert [type(one) for one in raised.value.exceptions] == [KeyError]
