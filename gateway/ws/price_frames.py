"""The frames of one flush of one kind: records packed once, frames shared by all who get the same."""

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from gateway.ws.audience import Audience, Audiences, Form, Rows
from gateway.ws.changed import Changed
from gateway.ws.connection import frame_binary
from protocol.compact import Index
from protocol.frames import LAYOUTS, V1, seal_v1, seal_v2
from protocol.table import PLACES, PriceTable

NOWHERE: Final = -1


class PriceFrames:
    """Encodes the newest values of one table, flush after flush."""

    def __init__(self, table: PriceTable, audiences: Audiences) -> None:
        self._table: Final = table
        self._audiences: Final = audiences
        self._places = np.full(PLACES, NOWHERE, np.intp)
        """Where each symbol is among the changed: outside of `_places_of` nowhere."""

    def of(self, changed: Changed, time_us: int) -> Iterator[tuple[Audience, bytes]]:
        """Encode for each audience what it watches of the changed, in the order of these."""
        kind, audiences = self._table.kind, self._audiences
        encoders: dict[int, _Encoder] = {}
        if audiences.is_mostly(kind, changed.ids):
            for form, rows in audiences.rows(kind).items():
                yield from self._by_rows(_Encoder(form, self._table, changed, time_us), rows, changed.ids)
            return
        for audience, ids in audiences.concerned(kind, changed.ids.tolist()).items():
            encoder = encoders.get(audience.form)
            if encoder is None:
                encoder = encoders[audience.form] = _Encoder(audience.form, self._table, changed, time_us)
            yield audience, encoder.frame_of(ids)

    def _by_rows(self, encoder: "_Encoder", rows: Rows, ids: Index) -> Iterator[tuple[Audience, bytes]]:
        """Take the records of all audiences at once, and cut what is each one's out of that."""
        places, ends = self._places_of(rows, ids)
        records, size, start = encoder.records.take(places).tobytes(), encoder.record_bytes, 0
        for audience, end in zip(rows.audiences, (ends * size).tolist(), strict=True):
            if end > start:
                yield audience, encoder.frame(records[start:end])
            start = end

    def _places_of(self, rows: Rows, ids: Index) -> tuple[Index, Index]:
        """Say where the changed ones of some rows are among the changed, and where each audience's end."""
        self._places[ids] = np.arange(len(ids))
        places = self._places.take(rows.ids)
        self._places[ids] = NOWHERE
        has_changed = places != NOWHERE
        if has_changed.all():
            return places, rows.ends
        return places[has_changed], has_changed.cumsum()[rows.ends - 1]


class _Encoder:
    """The frames of one flush in one form."""

    def __init__(self, form: int, table: PriceTable, changed: Changed, time_us: int) -> None:
        ids = changed.ids
        self._seal: Callable[[bytes, int], bytes]
        if form == Form.V1:
            packed, size = table.pack_v1(ids), V1.dtype.itemsize
            self._seal = seal_v1
        else:
            packed, size = table.pack_v2(ids, changed.counts, time_us), LAYOUTS[table.kind].dtype.itemsize
            self._seal = lambda body, count: seal_v2(table.kind, body, count, time_us)
        self.record_bytes: Final = size
        self.records: Final = np.frombuffer(packed, f"V{size}")
        """Of each symbol that has changed."""
        self._by_id: dict[int, bytes] = {}
        self._ids = ids
        self._frames: dict[bytes, bytes] = {}

    def frame_of(self, ids: list[int]) -> bytes:
        """Return the frame with the records of some symbols."""
        if not self._by_id:
            self._by_id = dict(zip(self._ids.tolist(), self.records.tolist(), strict=True))
        return self.frame(b"".join([self._by_id[one] for one in ids]))

    def frame(self, body: bytes) -> bytes:
        """Return the WebSocket frame with these records, the same bytes for the same records."""
        frame = self._frames.get(body)
        if frame is None:
            count = len(body) // self.record_bytes
            frame = self._frames[body] = frame_binary(self._seal(body, count))
        return frame
