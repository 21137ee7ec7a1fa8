"""Redis, and memory as long as it is away.

The rules of this file:
- While Redis does not answer, memory does, and nobody waits for Redis: it is tried again every `PROBE_S`.
- What was changed meanwhile is forgotten in both before Redis is used again: what it has of that is old, and
  a miss is never wrong. As long as it refuses to forget, it stays unused.
- A Redis that answers and refuses to write (full, a replica) goes on being read. What it did not take is
  forgotten there; limits are kept in memory.
- Limits in memory outlive a return of Redis: whoever could make it come and go would get a new one each time.

Full, at `MOST_CHANGED` keys: the one that was changed first may come back from Redis as it was before.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import Final, NoReturn, TypeVar

import structlog

from gateway.cache import keys as names
from gateway.cache.cache import Store
from gateway.cache.errors import CacheDown, CacheRefused, CacheTrouble
from gateway.cache.memory import MemoryCache
from gateway.cache.redis import RedisStore

PROBE_S: Final = 1.0
PROBE_LIFE_S: Final = 1.0
MOST_CHANGED: Final = 100_000
FORGET_AT_ONCE: Final = 1_000
Answer = TypeVar("Answer")

log = structlog.get_logger()


class FallbackCache:
    """`probe` first, and have `run` running."""

    def __init__(self, redis: RedisStore, memory: MemoryCache, probe_s: float = PROBE_S) -> None:
        self._redis = redis
        self._memory = memory
        self._probe_s = probe_s
        self._trouble: CacheTrouble | None = None
        self._troubled = asyncio.Event()
        self._changed: dict[str, None] = {}
        """Keys that were changed while Redis was down, in their order."""

    @property
    def is_down(self) -> bool:
        return isinstance(self._trouble, CacheDown)

    @property
    def reason(self) -> str:
        return str(self._trouble or "")

    # Reading

    async def get(self, key: str) -> bytes | None:
        return await self._ask(lambda store: store.get(key))

    async def set_of(self, key: str) -> frozenset[str]:
        return await self._ask(lambda store: store.set_of(key))

    # Limits

    async def spend(self, key: str, cost: float, rate_per_s: float, burst: float) -> float:
        return await self._ask(lambda store: store.spend(key, cost, rate_per_s, burst))

    async def count(self, key: str, window_s: float) -> int:
        return await self._ask(lambda store: store.count(key, window_s))

    # Changing

    async def put(self, values: Mapping[str, bytes], life_s: float) -> None:
        await self._change(values, lambda store: store.put(values, life_s))

    async def put_set(self, key: str, members: Collection[str], life_s: float) -> None:
        await self._change([key], lambda store: store.put_set(key, members, life_s))

    async def append(self, stream: str, entries: Sequence[Mapping[str, str]], most: int) -> None:
        await self._change([], lambda store: store.append(stream, entries, most))

    async def forget(self, *keys: str) -> None:
        await self._memory.forget(*keys)
        await self._change(keys, lambda store: store.forget(*keys))

    async def _ask(self, ask: Callable[[Store], Awaitable[Answer]]) -> Answer:
        if not self.is_down:
            try:
                return await ask(self._redis)
            except CacheTrouble as error:
                self._note(error)
        return await ask(self._memory)

    async def _change(self, keys: Collection[str], change: Callable[[Store], Awaitable[None]]) -> None:
        if not self.is_down:
            try:
                await change(self._redis)
            except CacheRefused as error:
                self._note(error)
                return
            except CacheDown as error:
                self._note(error)
            else:
                return
        for key in keys:
            self._changed.pop(key, None)
            self._changed[key] = None
        while len(self._changed) > MOST_CHANGED:
            del self._changed[next(iter(self._changed))]
        await change(self._memory)

    # How Redis is

    def _note(self, trouble: CacheTrouble) -> None:
        """Take note of what an operation met; only a probe may say that things are better than they were."""
        if self._trouble is None or (isinstance(trouble, CacheDown) and not self.is_down):
            self._become(trouble)

    def _become(self, trouble: CacheTrouble | None) -> None:
        """Be well, or in trouble; say so where that is another kind of state."""
        if type(trouble) is not type(self._trouble):
            if trouble is None:
                log.info("cache.redis_back", address=self._redis.address)
            else:
                event = "cache.redis_down" if isinstance(trouble, CacheDown) else "cache.redis_refuses"
                log.warning(event, reason=str(trouble))
        self._trouble = trouble
        if trouble is None:
            self._troubled.clear()
        else:
            self._troubled.set()

    async def run(self) -> NoReturn:
        """Try Redis again and again while something is wrong with it. Until cancelled."""
        while True:
            await self._troubled.wait()
            await asyncio.sleep(self._probe_s)
            await self.probe()

    async def probe(self) -> None:
        """See how Redis is, and use it again if it is well."""
        self._become(await self._examine())

    async def _examine(self) -> CacheTrouble | None:
        trouble: CacheTrouble | None = None
        try:
            try:
                await self._redis.put({names.PROBE: b"1"}, PROBE_LIFE_S)
            except CacheRefused as error:
                trouble = error
            await self._forget_changed()  # last: nothing may change between this and the use of Redis
        except CacheRefused as error:
            return CacheDown(str(error))
        except CacheDown as error:
            return error
        return trouble

    async def _forget_changed(self) -> None:
        """Forget everywhere what was changed while Redis was down. Raises CacheDown or CacheRefused."""
        while self._changed:
            some = list(islice(self._changed, FORGET_AT_ONCE))
            for key in some:
                del self._changed[key]
            try:
                await self._redis.forget(*some)
            except CacheTrouble:
                self._changed |= dict.fromkeys(some)
                raise
            await self._memory.forget(*some)
