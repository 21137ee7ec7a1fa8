"""Redis as a role finds it, if there is one."""

import contextlib
from collections.abc import AsyncIterator

from gateway.cache.cache import Cache
from gateway.cache.memory import MemoryCache
from gateway.cache.open import open_cache
from gateway.config.load import Settings


@contextlib.asynccontextmanager
async def open_redis(settings: Settings) -> AsyncIterator[Cache | None]:
    """Open the cache that processes share; None where each has only its own."""
    redis = settings.cache.redis
    if not redis.addr:
        yield None
        return
    password = redis.password.get_secret_value()
    async with open_cache(redis.addr, password, redis.db, redis.pool_size) as cache:
        yield cache


@contextlib.asynccontextmanager
async def open_own_cache(settings: Settings) -> AsyncIterator[Cache]:
    """Open the cache that processes share, or memory of our own."""
    async with open_redis(settings) as shared:
        yield MemoryCache() if shared is None else shared
