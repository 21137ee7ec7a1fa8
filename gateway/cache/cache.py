"""What a cache does, whatever it is made of.

Everything in it may be gone at any moment: a miss is never wrong, and whoever asks knows where else to look.
Nothing here raises because Redis is away.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol


class Store(Protocol):
    """The operations. Every life is above 0; a key has a value, or a set, or a limit, never two of them."""

    async def get(self, key: str) -> bytes | None: ...

    async def put(self, values: Mapping[str, bytes], life_s: float) -> None: ...

    async def forget(self, *keys: str) -> None:
        """Forget values, sets and limits."""

    async def set_of(self, key: str) -> frozenset[str]:
        """Return the members of a set; none if there is no such set."""

    async def put_set(self, key: str, members: Collection[str], life_s: float) -> None:
        """Replace a set, in one step. Without members there is none any more."""

    async def append(self, stream: str, entries: Sequence[Mapping[str, str]], most: int) -> None:
        """Add to a stream that keeps about so many entries. Only in Redis: nobody could read it elsewhere."""

    async def spend(self, key: str, cost: float, rate_per_s: float, burst: float) -> float:
        """Take so much out of a bucket that fills at a rate, above 0, up to `burst`. Return 0.0, or how many
        seconds to wait, and then nothing was taken. What costs more than a full bucket takes a full one."""

    async def count(self, key: str, window_s: float) -> int:
        """Return how often this key has been counted in its window, this time included. A window begins with
        the first time."""


class Cache(Store, Protocol):
    """A store that always answers, and says how it is."""

    @property
    def is_down(self) -> bool:
        """Redis does not answer; memory answers meanwhile."""

    @property
    def reason(self) -> str:
        """What is wrong with Redis, for people: it is down, or refuses writes. Empty while all is well."""
