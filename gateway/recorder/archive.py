"""Every bar that the recorder has: what the store holds, under what has not got there yet."""

from collections.abc import Awaitable
from typing import Final

from gateway.recorder.coverage import Coverage
from gateway.recorder.memory import Memory, merged
from gateway.store.history import HistoryStore, StoreDown
from protocol.bars import Bars, Series

FOREVER_MS: Final = 2**53


class Archive:
    """Reads raise StoreDown while the store is away. What it covers may be less when it is back."""

    def __init__(self, store: HistoryStore, memory: Memory, coverage: Coverage) -> None:
        self._store = store
        self._memory = memory
        self._coverage = coverage

    async def read(self, series: Series, from_ms: int, to_ms: int, limit: int) -> Bars:
        """Return the newest `limit` of the bars that open in [from_ms, to_ms), oldest first."""
        with self._memory.reading(series) as left:
            kept = await self._heeding(self._store.read(series, from_ms, to_ms, limit))
            bars = merged(kept, left, self._memory.rows(series))
        opens = bars["open_ms"]
        return bars[(opens >= from_ms) & (opens < to_ms)][-limit:]

    async def changed(self, series: Series, after_us: int, limit: int) -> Bars:
        """Return the newest `limit` of the bars whose version is higher, by opening."""
        with self._memory.reading(series) as left:
            kept = await self._heeding(self._store.changed(series, after_us, limit))
            bars = merged(kept, left, self._memory.rows(series))
        return bars[bars["version"] > after_us][-limit:]

    async def _heeding(self, reading: Awaitable[Bars]) -> Bars:
        try:
            return await reading
        except StoreDown:
            self._coverage.forget()
            raise
