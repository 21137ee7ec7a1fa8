"""A Redis that goes and comes as a test says, one that says nothing, and caches on them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fleet import redis_server
from redis.asyncio import Redis

from gateway.cache.fallback import FallbackCache
from gateway.cache.memory import MemoryCache
from gateway.cache.redis import RedisStore
from gateway.processes.ports import find_free_port

PROBE_S = 0.02


@dataclass
class RedisServer:
    """A redis-server that can be stopped and started again, without what it had."""

    folder: Path
    client: Redis = field(init=False)
    """The test's own, while there is a server."""
    port: int = field(default_factory=find_free_port)
    _running: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def come(self) -> Redis:
        """Start, and return a client of the test's own."""
        self.client = await self._running.enter_async_context(redis_server(self.folder, self.port))
        return self.client

    async def go(self) -> None:
        await self._running.aclose()

    async def lock_out(self, redis: Redis) -> None:
        """Cut everybody off and let nobody in again, without losing anything, until it is opened."""
        await redis.config_set("requirepass", "locked")
        await redis.client_kill_filter(_type="normal", skipme=True)

    async def open(self, redis: Redis) -> None:
        await redis.config_set("requirepass", "")


@asynccontextmanager
async def silent_server() -> AsyncIterator[tuple[str, Callable[[], int]]]:
    """Accept connections and never say a word; yield the address, and what counts them."""
    count = 0

    async def stay_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        await reader.read()
        writer.close()

    server = await asyncio.start_server(stay_silent, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", lambda: count
    finally:
        server.close()


@asynccontextmanager
async def fallback(address: str, password: str = "", timeout_s: float = 5.0) -> AsyncIterator[FallbackCache]:
    """Open a cache that looks after its Redis every few milliseconds."""
    async with RedisStore(address, password, timeout_s=timeout_s) as redis, asyncio.TaskGroup() as tasks:
        cache = FallbackCache(redis, MemoryCache(), PROBE_S)
        await cache.probe()
        probing = tasks.create_task(cache.run())
        yield cache
        probing.cancel()


async def until(condition: Callable[[], bool]) -> None:
    """Look again and again: what is looked at has no event."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # see above
            await asyncio.sleep(0.005)


async def notices(cache: FallbackCache) -> None:
    """Use a cache, that it sees that Redis is gone."""
    await cache.get("anything")
    assert cache.is_down
