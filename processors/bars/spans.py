"""Stretches of time, as a sorted list of [from, to) that never touch."""

from typing import TypeAlias

Span: TypeAlias = tuple[int, int]


class Spans:
    """What is known, or what was asked for. Few at a time: what touches becomes one."""

    def __init__(self) -> None:
        self._spans: list[Span] = []

    def __bool__(self) -> bool:
        return bool(self._spans)

    def add(self, from_ms: int, to_ms: int) -> None:
        """Put in one more; it may lie over others."""
        if from_ms >= to_ms:
            return
        apart = []
        for span in self._spans:
            if span[1] < from_ms or span[0] > to_ms:
                apart.append(span)
            else:
                from_ms, to_ms = min(from_ms, span[0]), max(to_ms, span[1])
        self._spans = sorted([*apart, (from_ms, to_ms)])

    def covers(self, from_ms: int, to_ms: int) -> bool:
        """Say whether all of a stretch is in here; an empty one always is."""
        return from_ms >= to_ms or any(span[0] <= from_ms and to_ms <= span[1] for span in self._spans)

    def drop_before(self, ms: int) -> None:
        """Forget what lies wholly before a moment."""
        self._spans = [span for span in self._spans if span[1] > ms]

    def take(self) -> list[Span]:
        """Return all, oldest first, and keep none."""
        spans, self._spans = self._spans, []
        return spans
