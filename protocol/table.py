"""The newest price and quote of every symbol, as numpy columns indexed by symbol id.

A batch from the bus goes in with a few assignments, a frame for any set of ids comes out with
one `take`. Records of one batch name a symbol at most once (newest wins before it is sent).

There is a place for every id there can be: nothing grows and nothing is looked up. Pages that
no id has touched cost no memory.
"""

from typing import Any, Final

import numpy as np

from protocol.events import MAX_SYMBOL_ID, Kind
from protocol.frames import LAYOUTS, V1, Frame, Records, seal_v1, seal_v2

PLACES: Final = MAX_SYMBOL_ID + 1
MIN_DELAY_US: Final = np.int64(-(2**31))
MAX_DELAY_US: Final = np.int64(2**31 - 1)
Ids = np.ndarray[Any, np.dtype[np.uint16 | np.intp]]


def _parts(size: int) -> np.dtype[np.void]:
    """See a PRICE or QUOTE record as what is moved at once and what is written on the way out.

    Bytes move three to ten times as fast as fields do.
    """
    return np.dtype(
        {
            "names": ["whole", "changes", "delay_us", "amounts"],
            "formats": [f"V{size}", "u1", "<i4", f"V{size - 8}"],
            "offsets": [0, 3, 4, 8],  # 3: the high byte of `flags`
            "itemsize": size,
        }
    )


_V1_PARTS: Final = np.dtype(
    {"names": ["whole", "amounts"], "formats": ["V18", "V16"], "offsets": [0, 2], "itemsize": 18}
)


class PriceTable:
    """The newest record per symbol of one kind (PRICE or QUOTE), and how often each changed."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._records: Records = np.zeros(PLACES, LAYOUTS[kind].dtype)
        self._parts = _parts(self._records.itemsize)
        self._whole = self._records.view(self._parts)["whole"]
        self._sent_us = np.zeros(PLACES, np.int64)
        self.changes = np.zeros(PLACES, np.int64)
        """How many changes of each symbol have ever arrived: 0 means no value yet."""
        self._v1: Records = np.zeros(PLACES if kind is Kind.PRICE else 0, V1.dtype)
        self._v1["symbol_id"] = np.arange(len(self._v1))
        v1_parts = self._v1.view(_V1_PARTS)
        self._v1_whole, self._v1_amounts = v1_parts["whole"], v1_parts["amounts"]

    def update(self, frame: Frame) -> None:
        """Take the values of a decoded frame of this table's kind."""
        ids = frame.records["symbol_id"].astype(np.intp)  # numpy's own index type: far faster than u16
        parts = frame.records.view(self._parts)
        self._whole[ids] = parts["whole"]
        self._sent_us[ids] = np.int64(frame.time_us) - parts["delay_us"]
        self.changes[ids] += np.maximum(parts["changes"], 1)
        if self.kind is Kind.PRICE:
            self._v1_amounts[ids] = parts["amounts"]

    def news(self, frame: Frame) -> Frame:
        """Keep those records of a frame whose amounts differ from what is known."""
        ids = frame.records["symbol_id"].astype(np.intp)
        known = self._whole[ids].view(self._parts)["amounts"]
        return frame._replace(records=frame.records[known != frame.records.view(self._parts)["amounts"]])

    def known(self, ids: Ids) -> Ids:
        """Keep those of the ids that have a value."""
        return ids[self.changes.take(ids) > 0]

    def amounts(self, ids: np.ndarray[Any, np.dtype[np.intp]]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return a row of amounts a symbol: of PRICE, price and volume."""
        words = self._whole.take(ids).view(np.float64)
        return words.reshape(len(ids), self._records.itemsize // 8)[:, 1:]  # the first is no amount

    def encode_v1(self, ids: Ids) -> bytes:
        """Encode the newest prices of some symbols as one v1 frame."""
        return seal_v1(self.pack_v1(ids), len(ids))

    def encode_v2(self, ids: Ids, changes: Any, time_us: int) -> bytes:
        """Encode the newest records of some symbols, each said to stand for that many changes."""
        return seal_v2(self.kind, self.pack_v2(ids, changes, time_us), len(ids), time_us)

    def pack_v1(self, ids: Ids) -> bytes:
        """Return the v1 records alone, 18 bytes each, for frames that share them."""
        return self._v1_whole.take(ids).tobytes()

    def pack_v2(self, ids: Ids, changes: Any, time_us: int) -> bytes:
        """Return the v2 records alone, for frames that share them."""
        records = self._whole.take(ids)
        parts = records.view(self._parts)
        parts["changes"] = np.minimum(changes, 255)
        delay_us = np.int64(time_us) - self._sent_us.take(ids)
        parts["delay_us"] = np.minimum(np.maximum(delay_us, MIN_DELAY_US), MAX_DELAY_US)
        return records.tobytes()

    def row(self, symbol_id: int) -> tuple[Any, int] | None:
        """Return one symbol's record as a tuple of `events.py` and the venue's time in µs."""
        if not self.changes[symbol_id]:
            return None
        row = LAYOUTS[self.kind].row._make(self._records[symbol_id].tolist())
        return row, int(self._sent_us[symbol_id])
