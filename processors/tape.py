"""The newest trades of one symbol, in id order, and what is missing between them.

The rules of this file:
- The venue numbers a symbol's trades 1, 2, 3 … without a step left out, so an id is new if it is above
  the last one, or in a hole. Everything else was here before, or was given up, and is dropped.
- A tape begins with the first trades that it is given: what was before them is no hole.
- It holds the trades of the newest `capacity` ids. A hole stays until it is filled or forgotten, however
  old: its owner closes each within seconds, one way or the other.
- Trades lie packed in a ring, each at the place of its id: 40 bytes instead of some 220, a late one needs
  no sorting, and the oldest goes by being written over.

Pure: whoever fills a hole, and how long that may take, is not known here.
"""

from bisect import bisect_right
from collections.abc import Iterable
from struct import Struct
from typing import Final, TypeAlias, cast

from protocol.events import Kind, Trade
from protocol.frames import LAYOUTS

CAPACITY: Final = 8_192
LEAST_CAPACITY: Final = 256
TRADES_A_REQUEST: Final = 5_000
"""The most that one `request.trades` may ask a feed worker for."""

Range: TypeAlias = tuple[int, int]
"""First and last id, inclusive."""
_RECORD: Final = cast("Struct", LAYOUTS[Kind.TRADE].struct)


class TradeTape:
    """One symbol's trades: takes them in any order, hands them out by id."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.last_id = 0
        """The highest id seen; 0 before the first."""
        self._capacity = capacity
        self._ring = bytearray()
        """Made when the first trade comes: most symbols that a venue lists are never asked for."""
        self._holes: list[Range] = []

    def resize(self, capacity: int) -> None:
        """Hold more trades from now on, or fewer: then the oldest go. One size must divide the other."""
        shared, ring, self._ring = min(self._capacity, capacity), self._ring, bytearray()
        if ring:
            self._ring = bytearray(capacity * _RECORD.size)
            first = max(self.last_id - shared + 1, 0)
            # In both rings places follow each other without a turn up to a multiple of the smaller size.
            turn = self.last_id - self.last_id % shared
            for start, stop in ((first, turn), (max(first, turn), self.last_id + 1)):
                source, target = start % self._capacity * _RECORD.size, start % capacity * _RECORD.size
                size = (stop - start) * _RECORD.size
                self._ring[target : target + size] = ring[source : source + size]
        self._capacity = capacity

    def accept(self, trades: list[Trade]) -> list[Trade]:
        """Take trades in, in any order, and return those that are new, sorted by id."""
        if len(trades) > 1:
            trades = sorted(trades, key=_id_of)
        new = [trade for trade in trades if self._is_new(trade.id)]
        if new:
            self._keep(new)
        return new

    def goes_on_with(self, trade_id: int) -> bool:
        """Say whether an id is simply the next one."""
        return trade_id == self.last_id + 1

    def add_run(self, packed: bytes, last_id: int) -> None:
        """Take in packed trades that go on where the tape ends, each id one above the one before."""
        if not self._ring:
            self._ring = bytearray(self._capacity * _RECORD.size)
        self.last_id = last_id
        packed = packed[-self._capacity * _RECORD.size :]
        end = (last_id + 1) % self._capacity * _RECORD.size
        start = end - len(packed)
        if start >= 0:
            self._ring[start:end] = packed
        else:  # over the end of the ring
            self._ring[start:] = packed[: -end or None]
            self._ring[:end] = packed[len(packed) - end :]

    @property
    def has_holes(self) -> bool:
        return bool(self._holes)

    def holes(self) -> list[Range]:
        """Return the missing ranges, ascending."""
        return self._holes.copy()

    def forget(self, first_id: int, last_id: int) -> None:
        """Give up what is missing of a range: it is waited for no more, and dropped if it comes."""
        left = []
        for first, last in self._holes:
            if last < first_id or first > last_id or first_id > last_id:
                left.append((first, last))
                continue
            parts = ((first, first_id - 1), (last_id + 1, last))
            left += [part for part in parts if part[0] <= part[1]]
        self._holes = left

    def between(self, first_id: int, last_id: int) -> list[Trade]:
        """Return what is held of a range, in id order."""
        first = max(first_id, self.last_id - self._capacity + 1, 1)
        last = min(last_id, self.last_id)
        if first > last or not self._ring:
            return []
        start, stop = first % self._capacity, last % self._capacity + 1
        places = ((start, stop),) if start < stop else ((start, self._capacity), (0, stop))
        return [
            Trade._make(fields)
            for begin, end in places
            for fields in _RECORD.iter_unpack(self._ring[begin * _RECORD.size : end * _RECORD.size])
            if first <= fields[3] <= last  # a place may hold an older id, or none yet
        ]

    def since(self, last_known_id: int) -> tuple[list[Trade], list[Range]]:
        """Return the trades after an id, and the ranges after it that are not held: evicted or missing."""
        held = self.between(last_known_id + 1, self.last_id)
        if not held or held[-1].id - last_known_id == len(held):
            return held, []
        absent = []
        expected = last_known_id + 1
        for trade in held:
            if trade.id > expected:
                absent.append((expected, trade.id - 1))
            expected = trade.id + 1
        return held, absent

    def _is_new(self, trade_id: int) -> bool:
        """Say whether an id is new, and from now on know it: a hole opens, shrinks, splits or closes."""
        if trade_id > self.last_id:
            if self.last_id and trade_id > self.last_id + 1:
                self._holes.append((self.last_id + 1, trade_id - 1))
            self.last_id = trade_id
            return True
        place = bisect_right(self._holes, trade_id, key=_first_of) - 1
        if place < 0 or self._holes[place][1] < trade_id:
            return False
        first, last = self._holes[place]
        parts = ((first, trade_id - 1), (trade_id + 1, last))
        self._holes[place : place + 1] = [part for part in parts if part[0] <= part[1]]
        return True

    def _keep(self, new: list[Trade]) -> None:
        if not self._ring:
            self._ring = bytearray(self._capacity * _RECORD.size)
        oldest = self.last_id - self._capacity
        for trade in new:
            if trade.id > oldest:
                _RECORD.pack_into(self._ring, trade.id % self._capacity * _RECORD.size, *trade)


def capacity_of(tapes: int, most_trades: int) -> int:
    """Say how many trades each of so many tapes may hold, that all of them together hold at most so many,
    as far as LEAST_CAPACITY allows. It is CAPACITY halved again and again, so that tapes can be resized."""
    capacity = CAPACITY
    while capacity * tapes > most_trades and capacity > LEAST_CAPACITY:
        capacity //= 2
    return capacity


def cut(ranges: Iterable[Range]) -> list[Range]:
    """Cut ranges into what one request may ask for."""
    return [
        (start, min(start + TRADES_A_REQUEST - 1, last))
        for first, last in ranges
        for start in range(first, last + 1, TRADES_A_REQUEST)
    ]


def _id_of(trade: Trade) -> int:
    return trade.id


def _first_of(hole: Range) -> int:
    return hole[0]
