"""What the recorder has left in Redis, for as long as it does not answer itself.

The rules of this file:
- Bars are as of a moment, and the answer says so: a live subscription goes on from there, and misses nothing.
- A window is whole up to that moment, or it is not answered: the bars that are here begin somewhere.
- What is asked of after that moment alone is not known here.
"""

from typing import Any, Final

import msgspec
import numpy as np

from gateway.cache import keys
from gateway.cache.cache import Cache
from gateway.cache.values import CachedBar, CachedBars, CachedLevel, decode_value
from gateway.history.blocks import HELD, Held
from protocol.bars import BarsQuery
from protocol.events import CandleFlag
from protocol.intervals import next_open
from protocol.symbols import Instrument

_FINAL: Final = int(CandleFlag.FINAL)


class CachedHistory:
    """A gateway's way to it."""

    def __init__(self, cache: Cache) -> None:
        self.served = 0
        """Answers that the recorder has not given."""
        self._cache = cache

    async def bars(self, instrument: Instrument, query: BarsQuery) -> tuple[int, Held] | None:
        """Return a window as of a version; None if not all of it is there."""
        payload = await self._cache.get(keys.bars(instrument, query.interval))
        cached = decode_value(payload, CachedBars) if payload else None
        bars = cut_window(cached, query) if cached else None
        if cached is None or bars is None:
            return None
        self.served += 1
        return cached.as_of_us, bars

    async def level(self, instrument: Instrument) -> dict[str, Any] | None:
        """Return an Enigma level as the recorder says it; None if there is none."""
        payload = await self._cache.get(keys.enigma(instrument))
        cached = decode_value(payload, CachedLevel) if payload else None
        if cached is None:
            return None
        self.served += 1
        level: dict[str, Any] = msgspec.to_builtins(cached)
        return level


def cut_window(cached: CachedBars, query: BarsQuery) -> Held | None:
    """Return the bars that a question is about; None if some of them are not here."""
    bars = held_from_cached(cached, query.interval)
    opens = bars["open_ms"]
    if (np.diff(opens) <= 0).any():
        return None  # none of ours
    if query.from_ms * 1_000 > cached.as_of_us and not query.countback:
        return None
    start, end = (int(np.searchsorted(opens, one)) for one in (query.from_ms, query.to_ms))
    has_window = len(bars) > 0 and int(opens[0]) <= query.from_ms
    has_enough = end >= query.countback
    if not (has_window and has_enough) and not cached.from_beginning:
        return None
    return bars[max(min(start, end - query.countback), 0) : end]


def held_from_cached(cached: CachedBars, interval: int) -> Held:
    """Take bars from what is said of them; a bar is final once it has ended."""
    bars: Held = np.zeros(len(cached.bars), HELD)
    bars["open_ms"] = [one.time * 1_000 for one in cached.bars]
    for name in ("open", "high", "low", "close", "volume"):
        bars[name] = [getattr(one, name) for one in cached.bars]
    bars["flags"] = [_FINAL if _has_ended(one, interval, cached.as_of_us) else 0 for one in cached.bars]
    return bars


def _has_ended(bar: CachedBar, interval: int, as_of_us: int) -> bool:
    return next_open(bar.time * 1_000, interval) * 1_000 <= as_of_us
