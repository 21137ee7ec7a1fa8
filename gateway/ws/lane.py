"""One symbol's trades on their way from the bus to clients: in id order, none missing, none doubled.

The rules of this file:
- A trade is delivered once. What a restarted worker or an answer to a request repeats ends at the tape.
- A hole that the feed worker has spoken of (a GAP record, open) is no hurdle: newer trades go on, and what
  is recovered later is delivered late, before the record that says it is filled.
- Any other hole is loss on the bus. From it on everything waits, until it is filled: whoever asks the worker
  (`gateway/repair.py`) says within seconds that it is not, and then it is a hole like the worker's.
- A lost gap without ids is the worker's word that the venue counts anew: so does the lane.
- A lost gap of cause NOT_CARRIED is the worker's word that nobody wanted the symbol for a while. It is cut to
  what this lane has not; a lane that has heard nothing yet begins behind it, without a word.
- What was delivered is logged by position, trades and gaps alike, in the order of delivery. A client that
  was not written to for a while goes on at its position. The oldest entries go when the log is full: then
  the client goes on by trade id, from the tape and from the worker.

Pure: bytes, sockets and clocks are elsewhere.
"""

import heapq
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, TypeAlias

from processors.tape import Range, TradeTape
from protocol.events import Gap, GapCause, GapState, Trade, TradeFlag

Item: TypeAlias = Trade | Gap
Piece: TypeAlias = list[Trade] | Gap | Range


LOGGED: Final = 512
"""Items that a log keeps at least. They are some 220 bytes each, on a tape a trade is 40."""


class Mark(NamedTuple):
    """Where a reader of a lane is."""

    position: int
    """How many items had been delivered."""
    last_id: int
    """The highest trade id among them; 0 if there was none."""


class TradeLane:
    """One symbol."""

    def __init__(self, symbol_id: int, capacity: int) -> None:
        self.symbol_id: Final = symbol_id
        self.tape = TradeTape(capacity)
        self.duplicates = 0
        self._capacity = capacity
        self._ready: list[Item] = []
        self._waiting: list[tuple[int, int, int, Item]] = []
        """A heap by place: what stands behind a hole. Bounded by whoever asks for the hole: it ends the wait
        in seconds, and at once when this is long."""
        self._taken_in = 0
        self._told: list[Gap] = []
        """What the worker said of holes that are open, or that the tape has not reached yet."""
        self._log: list[Item] = []
        self._position = 0
        self._last_id = 0

    # In

    def begin(self, trades: list[Trade]) -> None:
        """Start with history: known from now on, and delivered to nobody."""
        self.tape.accept(trades)
        for first, last in self.tape.holes():
            self.tape.forget(first, last)
        self._last_id = self.tape.last_id

    def on_trades(self, trades: list[Trade]) -> None:
        """Take in trades from the bus or from an answer, in any order."""
        new = self.tape.accept(trades)
        self.duplicates += len(trades) - len(new)
        if not self._waiting and not self._told and not self.tape.has_holes:
            self._ready += new
        elif new:
            self._release(new)

    def on_gap(self, gap: Gap) -> None:
        """Take in what the worker says of a hole. It keeps its place among the trades."""
        if is_reset(gap):
            self._begin_anew(gap)
            return
        if gap.cause == GapCause.NOT_CARRIED:
            gap = gap._replace(first_id=max(gap.first_id, self.tape.last_id + 1))
            if not self.tape.last_id or gap.first_id > gap.last_id:
                return
        if gap.last_id:
            self._told = [part for one in self._told for part in _outside(one, gap)]
            if gap.state != GapState.FILLED:
                self._told.append(gap)
        self._release([gap])

    def _begin_anew(self, gap: Gap) -> None:
        self._ready += [one[-1] for one in sorted(self._waiting)]
        self._ready.append(gap)
        self._waiting.clear()
        self._told.clear()
        self.tape = TradeTape(self._capacity)

    def resize(self, capacity: int) -> None:
        """Hold more trades from now on, or fewer: then the oldest go."""
        self._capacity = capacity
        self.tape.resize(capacity)

    def tell_open(self, upto_id: int) -> list[Gap]:
        """Hold nothing back any more for what is missing up to an id; return the records that say so."""
        late = [(first, last) for first, last in self.missing() if last <= upto_id]
        gaps = [self._record(first, last, GapState.OPEN, GapCause.BUS) for first, last in late]
        for gap in gaps:
            self.on_gap(gap)
        return gaps

    def open_within(self, gap: Gap) -> list[Range]:
        """Return what is still missing of a gap."""
        return _within(self.tape.holes(), gap.first_id, gap.last_id)

    def close(self, gap: Gap) -> list[Range]:
        """End the wait for a gap that was told open; return what of it is lost."""
        lost = self.open_within(gap)
        for first, last in lost:
            self.on_gap(self._record(first, last, GapState.LOST, GapCause.BUS))
        if not lost:
            self.on_gap(gap._replace(state=GapState.FILLED))
        return lost

    def take_over(self) -> None:
        """Care for the holes that the worker spoke of: it was restarted, and knows of them no more."""
        self._told = [gap for gap in self._told if gap.state == GapState.LOST or gap.cause == GapCause.BUS]

    def missing(self) -> list[Range]:
        """Return the holes that nobody but this gateway knows of."""
        holes = self.tape.holes()
        for gap in self._told:
            holes = _without(holes, gap.first_id, gap.last_id)
        return holes

    @property
    def waiting(self) -> int:
        """How many items wait behind a hole."""
        return len(self._waiting)

    def _release(self, more: Iterable[Item]) -> None:
        """Put in order what waits, and hand out what stands before the first hole that is ours."""
        self._settle()
        for item in more:
            self._taken_in += 1
            heapq.heappush(self._waiting, (*_place(item), self._taken_in, item))
        missing = self.missing()
        hurdle = missing[0][0] if missing else 2**64
        while self._waiting and self._waiting[0][0] < hurdle:
            self._ready.append(heapq.heappop(self._waiting)[-1])

    def _settle(self) -> None:
        """Give up what the worker called lost, and drop what it said of holes that are no more."""
        for gap in self._told:
            if gap.state == GapState.LOST:
                self.tape.forget(gap.first_id, gap.last_id)
        holes, reached = self.tape.holes(), self.tape.last_id
        self._told = [
            gap for gap in self._told if gap.last_id > reached or _within(holes, gap.first_id, gap.last_id)
        ]

    # Out

    @property
    def is_ready(self) -> bool:
        """Something is to be delivered."""
        return bool(self._ready)

    def take_ready(self) -> list[Item]:
        """Return what is to be delivered now. From here on it is delivered: logged, and counted."""
        ready, self._ready = self._ready, []
        self._log += ready
        self._position += len(ready)
        self._last_id = _last_id(ready, self._last_id)
        logged = min(self._capacity, LOGGED)
        if len(self._log) > logged * 5 // 4:  # in steps, so that most flushes move nothing
            del self._log[:-logged]
        return ready

    def mark(self) -> Mark:
        """Return the end of what was delivered."""
        return Mark(self._position, self._last_id)

    def after(self, mark: Mark, most: int) -> tuple[list[Item], Mark] | None:
        """Return at most so many items delivered after a mark, and the mark behind them.

        None if some of them have left the log.
        """
        start = mark.position - (self._position - len(self._log))
        if start < 0:
            return None
        items = self._log[start : start + most]
        return items, Mark(mark.position + len(items), _last_id(items, mark.last_id))

    def replay(self, since: int) -> Iterator[Piece]:
        """Return in id order what was delivered after an id: trades that are held, gaps that the worker
        still works at (what it recovers will be delivered), and ranges that are not held here.
        """
        held = self.tape.between(since + 1, self._last_id)
        expected, start = since + 1, 0
        for place, trade in enumerate(held):
            if trade.id != expected:
                yield held[start:place]
                yield from self._absent(expected, trade.id - 1)
                start = place
            expected = trade.id + 1
        yield held[start:]
        yield from self._absent(expected, self._last_id)

    def _absent(self, first_id: int, last_id: int) -> Iterator[Gap | Range]:
        """Split a range, empty or not, into what the worker still works at and what is just not here."""
        absent = [(first_id, last_id)] if first_id <= last_id else []
        parts: list[tuple[Range, Gap | None]] = []
        for gap in self._told:
            if gap.state == GapState.OPEN:
                parts += [(one, gap) for one in _within(absent, gap.first_id, gap.last_id)]
                absent = _without(absent, gap.first_id, gap.last_id)
        parts += [(one, None) for one in absent]
        for (first, last), told in sorted(parts, key=lambda part: part[0]):
            yield self._record(first, last, GapState.OPEN, told.cause) if told else (first, last)

    def _record(self, first_id: int, last_id: int, state: int, cause: int) -> Gap:
        """State a gap, with the times of the trades around it where they are held."""
        before = self.tape.between(first_id - 1, first_id - 1)
        behind = self.tape.between(last_id + 1, last_id + 1)
        first_us = before[0].exchange_us if before else 0
        last_us = behind[0].exchange_us if behind else 0
        return Gap(self.symbol_id, state, cause, first_id, last_id, first_us, last_us)


