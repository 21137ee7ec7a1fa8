"""What every cache does, in memory, in Redis, while Redis is away and after that."""

import asyncio

from fleet import until

from gateway.cache.cache import Cache

LIFE_S = 60.0


async def until_gone(cache: Cache, key: str) -> None:
    async def is_gone() -> bool:
        return await cache.get(key) is None and not await cache.set_of(key)

    await until(is_gone)


async def test_what_was_put_is_there_and_nothing_else(cache):
    await cache.put({"a": b"1", "b": b"\x00\xff", "c": b""}, LIFE_S)
    assert [await cache.get(key) for key in "abcd"] == [b"1", b"\x00\xff", b"", None]


async def test_the_newest_value_holds(cache):
    await cache.put({"a": b"1"}, LIFE_S)
    await cache.put({"a": b"2"}, LIFE_S)
    assert await cache.get("a") == b"2"


async def test_a_value_is_gone_when_its_life_is_over(cache):
    await cache.put({"short": b"1"}, 0.05)
    await cache.put({"long": b"1"}, LIFE_S)
    await until_gone(cache, "short")
    assert await cache.get("long") == b"1"


async def test_any_text_is_a_key(cache):
    await cache.put({"price:ÄÖ 日本 \n*": b"1"}, LIFE_S)
    assert await cache.get("price:ÄÖ 日本 \n*") == b"1"


async def test_nothing_may_be_put_or_forgotten(cache):
    await cache.put({}, LIFE_S)
    await cache.forget()
    await cache.append("stream", [], 10)


async def test_what_is_forgotten_is_gone_whatever_it_was(cache):
    await cache.put({"value": b"1", "kept": b"1"}, LIFE_S)
    await cache.put_set("set", ["BTCUSDT"], LIFE_S)
    await cache.count("window", LIFE_S)
    await cache.spend("bucket", 1, 0.001, 1)
    await cache.forget("value", "set", "window", "bucket", "never was")
    assert (await cache.get("value"), await cache.set_of("set")) == (None, frozenset())
    assert await cache.count("window", LIFE_S) == 1
    assert await cache.spend("bucket", 1, 0.001, 1) == 0.0
    assert await cache.get("kept") == b"1"


async def test_a_set_is_replaced_as_a_whole(cache):
    assert await cache.set_of("watch") == frozenset()
    await cache.put_set("watch", ["BTCUSDT", "ETHUSDT", "BTCUSDT"], LIFE_S)
    assert await cache.set_of("watch") == {"BTCUSDT", "ETHUSDT"}
    await cache.put_set("watch", {"BINANCE:ÄUSDT.P"}, LIFE_S)
    assert await cache.set_of("watch") == {"BINANCE:ÄUSDT.P"}
    await cache.put_set("watch", [], LIFE_S)
    assert await cache.set_of("watch") == frozenset()


async def test_a_set_is_gone_when_its_life_is_over(cache):
    await cache.put_set("watch", ["BTCUSDT"], 0.05)
    await until_gone(cache, "watch")


async def test_a_set_is_no_value_and_a_value_is_no_set(cache):
    await cache.put({"value": b"1"}, LIFE_S)
    await cache.put_set("set", ["BTCUSDT"], LIFE_S)
    assert (await cache.get("set"), await cache.set_of("value")) == (None, frozenset())
    assert (await cache.get("value"), await cache.set_of("set")) == (b"1", {"BTCUSDT"})
    assert cache.is_down == bool(cache.reason)  # nothing is wrong with Redis because of that


async def test_a_bucket_gives_its_burst_and_then_says_how_long_to_wait(cache):
    assert [await cache.spend("client", 1, 0.01, 3) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert 90 < await cache.spend("client", 1, 0.01, 3) <= 100
    assert 190 < await cache.spend("client", 2, 0.01, 3) <= 200
    assert await cache.spend("another client", 1, 0.01, 3) == 0.0


async def test_a_bucket_fills_again(cache):
    assert await cache.spend("client", 5, 100.0, 5) == 0.0
    async with asyncio.timeout(10):
        while (wait_s := await cache.spend("client", 5, 100.0, 5)) > 0:
            assert wait_s <= 0.05
            await asyncio.sleep(wait_s)


async def test_what_costs_more_than_a_full_bucket_takes_a_full_one(cache):
    assert await cache.spend("client", 1_000, 0.01, 3) == 0.0
    assert await cache.spend("client", 1, 0.01, 3) > 0


async def test_of_many_at_once_only_as_many_as_the_bucket_holds_are_let_through(cache):
    waits = await asyncio.gather(*(cache.spend("client", 1, 0.001, 10) for _ in range(40)))
    assert waits.count(0.0) == 10


async def test_attempts_are_counted_one_by_one_in_their_window(cache):
    assert [await cache.count("login", LIFE_S) for _ in range(3)] == [1, 2, 3]
    assert await cache.count("another login", LIFE_S) == 1
    counted = await asyncio.gather(*(cache.count("crowd", LIFE_S) for _ in range(40)))
    assert sorted(counted) == list(range(1, 41))


async def test_a_window_ends_and_another_begins(cache):
    async def is_first() -> bool:
        return await cache.count("login", 0.05) == 1

    assert await is_first()
    await until(is_first)


async def test_a_stream_takes_entries_without_a_word(cache):
    await cache.append("prices", [{"symbol": "BTCUSDT", "price": "1.5"}], 10)
