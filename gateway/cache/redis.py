"""A store in Redis: each operation is one step there, whoever else is at work on the same key.

What goes wrong is CacheDown or CacheRefused, after `TIMEOUT_S` at the latest. A value that Redis refuses to
take is forgotten there: what it replaces must not come back.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from gateway.cache.errors import CacheDown, CacheRefused, OtherKind, WrongPassword

TIMEOUT_S: Final = 1.0
"""For one operation, a new connection and the wait for a free one included. It is a hundred times what a busy
Redis takes, and as long as a client waits for us because of it."""
Answer = TypeVar("Answer")

SPEND: Final = """
-- buckets.spend, in the server and by its clock: the key holds when the bucket is full again, in seconds
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local cost, rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local longest = burst / rate
local full = tonumber(redis.call('GET', KEYS[1]) or 0)
full = math.min(math.max(full, now), now + longest)
local after = full + math.min(cost, burst) / rate
local wait = after - longest - now
if wait > 0.000001 then return string.format('%.6f', wait) end
redis.call('SET', KEYS[1], string.format('%.6f', after), 'PX', math.ceil((after - now) * 1000) + 1)
return '0'
"""
COUNT: Final = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return count
"""


def connect(address: str, password: str, database: int, pool_size: int) -> Redis:
    """Return a client of `host:port`. It connects when it is asked; the caller sees to the time it takes."""
    place = urlsplit(f"//{address}")
    pool = BlockingConnectionPool(
        max_connections=pool_size,
        timeout=None,
        host=place.hostname or "",
        port=place.port or 6379,
        db=database,
        password=password or None,
        socket_timeout=None,
        socket_connect_timeout=None,
        retry=Retry(NoBackoff(), 1),  # once, over a new connection: an idle one may have been cut
        protocol=2,  # all we need, and a connection is made in fewer steps
    )
    return Redis.from_pool(pool)


class RedisStore:
    """Open with `async with`; it connects when it is asked."""

    def __init__(
        self,
        address: str,
        password: str = "",
        database: int = 0,
        pool_size: int = 10,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self._redis = connect(address, password, database, pool_size)
        self._spend = self._redis.register_script(SPEND)
        self._count = self._redis.register_script(COUNT)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._redis.aclose()

    async def get(self, key: str) -> bytes | None:
        try:
            value: bytes | None = await self._ask(self._redis.get(key))
        except OtherKind:
            return None
        return value

    async def put(self, values: Mapping[str, bytes], life_s: float) -> None:
        if not values:
            return
        pipeline, life_ms = self._redis.pipeline(transaction=False), _ms(life_s)
        for key, value in values.items():
            pipeline.set(key, value, px=life_ms)
        answers = await self._ask(pipeline.execute(raise_on_error=False))
        refused = {key: one for key, one in zip(values, answers, strict=True) if isinstance(one, Exception)}
        if refused:
            await self._forget_refused(*refused)
            raise CacheRefused(str(next(iter(refused.values()))))

    async def forget(self, *keys: str) -> None:
        if keys:
            await self._ask(self._redis.delete(*keys))

    async def set_of(self, key: str) -> frozenset[str]:
        try:
            members = await self._ask(self._redis.smembers(key))
        except OtherKind:
            return frozenset()
        return frozenset(one.decode(errors="replace") for one in members)

    async def put_set(self, key: str, members: Collection[str], life_s: float) -> None:
        if not members:
            await self.forget(key)
            return
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.delete(key)
        pipeline.sadd(key, *members)
        pipeline.pexpire(key, _ms(life_s))
        try:
            await self._ask(pipeline.execute())
        except CacheRefused:
            await self._forget_refused(key)
            raise

    async def append(self, stream: str, entries: Sequence[Mapping[str, str]], most: int) -> None:
        if not entries:
            return
        pipeline = self._redis.pipeline(transaction=False)
        for entry in entries:
            fields: dict[Any, Any] = dict(entry)
            pipeline.xadd(stream, fields, maxlen=most, approximate=True)
        await self._ask(pipeline.execute())

    async def spend(self, key: str, cost: float, rate_per_s: float, burst: float) -> float:
        return float(await self._ask(self._spend(keys=[key], args=[cost, rate_per_s, burst])))

    async def count(self, key: str, window_s: float) -> int:
        return int(await self._ask(self._count(keys=[key], args=[_ms(window_s)])))

    async def _forget_refused(self, *keys: str) -> None:
        with contextlib.suppress(CacheRefused):  # the first refusal is the one to tell
            await self.forget(*keys)

    async def _ask(self, answer: Awaitable[Any]) -> Any:
        """Wait for an answer. Raises CacheDown or CacheRefused."""
        return await within(self._timeout_s, self.address, answer)


async def within(timeout_s: float, address: str, answer: Awaitable[Answer]) -> Answer:
    """Wait so long for an answer of Redis. Raises CacheDown or CacheRefused."""
    try:
        async with asyncio.timeout(timeout_s):
            return await answer
    except AuthenticationError as error:
        raise WrongPassword(f"{address} does not accept our password: {error}") from error
    except ResponseError as error:
        kind = OtherKind if str(error).startswith("WRONGTYPE") else CacheRefused
        raise kind(f"{address} refuses: {error}") from error
    except TimeoutError as error:
        raise CacheDown(f"{address} has not answered for {timeout_s:g} s") from error
    except (RedisError, OSError) as error:
        raise CacheDown(str(error) or f"{address}: {type(error).__name__}") from error


def _ms(life_s: float) -> int:
    return max(round(life_s * 1000), 1)
