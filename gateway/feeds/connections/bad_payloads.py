"""Messages that did not parse: counted, and the newest kept with their bytes for whoever looks into it."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

KEPT: Final = 100
MOST_BYTES: Final = 4_096


@dataclass(frozen=True, slots=True)
class BadMessage:
    received_us: int
    connection: str
    reason: str
    data: bytes
    """At most its first 4,096 bytes."""


class BadPayloads:
    """Full: the oldest message goes. The count goes on."""

    def __init__(self, kept: int = KEPT) -> None:
        self.count = 0
        self._newest: deque[BadMessage] = deque(maxlen=kept)

    def __iter__(self) -> Iterator[BadMessage]:
        """Oldest first."""
        return iter(tuple(self._newest))

    def __len__(self) -> int:
        return len(self._newest)

    def add(self, received_us: int, connection: str, reason: str, data: bytes) -> None:
        self.count += 1
        self._newest.append(BadMessage(received_us, connection, reason, data[:MOST_BYTES]))
