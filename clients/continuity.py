"""Whether the trades of one symbol are all there: every id once, or a word about why not.

The rules of this file:
- Ids rise by 1. A gap that the gateway has announced explains a jump over it; any other jump is a hole that
  nobody explained, and is reported.
- A trade below the last one is new if it fills a hole, and a double otherwise.
- A hole that is open is resumed from: what was recovered while this client was away comes then, and what it
  has already comes doubled, and is dropped here.
- A lost gap without ids says that the venue counts anew: so does this.
- At most `MAX_HOLES` are remembered. Full: the oldest is forgotten, and what fills it later is dropped.
"""

from typing import Final, TypeAlias

from protocol.events import Gap, GapState

MAX_HOLES: Final = 100

Range: TypeAlias = tuple[int, int]
"""First and last id, inclusive."""


class TradeIds:
    """The ids of one symbol that have arrived."""

    def __init__(self, last_id: int = 0) -> None:
        self.last_id = last_id
        """The highest; 0 before the first, which is a beginning and no jump."""
        self._holes: list[Range] = []
        self._told: list[Range] = []
        """What the gateway said, lost or open, of ids above the last one."""
        self._lost: list[Range] = []

    @property
    def resume_from(self) -> int:
        """The last id before anything that may still come."""
        return self._holes[0][0] - 1 if self._holes else self.last_id

    def on_trade(self, trade_id: int) -> tuple[bool, list[Range]]:
        """Say whether a trade is new, and which ids before it are missing without a word."""
        if trade_id <= self.last_id:
            return self._fill(trade_id), []
        unexplained: list[Range] = []
        if self.last_id and trade_id > self.last_id + 1:
            jump = [(self.last_id + 1, trade_id - 1)]
            unexplained = _without(jump, self._told)
            self._holes = (self._holes + _without(jump, self._lost))[-MAX_HOLES:]
        self.last_id = trade_id
        self._told = [one for one in self._told if one[1] > trade_id]
        self._lost = [one for one in self._lost if one[1] > trade_id]
        return True, unexplained

    def on_gap(self, gap: Gap) -> None:
        """Take in what the gateway says of a hole."""
        if gap.state == GapState.LOST and not gap.last_id:
            self.last_id = 0
            self._holes, self._told, self._lost = [], [], []
            return
        told = (gap.first_id, gap.last_id)
        if gap.state == GapState.LOST:
            self._holes = _without(self._holes, [told])
        if gap.state != GapState.FILLED and gap.last_id > self.last_id:
            self._told.append(told)
            if gap.state == GapState.LOST:
                self._lost.append(told)

    def _fill(self, trade_id: int) -> bool:
        if not any(first <= trade_id <= last for first, last in self._holes):
            return False
        self._holes = _without(self._holes, [(trade_id, trade_id)])
        return True


def _without(ranges: list[Range], others: list[Range]) -> list[Range]:
    """Cut ranges out of ranges."""
    for start, end in others:
        parts = [part for one in ranges for part in _cut(one, start, end)]
        ranges = [part for part in parts if part[0] <= part[1]]
    return ranges


def _cut(one: Range, start: int, end: int) -> list[Range]:
    first, last = one
    return [one] if end < first or last < start else [(first, start - 1), (end + 1, last)]
