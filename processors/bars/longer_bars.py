"""One symbol's bars of one interval, put together from the bars of a shorter one.

The rules of this file:
- A bar is said only if all of it is known, from its opening on: a month of which we have seen a day would be
  a wrong month.
- The running bar is its final children, added up once, and those that run.
- A child in which nobody traded adds nothing: the bar opens with its first trade, as at the venue. Only if
  nobody traded in all of it is it flat.
- A bar is final when its last child is. If something of it is not known then, it becomes final as soon as
  that is learnt.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce

from processors.bars.bar_row import BarRow, as_final, as_running, join
from processors.bars.final_bars import FinalBars
from protocol.intervals import next_open, open_of


class LongerBars:
    def __init__(self, interval: int, children: FinalBars, child_interval: int) -> None:
        self.finals = FinalBars()
        self.running: list[BarRow] = []
        """Oldest first; two while the first waits for its last child to become final."""
        self.is_whole = True
        """`running` lacks nothing."""
        self._interval = interval
        self._children = children
        self._child_ms = child_interval * 60_000
        self._open_ms = self._next_ms = 0
        """Of the bar that holds the frontier of the children."""
        self._is_known = True
        """All final children of that bar are."""
        self._sum: BarRow | None = None
        self._summed_to_ms = 0
        """`_sum` is those of them that open before."""
        self._incomplete: set[int] = set()
        """Bars that ended before all of them was known."""

    def roll(self, changed: Mapping[int, bool], running: Sequence[BarRow], is_whole: bool) -> None:
        """Follow the children: the final ones that changed, those that run, and whether these are all."""
        if changed or self._incomplete:
            self._finish_all(changed)
        if self._summed_to_ms != self._children.frontier_ms or not self._is_known:
            self._sum_up()
        self.is_whole = is_whole and self._is_known
        self.running = self._put_together(running)

    def forget(self, before_ms: int) -> None:
        """Drop what opened before, and what never became complete."""
        self.finals.forget(before_ms)
        self._incomplete = {one for one in self._incomplete if one >= before_ms}

    # Final bars

    def _finish_all(self, changed: Mapping[int, bool]) -> None:
        touched = dict.fromkeys(self._incomplete, True)
        for child_ms, is_new in changed.items():
            open_ms = open_of(child_ms, self._interval)
            touched[open_ms] = touched.get(open_ms, False) or is_new
            if self._open_ms <= child_ms < self._summed_to_ms:
                self._begin_sum()
        for open_ms in sorted(touched):
            self._finish(open_ms, is_new=touched[open_ms])

    def _finish(self, open_ms: int, *, is_new: bool) -> None:
        next_ms = next_open(open_ms, self._interval)
        if next_ms > self._children.frontier_ms:
            return
        if not self._children.known.covers(open_ms, next_ms):
            self._incomplete.add(open_ms)
            return
        self._incomplete.discard(open_ms)
        rows = list(self._between(open_ms, next_ms))
        if rows:
            bar = reduce(join, rows[1:], as_running(rows[0], open_ms))
            # Final before our time: it has been corrected as often as any of its children, at least.
            revision = 0 if is_new else max(row.revision for row in rows)
            self.finals.put(as_final(bar, revision), next_ms, is_new=is_new)

    def _between(self, from_ms: int, to_ms: int) -> Iterable[BarRow]:
        rows = self._children.rows
        return (rows[one] for one in range(from_ms, to_ms, self._child_ms) if one in rows)

    # Running bars

    def _sum_up(self) -> None:
        frontier_ms = self._children.frontier_ms
        if frontier_ms >= self._next_ms:
            self._open_ms = open_of(frontier_ms, self._interval)
            self._next_ms = next_open(frontier_ms, self._interval)
            self.finals.frontier_ms = max(self.finals.frontier_ms, self._open_ms)
            self._begin_sum()
        self._is_known = self._children.known.covers(self._open_ms, frontier_ms)
        if self._is_known:
            for row in self._between(self._summed_to_ms, frontier_ms):
                self._sum = join(self._sum, row) if self._sum else as_running(row, self._open_ms)
            self._summed_to_ms = frontier_ms

    def _begin_sum(self) -> None:
        self._sum, self._summed_to_ms = None, self._open_ms

    def _put_together(self, children: Sequence[BarRow]) -> list[BarRow]:
        bars: list[BarRow] = []
        bar = self._sum if self.is_whole else None
        open_ms, next_ms = self._open_ms, self._next_ms
        from_ms = self._children.frontier_ms if self.is_whole else next_ms
        for child in children:
            child_ms = child.open_ms
            if child_ms < from_ms:
                continue
            if child_ms >= next_ms:
                if bar:
                    bars.append(bar)
                bar, open_ms = None, open_of(child_ms, self._interval)
                next_ms = next_open(child_ms, self._interval)
            bar = join(bar, child) if bar else as_running(child, open_ms)
        if bar:
            bars.append(bar)
        return bars
