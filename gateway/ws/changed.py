"""What has changed since the last flush: which symbols, and how often each. Pure bookkeeping.

How often is the difference of what the table counts then and now, so that a batch is noted in one step.
"""

from collections.abc import Collection
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from protocol.compact import Index
from protocol.frames import Records
from protocol.table import PriceTable

Counts: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


class Changed(NamedTuple):
    """What one flush brings of one table."""

    ids: Index
    """Ascending, each once."""
    counts: Counts
    """How often each has changed."""
    before: Counts
    """How often each had changed in all, at the last flush."""

    def by_id(self) -> dict[int, int]:
        """Return how often each symbol has changed."""
        return dict(zip(self.ids.tolist(), self.counts.tolist(), strict=True))

    def before_of(self, watched: Collection[int]) -> dict[int, int]:
        """Return how often those that somebody watches had changed before."""
        before = zip(self.ids.tolist(), self.before.tolist(), strict=True)
        return {one: count for one, count in before if one in watched}


class ChangedSymbols:
    """The symbols of one table that have changed since they were last taken."""

    def __init__(self, table: PriceTable) -> None:
        self._table = table
        self._noted: list[Index] = []
        """What each batch brought. Bounded by the loop: a flush follows at the end of the same turn."""
        self._taken = np.zeros_like(table.changes)

    def __bool__(self) -> bool:
        return bool(self._noted)

    def note(self, records: Records) -> None:
        """Note what the table has just taken in."""
        self._noted.append(records["symbol_id"].astype(np.intp))

    def take(self) -> Changed:
        """Return what has changed, and begin anew."""
        noted, self._noted = self._noted, []
        ids = _sorted(noted)
        totals, before = self._table.changes.take(ids), self._taken.take(ids)
        self._taken[ids] = totals
        return Changed(ids, totals - before, before)


def _sorted(noted: list[Index]) -> Index:
    """Join what some batches brought; one batch names a symbol at most once."""
    if len(noted) > 1:
        return np.unique(np.concatenate(noted))
    ids = noted[0] if noted else np.empty(0, np.intp)
    ids.sort()
    return ids
