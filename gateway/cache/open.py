"""Opens the cache that the settings name."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from gateway.cache.cache import Cache
from gateway.cache.memory import MemoryCache


@contextlib.asynccontextmanager
async def open_cache(
    address: str, password: str = "", database: int = 0, pool_size: int = 10
) -> AsyncIterator[Cache]:
    """Open Redis at `host:port`, or memory where that is empty. Raises nothing if Redis is away."""
    if not address:
        yield MemoryCache()
        return
    from gateway.cache.fallback import FallbackCache  # here: loading redis takes a fifth of a second
    from gateway.cache.redis import RedisStore

    async with RedisStore(address, password, database, pool_size) as redis, asyncio.TaskGroup() as tasks:
        cache = FallbackCache(redis, MemoryCache())
        await cache.probe()
        probing = tasks.create_task(cache.run())
        try:
            yield cache
        finally:
            probing.cancel()
