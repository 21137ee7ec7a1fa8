"""What is missing from a stream, told from the ids or times of its own messages. Pure.

    aggTrade, trade   ids rise by 1             a jump names exactly the ids that are missing
    bookTicker        ids rise by any step      only an older one can be told; nothing is ever missing
    kline             one bar an interval       a jump names exactly the bars that are missing

The rules of this file:
- The first message is a beginning: what was before it is not missing.
- Time says nothing: contiguous ids on both sides of a silence are a halt of the market, not a gap.
- The single trades inside aggTrades (`f` to `l`) may skip, because the venue leaves out what was not
  traded on the book. They are not looked at.
"""

from bisect import bisect_right
from enum import Enum
from typing import Final, TypeAlias

RESET_US: Final = 30_000_000
"""No message is late by that much."""

Range: TypeAlias = tuple[int, int]
"""First and last, inclusive."""


class Finding(Enum):
    """What an id is to the stream that it came on."""

    NEXT = 1
    """The one after the last, or the first ever."""
    JUMP = 2
    """Above the next: what was left out is the newest hole."""
    FILL = 3
    """One that was missing."""
    KNOWN = 4
    """It was here before, or was given up."""


class IdGaps:
    """Follows ids that rise by 1."""

    __slots__ = ("holes", "last_id")

    def __init__(self, last_id: int = 0) -> None:
        """Begin after an id that is known; 0 begins with the first one that comes."""
        self.last_id = last_id
        self.holes: list[Range] = []
        """Missing ids below `last_id`, ascending."""

    def see(self, new_id: int) -> Finding:
        """Take in one id and say what it is."""
        last_id = self.last_id
        if new_id > last_id:
            self.last_id = new_id
            if new_id == last_id + 1 or not last_id:
                return Finding.NEXT
            self.holes.append((last_id + 1, new_id - 1))
            return Finding.JUMP
        if not self.holes:
            return Finding.KNOWN
        place = bisect_right(self.holes, new_id, key=_first_of) - 1
        if place < 0 or self.holes[place][1] < new_id:
            return Finding.KNOWN
        first, last = self.holes[place]
        self.holes[place : place + 1] = _without((first, last), (new_id, new_id))
        return Finding.FILL

    def missing(self, first_id: int, last_id: int) -> list[Range]:
        """Return what is missing of a range."""
        return [
            (max(first, first_id), min(last, last_id))
            for first, last in self.holes
            if first <= last_id and last >= first_id
        ]

    def forget(self, first_id: int, last_id: int) -> None:
        """Give up what is missing of a range: if it comes after all, it is known already."""
        self.holes = [part for hole in self.holes for part in _without(hole, (first_id, last_id))]


class RisingIds:
    """Follows ids that rise by an unknown step.

    Where nothing but older ones has come for `RESET_US`, the venue counts from a new start.
    """

    __slots__ = ("last_id", "risen_us")

    def __init__(self) -> None:
        self.last_id = -1
        self.risen_us = 0
        """When the last one came that was new."""

    def is_stale(self, new_id: int, received_us: int) -> bool:
        """Take in one id; say whether something newer, or the same, was here before."""
        if new_id <= self.last_id and received_us - self.risen_us < RESET_US:
            return True
        self.last_id, self.risen_us = new_id, received_us
        return False


class BarGaps:
    """Follows the final bars of one interval by when they open."""

    def __init__(self, interval_ms: int) -> None:
        self.interval_ms = interval_ms
        self.last_open_ms = 0

    def see(self, open_ms: int) -> Range | None:
        """Take in one final bar; return the first and last opening time that was left out before it."""
        expected_ms, known = self.last_open_ms + self.interval_ms, self.last_open_ms
        if open_ms <= known:
            return None
        self.last_open_ms = open_ms
        return (expected_ms, open_ms - self.interval_ms) if known and open_ms > expected_ms else None


def size(ranges: list[Range]) -> int:
    """Count the ids in ranges."""
    return sum(last - first + 1 for first, last in ranges)


def _without(whole: Range, part: Range) -> list[Range]:
    """Cut a part out of a range; what does not meet it stays whole."""
    if part[1] < whole[0] or part[0] > whole[1]:
        return [whole]
    left, right = (whole[0], part[0] - 1), (part[1] + 1, whole[1])
    return [piece for piece in (left, right) if piece[0] <= piece[1]]


def _first_of(hole: Range) -> int:
    return hole[0]
