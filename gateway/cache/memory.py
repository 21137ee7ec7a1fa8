"""A cache in this process, for one that has no Redis, or as long as it is away.

Full: the values that were used least recently go, and the limits of those who were heard of least recently.
Limits have a room of their own, that nobody can press sessions out of it by asking a lot, and those of
attempts another, that nobody can press their own attempts out.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from gateway.cache import buckets

MOST_BYTES: Final = 64 * 1024 * 1024
MOST_LIMITS: Final = 100_000
"""Of buckets, and of windows."""
OVERHEAD_BYTES: Final = 300
"""Of an entry, and of a member of a set, about."""
V = TypeVar("V")


class _Recent(OrderedDict[str, V], Generic[V]):
    """Keeps so many, and of these the ones that were used last."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def keep(self, key: str, value: V) -> None:
        self[key] = value
        self.move_to_end(key)
        while len(self) > self._most:
            self.popitem(last=False)


class _Entry(NamedTuple):
    content: bytes | frozenset[str]
    ends_s: float
    size_bytes: int


class _Window(NamedTuple):
    counted: int
    ends_s: float


class MemoryCache:
    """Bounded in all it keeps."""

    is_down = False
    reason = ""

    def __init__(
        self,
        max_bytes: int = MOST_BYTES,
        max_limits: int = MOST_LIMITS,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.size_bytes = 0
        self._max_bytes = max_bytes
        self._now_s = now_s
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._full_s: _Recent[float] = _Recent(max_limits)
        """When a bucket is full again."""
        self._windows: _Recent[_Window] = _Recent(max_limits)

    async def get(self, key: str) -> bytes | None:
        content = self._read(key)
        return content if isinstance(content, bytes) else None

    async def put(self, values: Mapping[str, bytes], life_s: float) -> None:
        for key, value in values.items():
            self._keep(key, value, life_s, len(value))

    async def forget(self, *keys: str) -> None:
        for key in keys:
            self._drop(key)
            self._full_s.pop(key, None)
            self._windows.pop(key, None)

    async def set_of(self, key: str) -> frozenset[str]:
        content = self._read(key)
        return content if isinstance(content, frozenset) else frozenset()

    async def put_set(self, key: str, members: Collection[str], life_s: float) -> None:
        if not members:
            self._drop(key)
            return
        size_bytes = sum(len(one) + OVERHEAD_BYTES for one in members)
        self._keep(key, frozenset(members), life_s, size_bytes)

    async def append(self, stream: str, entries: Sequence[Mapping[str, str]], most: int) -> None:
        """Keep nothing: nobody could read it here."""

    async def spend(self, key: str, cost: float, rate_per_s: float, burst: float) -> float:
        full_s, wait_s = buckets.spend(self._full_s.get(key, 0.0), self._now_s(), cost, rate_per_s, burst)
        self._full_s.keep(key, full_s)
        return wait_s

    async def count(self, key: str, window_s: float) -> int:
        now_s = self._now_s()
        window = self._windows.get(key)
        if window is None or window.ends_s <= now_s:
            window = _Window(0, now_s + window_s)
        self._windows.keep(key, window._replace(counted=window.counted + 1))
        return window.counted + 1

    # Values and sets

    def _read(self, key: str) -> bytes | frozenset[str] | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.ends_s <= self._now_s():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.content

    def _keep(self, key: str, content: bytes | frozenset[str], life_s: float, size_bytes: int) -> None:
        self._drop(key)
        entry = _Entry(content, self._now_s() + life_s, size_bytes + len(key) + OVERHEAD_BYTES)
        self._entries[key] = entry
        self.size_bytes += entry.size_bytes
        while self.size_bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: str) -> None:
        if entry := self._entries.pop(key, None):
            self.size_bytes -= entry.size_bytes
