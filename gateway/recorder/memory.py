"""Bars that the store does not hold yet: the running ones, and the changes that wait to be written.

The rules of this file:
- A final bar, or a correction, stays until the store has it. Several changes of one bar are one: the newest.
- A running bar is not written. It goes when it is final, or when `MAX_RUNNING` newer ones of its series came.
- While somebody reads the store, what leaves for the store is kept for that reader: its read may have begun
  before the write and end after it.

Full, at `max_waiting` (the store has refused for long): those that wait longest go, and are counted. Their
span is not covered, so the venue is asked for them when they are wanted.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from gateway.store.history import Change
from processors.bars.bar_row import BarRow
from protocol.bars import BAR, Bars, Series
from protocol.events import CandleFlag

FINAL: Final = int(CandleFlag.FINAL)
MAX_RUNNING: Final = 4
MAX_WAITING: Final = 200_000


class Memory:
    """All series of the recorder."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self.waiting = 0
        """How many bars wait to be written."""
        self.dropped = 0
        self._max_waiting = max_waiting
        self._unwritten: dict[Series, dict[int, BarRow]] = {}
        self._running: dict[Series, dict[int, BarRow]] = {}
        self._readers: dict[Series, list[dict[int, BarRow]]] = {}

    def put(self, series: Series, row: BarRow) -> None:
        """Take in the newest state of a bar, its version set."""
        running = self._running.get(series)
        if running is None:
            running = self._running[series] = {}
        if not row.flags & FINAL:
            running[row.open_ms] = row
            if len(running) > MAX_RUNNING:
                del running[min(running)]
            return
        running.pop(row.open_ms, None)
        unwritten = self._unwritten.setdefault(series, {})
        self.waiting += row.open_ms not in unwritten
        unwritten[row.open_ms] = row
        while self.waiting > self._max_waiting:
            self._drop_one()

    def _drop_one(self) -> None:
        series = next(iter(self._unwritten))
        self._remove(series, next(iter(self._unwritten[series])))
        self.dropped += 1

    def first_running(self, series: Series) -> int | None:
        """Return when the oldest bar opened that is not final yet."""
        return min(self._running.get(series, ()), default=None)

    # To the store

    def changes(self, most: int) -> list[Change]:
        """Return what waits longest, at most so many bars; they stay until `written`."""
        found: list[Change] = []
        for series, rows in self._unwritten.items():
            some = [row for row, _ in zip(rows.values(), range(most), strict=False)]
            found.append(Change(series, as_bars(some)))
            most -= len(some)
            if not most:
                break
        return found

    def written(self, changes: Sequence[Change]) -> None:
        """Forget what the store has now, unless it changed meanwhile."""
        for series, bars in changes:
            unwritten = self._unwritten.get(series, {})
            for open_ms, version in zip(bars["open_ms"].tolist(), bars["version"].tolist(), strict=True):
                row = unwritten.get(open_ms)
                if row is not None and row.version == version:
                    self._remove(series, open_ms)
                    for reader in self._readers.get(series, ()):
                        reader[open_ms] = row

    def _remove(self, series: Series, open_ms: int) -> None:
        rows = self._unwritten[series]
        del rows[open_ms]
        self.waiting -= 1
        if not rows:
            del self._unwritten[series]

    # To those who ask

    @contextlib.contextmanager
    def reading(self, series: Series) -> Iterator[dict[int, BarRow]]:
        """Read the store inside: what leaves for it meanwhile is noted in what this returns."""
        left: dict[int, BarRow] = {}
        readers = self._readers.setdefault(series, [])
        readers.append(left)
        try:
            yield left
        finally:
            readers[:] = [one for one in readers if one is not left]
            if not readers:
                self._readers.pop(series, None)

    def rows(self, series: Series) -> dict[int, BarRow]:
        """Return all bars of a series that are here, by opening."""
        return self._running.get(series, {}) | self._unwritten.get(series, {})


def as_bars(rows: Sequence[BarRow]) -> Bars:
    return np.array(list(rows), BAR)


def merged(kept: Bars, *fresher: dict[int, BarRow]) -> Bars:
    """Put rows over bars from the store; of two with one opening that with the higher version holds."""
    rows = [row for layer in fresher for row in layer.values()]
    if not rows:
        return kept
    bars = np.concatenate([kept, as_bars(rows)])
    bars = bars[np.lexsort((bars["version"], bars["open_ms"]))]
    is_newest = np.append(bars["open_ms"][1:] != bars["open_ms"][:-1], True)
    newest: Bars = bars[is_newest]
    return newest
