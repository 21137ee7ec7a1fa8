"""The newest price and quote of every symbol, as numpy columns indexed by symbol id.

A batch from the bus goes in with one assignment, a frame for any set of ids comes out with
one `take`. Records of one batch name a symbol at most once (newest wins before it is sent).
"""

from typing import Any, Final

import numpy as np

from protocol.events import Kind
from protocol.frames import LAYOUTS, V1, Frame, Records, seal_v1, seal_v2

I32: Final = np.iinfo(np.int32)
Ids = np.ndarray[Any, np.dtype[np.uint16]]


class PriceTable:
    """The newest record per symbol of one kind (PRICE or QUOTE), and how often each changed."""

    def __init__(self, kind: Kind, capacity: int = 1_024) -> None:
        self.kind = kind
        self._records: Records = np.zeros(capacity, LAYOUTS[kind].dtype)
        self._v1: Records = np.zeros(capacity, V1.dtype)
        self._sent_us = np.zeros(capacity, np.int64)
        self.changes = np.zeros(capacity, np.int64)
        """How many changes of each symbol have ever arrived: 0 means no value yet."""

    def update(self, frame: Frame) -> None:
        """Take the values of a decoded frame of this table's kind."""
        records = frame.records
        ids = records["symbol_id"]
        self._grow_to(int(ids.max(initial=0)))
        self._records[ids] = records
        self._sent_us[ids] = frame.time_us - records["delay_us"].astype(np.int64)
        self.changes[ids] += np.maximum(records["flags"] >> 8, 1)
        if self.kind is Kind.PRICE:
            for field in V1.row._fields:
                self._v1[field][ids] = records[field]

    def known(self, ids: Ids) -> Ids:
        """Keep those of the ids that have a value."""
        inside = ids[ids < len(self.changes)]
        return inside[self.changes[inside] > 0]

    def encode_v1(self, ids: Ids) -> bytes:
        """Encode the newest prices of some symbols as one v1 frame."""
        return seal_v1(self._v1.take(ids).tobytes(), len(ids))

    def encode_v2(self, ids: Ids, changes: Any, time_us: int) -> bytes:
        """Encode the newest records of some symbols, each said to stand for that many changes."""
        return seal_v2(self.kind, self.pack_v2(ids, changes, time_us), len(ids), time_us)

    def pack_v1(self, ids: Ids) -> bytes:
        """Return the v1 records alone, 18 bytes each, for frames that share them."""
        return self._v1.take(ids).tobytes()

    def pack_v2(self, ids: Ids, changes: Any, time_us: int) -> bytes:
        """Return the v2 records alone, for frames that share them."""
        records = self._records.take(ids)
        records["delay_us"] = np.clip(time_us - self._sent_us.take(ids), I32.min, I32.max)
        records["flags"] = (records["flags"] & 0xFF) | (np.minimum(changes, 255).astype(np.uint16) << 8)
        return records.tobytes()

    def row(self, symbol_id: int) -> tuple[Any, int] | None:
        """Return one symbol's record as a tuple of `events.py` and the venue's time in µs."""
        if symbol_id >= len(self.changes) or not self.changes[symbol_id]:
            return None
        row = LAYOUTS[self.kind].row._make(self._records[symbol_id].tolist())
        return row, int(self._sent_us[symbol_id])

    def _grow_to(self, symbol_id: int) -> None:
        missing = symbol_id + 1 - len(self.changes)
        if missing > 0:
            more = max(missing, len(self.changes))
            for name in ("_records", "_v1", "_sent_us", "changes"):
                column = getattr(self, name)
                setattr(self, name, np.concatenate([column, np.zeros(more, column.dtype)]))
