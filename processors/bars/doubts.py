"""Which 1m bars of a symbol the venue should be asked for, each only once."""

from typing import Final

from processors.bars.spans import Span, Spans
from protocol.intervals import next_open, open_of

ASKED_MS: Final = 7 * 86_400_000
"""How long it is remembered what was asked for."""


class Doubts:
    """Bounded by `forget`."""

    def __init__(self) -> None:
        self._waiting = Spans()
        self._asked = Spans()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, from_ms: int, to_ms: int) -> None:
        if not self._asked.covers(from_ms, to_ms):
            self._asked.add(from_ms, to_ms)
            self._waiting.add(from_ms, to_ms)

    def add_bar(self, ms: int, interval: int) -> None:
        """Doubt all minutes of the bar that holds a moment."""
        self.add(open_of(ms, interval), next_open(ms, interval))

    def take(self) -> list[Span]:
        """Return what to ask for, oldest first, and keep none."""
        return self._waiting.take()

    def forget(self, now_ms: int) -> None:
        """Forget what was asked for long ago."""
        self._asked.drop_before(now_ms - ASKED_MS)