def recovered(trades: list[Trade]) -> list[Trade]:
    """Flag trades as asked for and not heard."""
    return [trade._replace(flags=trade.flags | TradeFlag.RECOVERED) for trade in trades]


def is_reset(item: Item) -> bool:
    """Say whether this is the word that ids begin anew."""
    return isinstance(item, Gap) and item.state == GapState.LOST and not item.last_id


def _last_id(items: list[Item], last_id: int) -> int:
    """Say what the highest id is after these items."""
    for item in items:
        if isinstance(item, Trade):
            last_id = max(last_id, item.id)
        elif is_reset(item):
            last_id = 0
    return last_id


def _place(item: Item) -> tuple[int, int]:
    """Say where an item stands among the trades: a hole at its first id, the word that it is filled behind
    its last one."""
    if isinstance(item, Trade):
        return item.id, 1
    return (item.last_id, 2) if item.state == GapState.FILLED else (item.first_id, 0)


def _outside(gap: Gap, newer: Gap) -> list[Gap]:
    """Return what a newer word leaves of an older one."""
    left = _without([(gap.first_id, gap.last_id)], newer.first_id, newer.last_id)
    return [gap._replace(first_id=first, last_id=last) for first, last in left]


def _without(ranges: list[Range], first_id: int, last_id: int) -> list[Range]:
    """Cut a range out of others."""
    parts = []
    for first, last in ranges:
        parts += [(first, min(last, first_id - 1)), (max(first, last_id + 1), last)]
    return [(first, last) for first, last in parts if first <= last]


def _within(ranges: list[Range], first_id: int, last_id: int) -> list[Range]:
    """Keep of some ranges what lies in another."""
    parts = [(max(first, first_id), min(last, last_id)) for first, last in ranges]
    return [(first, last) for first, last in parts if first <= last]
