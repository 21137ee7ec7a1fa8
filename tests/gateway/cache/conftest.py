"""Caches on a real Redis, in every state that they may be in for long."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis_servers import RedisServer, fallback, notices, until

from gateway.cache.cache import Cache
from gateway.cache.memory import MemoryCache


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    one = RedisServer(tmp_path)
    yield one
    await one.go()


@pytest.fixture(params=["memory", "redis", "redis is away", "redis was away"])
async def cache(request: pytest.FixtureRequest, server: RedisServer) -> AsyncIterator[Cache]:
    if request.param == "memory":
        yield MemoryCache()
        return
    await server.come()
    async with fallback(server.address) as one:
        if request.param != "redis":
            await server.go()
            await notices(one)
        if request.param == "redis was away":
            await server.come()
            await until(lambda: not one.is_down)
        yield one
