"""What was heard of one symbol's trades on the bus, and what is missing between them.

The rules of this file:
- A trade counts once. What a restarted worker or an answer repeats ends here.
- A hole that the feed worker has spoken of (a GAP record, open) is the worker's to fill. Any other is loss
  on the bus: the worker is asked for it.
- What the worker calls lost is waited for no more. A lost gap without ids is its word that the venue counts
  anew: so does this. One of cause NOT_CARRIED is its word that nobody wanted the symbol for a while; it is
  cut to what was not heard here.

Pure: who asks, and for how long, is in `holes.py`.
"""

from typing import NamedTuple

from processors.tape import Range, TradeTape
from protocol.events import Gap, GapCause, GapState, Trade


class Times(NamedTuple):
    """Between which moments something is missing, by the venue's clock."""

    from_us: int
    to_us: int


class HeardTrades:
    """One symbol. Bounded: it holds ids, and the times of the holes that are open."""

    def __init__(self, symbol_id: int, native: str) -> None:
        self.symbol_id = symbol_id
        self.native = native
        self.source = ""
        """The bus subject that carried its newest trades."""
        self._begin()

    def _begin(self) -> None:
        self._tape = TradeTape(capacity=1)
        self._told: list[Range] = []
        self._lost: list[Range] = []
        """What the worker has called lost and no later trade has shown to be missing yet."""
        self._times: dict[int, Times] = {}
        """By the first id of a hole."""
        self._last_us = 0

    @property
    def last_id(self) -> int:
        """The newest trade heard; 0 before the first."""
        return self._tape.last_id

    def on_trades(self, trades: list[Trade]) -> list[Trade]:
        """Take in trades in any order; return those that are new, by id."""
        last_id, last_us = self._tape.last_id, self._last_us
        new = self._tape.accept(trades)
        if not new:
            return new
        self._last_us = max(last_us, new[-1].exchange_us)
        if self._lost:
            self._forget_lost()
        if self._tape.has_holes or self._times:
            self._date_holes(last_id, last_us, new)
        return new

    def _forget_lost(self) -> None:
        for first, last in self._lost:
            self._tape.forget(first, last)
        self._lost = [one for one in self._lost if one[1] > self.last_id]

    def _date_holes(self, last_id: int, last_us: int, new: list[Trade]) -> None:
        """Note the times around the holes that these trades have shown."""
        for trade in new:
            if last_id and trade.id > last_id + 1:
                self._times[last_id + 1] = Times(last_us, trade.exchange_us)
            last_id, last_us = max(last_id, trade.id), max(last_us, trade.exchange_us)
        holes = self._tape.holes()
        self._times = {
            first: times for first, times in self._times.items() if any(end >= first for _, end in holes)
        }

    def on_gap(self, gap: Gap) -> Times | None:
        """Take in what the worker says of a hole; return between which times trades are lost, if they are."""
        if gap.state == GapState.LOST and not gap.last_id:
            self._begin()
            return Times(gap.first_us, gap.last_us)
        if gap.cause == GapCause.NOT_CARRIED:
            gap = gap._replace(first_id=max(gap.first_id, self.last_id + 1))
            if not self.last_id or gap.first_id > gap.last_id:
                return None
        self._told = [one for one in self._told if one[1] < gap.first_id or one[0] > gap.last_id]
        if gap.state == GapState.OPEN:
            self._told.append((gap.first_id, gap.last_id))
        if gap.state != GapState.LOST:
            return None
        self._lost.append((gap.first_id, gap.last_id))
        self._forget_lost()
        return Times(gap.first_us, gap.last_us)

    def take_over(self) -> None:
        """Care for the holes that the worker spoke of: it was restarted, and knows of them no more."""
        self._told.clear()

    def missing(self) -> list[Range]:
        """Return the holes of which the worker has not spoken."""
        if not self._tape.has_holes:
            return []
        return [
            (first, last)
            for first, last in self._tape.holes()
            if not any(start <= last and end >= first for start, end in self._told)
        ]

    def give_up(self, hole: Range) -> Times:
        """Wait for a hole no more; return between which times it is."""
        first, last = hole
        self._tape.forget(first, last)
        begun = max((one for one in self._times if one <= first), default=None)
        return self._times[begun] if begun is not None else Times(self._last_us, self._last_us)
