"""How often a client may ask over HTTP.

Every kind of operation (`Limit`) has a bucket for each client: a request takes one token out of it, tokens
come back at a steady rate, and an empty bucket refuses. The buckets lie in the cache, so that gateways which
share a Redis share them. A client that is refused is not looked up again before its next token: asking on at
full speed costs a look into a dictionary.

No `RateLimit-…` headers: how many tokens are left is not worth a longer answer of the cache.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.api.operations import Limit
from gateway.cache import keys
from gateway.cache.cache import Cache

MOST_REFUSED: Final = 10_000
"""Clients whose refusal is remembered. Full: the oldest is forgotten, and looked up again when it asks."""


class TooManyRequests(Exception):
    """A client asked more often than it may."""

    status = 429
    error = "too_many_requests"

    def __init__(self, limit: Limit, retry_after_s: float) -> None:
        self.limit = limit
        self.retry_after_s = retry_after_s
        super().__init__(f"too many {limit} requests: come again in {math.ceil(retry_after_s)} s")


@dataclass(frozen=True, slots=True)
class Rate:
    """What one client may ask."""

    per_second: float
    """Lasting; 0 is no limit."""
    burst: int
    """At once, after a pause."""


class RequestLimits:
    """The buckets of all clients."""

    def __init__(
        self, cache: Cache, rates: Mapping[Limit, Rate], now_s: Callable[[], float] = time.monotonic
    ) -> None:
        """A limit without a rate is none."""
        self.refused = 0
        self._cache = cache
        self._rates = {limit: rate for limit, rate in rates.items() if rate.per_second}
        self._now_s = now_s
        self._empty_until_s: OrderedDict[str, float] = OrderedDict()

    async def spend(self, limit: Limit, client: str) -> None:
        """Take one request off what this client has left. Raises TooManyRequests."""
        rate = self._rates.get(limit)
        if rate is None:
            return
        key = keys.limit(limit, client)
        wait_s = self._empty_until_s.get(key, 0.0) - self._now_s()
        if wait_s <= 0:
            wait_s = await self._cache.spend(key, 1, rate.per_second, rate.burst)
            self._remember(key, wait_s)
        if wait_s > 0:
            self.refused += 1
            raise TooManyRequests(limit, wait_s)

    def _remember(self, key: str, wait_s: float) -> None:
        self._empty_until_s.pop(key, None)
        if wait_s > 0:
            self._empty_until_s[key] = self._now_s() + wait_s
            if len(self._empty_until_s) > MOST_REFUSED:
                self._empty_until_s.popitem(last=False)
