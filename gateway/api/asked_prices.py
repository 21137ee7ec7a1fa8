"""Prices that are asked for one by one, over HTTP, by whoever watches nothing.

The rules of this file:
- A symbol that is asked for is wanted, as if a client watched it, until nobody has asked for `WANTED_S`.
- A price that is younger than `YOUNG_S` is answered at once; so is what is known of a symbol that has been
  wanted for a while.
- Else it may be that nobody has carried the symbol: whoever asks first waits for a change, `WAIT_S` at most.
  If none comes, the cache may know better; if not, what is known is answered, and says how old it is.
- Nothing comes of a symbol that is not traded: its last price is answered at once.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from gateway.api.market import price_of
from gateway.cache import keys
from gateway.cache.cache import Cache
from gateway.cache.values import CachedPrice, decode_value
from gateway.history.questions import Together
from gateway.ws.fanout import Fanout
from protocol.events import Kind
from protocol.symbols import Instrument

WAIT_S: Final = 3.0
YOUNG_S: Final = 60.0
"""What was let go was wanted at most so long ago."""
WANTED_S: Final = 70.0
LOOK_S: Final = 0.02
MOST_WANTED: Final = 500
"""Full: what else is asked for is not wanted for that, and answered as it is known."""


class AskedPrices:
    """One gateway's. Bounded by `MOST_WANTED`."""

    def __init__(self, fanout: Fanout, cache: Cache | None = None, *, wait_s: float = WAIT_S) -> None:
        """Without a cache what is known here is all there is."""
        self.on_wanted: Callable[[], None] = lambda: None
        """Called when `wanted` has grown."""
        self._fanout = fanout
        self._cache = cache
        self._wait_s = wait_s
        self._together = Together()
        self._first_s: dict[int, float] = {}
        """By symbol id: since when it is wanted."""
        self._last_s: dict[int, float] = {}
        """And when it was asked for last."""

    def wanted(self) -> set[int]:
        """Return the ids of symbols that are asked for: to be carried as if they were watched."""
        since_s = time.monotonic() - WANTED_S
        self._last_s = {one: last_s for one, last_s in self._last_s.items() if last_s >= since_s}
        self._first_s = {one: first_s for one, first_s in self._first_s.items() if one in self._last_s}
        return set(self._last_s)

    async def newest(self, instrument: Instrument) -> dict[str, Any] | None:
        """Return the newest price that can be had, as the API says it; None if there is none."""
        if instrument.is_active and self._want(instrument.id) and not self._is_young(instrument):
            await self._together.once(instrument.id, lambda: self._until_changed(instrument.id))
        if self._is_young(instrument):
            return price_of(instrument, self._fanout)
        return await self._cached(instrument) or price_of(instrument, self._fanout)

    def _want(self, symbol_id: int) -> bool:
        """Want a symbol, and say whether its first price since may be yet to come."""
        now_s = time.monotonic()
        if symbol_id not in self._first_s:
            if len(self.wanted()) >= MOST_WANTED:
                return False
            self._first_s[symbol_id] = now_s
        is_new = symbol_id not in self._last_s
        self._last_s[symbol_id] = now_s
        if is_new:
            self.on_wanted()
        return now_s - self._first_s[symbol_id] < self._wait_s

    def _is_young(self, instrument: Instrument) -> bool:
        price = price_of(instrument, self._fanout)
        return price is not None and is_young(price["timestamp"])

    async def _until_changed(self, symbol_id: int) -> None:
        changes = self._fanout.tables[Kind.PRICE].changes
        before, until_s = changes[symbol_id], time.monotonic() + self._wait_s
        while changes[symbol_id] == before and time.monotonic() < until_s:  # noqa: ASYNC110  # a table calls nobody
            await asyncio.sleep(LOOK_S)

    async def _cached(self, instrument: Instrument) -> dict[str, Any] | None:
        """Return the price in the cache, if it is young."""
        payload = await self._cache.get(keys.price(instrument)) if self._cache else None
        price = decode_value(payload, CachedPrice) if payload else None
        if price is None or not is_young(price.timestamp):
            return None
        return {"symbol": instrument.symbol, "name": instrument.name} | {
            name: getattr(price, name) for name in CachedPrice.__struct_fields__
        }


def is_young(timestamp_ms: int) -> bool:
    return timestamp_ms > time.time_ns() // 1_000_000 - YOUNG_S * 1_000
