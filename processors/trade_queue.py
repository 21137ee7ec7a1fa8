"""Trades and gaps on their way to the bus, in the order in which they came.

The rules of this file:
- Trades of a symbol that follow each other are one run, packed: a run costs what a trade costs.
- A batch takes the oldest. What it took of trades is gathered by symbol too, for a message of each
  symbol's own, and given out when nothing waits any more, or MOST_GATHERED trades are gathered.
- Full: the oldest go, and whoever added the newest is told which.

Pure.
"""

from collections import deque
from typing import Final, NamedTuple

from protocol.events import Kind

MOST_GATHERED: Final = 4_000
"""160 kB, if all are one symbol's; no bus refuses a message of 1 MB."""


class Run(NamedTuple):
    """Records of one symbol: trades that follow each other, or one gap."""

    kind: Kind
    native: str
    first_id: int
    count: int  # type: ignore[assignment]  # shadows tuple.count, which nobody calls on a run
    records: bytes

    @property
    def last_id(self) -> int:
        return self.first_id + self.count - 1

    def split(self, count: int) -> tuple["Run", "Run"]:
        """Cut it behind so many records."""
        size = len(self.records) // self.count * count
        before = self._replace(count=count, records=self.records[:size])
        first_id = self.first_id + count
        after = self._replace(first_id=first_id, count=self.count - count, records=self.records[size:])
        return before, after


class TradeQueue:
    """One shard's. Bounded: `most` records, and MOST_GATHERED trades with one batch more."""

    def __init__(self, most: int) -> None:
        self.added = 0
        """How many records have ever been added."""
        self._most = most
        self._runs: deque[Run] = deque()
        self._records = 0
        self._gathered: dict[str, list[Run]] = {}
        self._gathered_trades = 0

    def __len__(self) -> int:
        """Count the records."""
        return self._records

    @property
    def has_room(self) -> bool:
        """Less than half is full: thousands of trades may come at once."""
        return self._records <= self._most // 2

    def add(self, run: Run) -> list[Run]:
        """Put it behind all others; return those that have to go for it."""
        self._runs.append(run)
        self._records += run.count
        self.added += run.count
        return self._take(self._records - self._most) if self._records > self._most else []

    def take(self, most: int) -> list[Run]:
        """Take the oldest so many records out, for a batch."""
        taken = self._take(most)
        for run in taken:
            if run.kind is Kind.TRADE:  # services read of gaps in the ledger
                self._gathered.setdefault(run.native, []).append(run)
                self._gathered_trades += run.count
        return taken

    def take_gathered(self) -> dict[str, list[Run]]:
        """Return by symbol the trades that were taken for batches, if it is time; else nothing."""
        if self._records and self._gathered_trades < MOST_GATHERED:
            return {}
        gathered, self._gathered, self._gathered_trades = self._gathered, {}, 0
        return gathered

    def _take(self, most: int) -> list[Run]:
        if most >= self._records:
            taken, self._records = list(self._runs), 0
            self._runs.clear()
            return taken
        taken = []
        while most and self._runs:
            run = self._runs.popleft()
            if run.count > most:
                run, rest = run.split(most)
                self._runs.appendleft(rest)
            taken.append(run)
            most -= run.count
            self._records -= run.count
        return taken
