"""The bounds of the cache in memory, by a clock of the test's own."""

from gateway.cache.memory import OVERHEAD_BYTES, MemoryCache

LIFE_S = 10.0


class Clock:
    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


async def test_what_was_used_least_recently_goes_first():
    cache = MemoryCache(max_bytes=3 * (OVERHEAD_BYTES + 10))
    for key in "abc":
        await cache.put({key: b"12345"}, LIFE_S)
    await cache.get("a")
    await cache.put_set("d", [], LIFE_S)
    await cache.put({"d": b"12345"}, LIFE_S)
    assert [await cache.get(key) for key in "abcd"] == [b"12345", None, b"12345", b"12345"]


async def test_the_room_that_is_taken_is_counted_whatever_happens():
    clock = Clock()
    cache = MemoryCache(now_s=clock)
    await cache.put({"a": b"1" * 1_000, "b": b"1"}, LIFE_S)
    await cache.put({"a": b"1"}, LIFE_S)
    assert cache.size_bytes < 1_000
    await cache.put_set("c", ["x" * 500, "y" * 500], LIFE_S)
    assert cache.size_bytes > 1_000
    await cache.forget("b")
    clock.now_s += LIFE_S
    assert [await cache.get("a"), await cache.set_of("c")] == [None, frozenset()]
    assert cache.size_bytes == 0


async def test_a_value_that_is_larger_than_all_the_room_is_not_kept():
    cache = MemoryCache(max_bytes=1_000)
    await cache.put({"large": b"1" * 2_000}, LIFE_S)
    assert await cache.get("large") is None
    assert cache.size_bytes == 0


async def test_a_life_begins_anew_with_every_put():
    clock = Clock()
    cache = MemoryCache(now_s=clock)
    await cache.put({"a": b"1"}, LIFE_S)
    clock.now_s += LIFE_S - 1
    await cache.put({"a": b"2"}, LIFE_S)
    clock.now_s += LIFE_S - 1
    assert await cache.get("a") == b"2"
    clock.now_s += 1
    assert await cache.get("a") is None


async def test_limits_are_bounded_and_press_nothing_else_out():
    cache = MemoryCache(max_limits=10)
    await cache.put({"session": b"1"}, LIFE_S)
    await cache.count("guesser", LIFE_S)
    for client in range(100):
        await cache.spend(f"client {client}", 1, 0.001, 1)
    assert await cache.get("session") == b"1"
    assert await cache.count("guesser", LIFE_S) == 2
    assert await cache.spend("client 99", 1, 0.001, 1) > 0
    assert await cache.spend("client 0", 1, 0.001, 1) == 0.0  # forgotten, and so full again


async def test_a_window_ends_by_the_time_it_began_with():
    clock = Clock()
    cache = MemoryCache(now_s=clock)
    assert await cache.count("login", 10) == 1
    clock.now_s += 9
    assert await cache.count("login", 10) == 2
    clock.now_s += 1
    assert await cache.count("login", 10) == 1
