"""The compact prices of a gateway: what they count from, and the frames of them.

The rules of this file:
- A value is encoded once a flush, for everybody who is to get it: a symbol has one BASE, the same for all.
- Whoever gets a COMPACT has its BASE. A flush brings a new BASE to all who watch the symbol. Whoever begins,
  or was slow, gets the BASEs of all symbols with the newest values.
- A BASE that was made for one of these is news to the others: the next flush of its symbol brings it to all.
- A value that is out of reach gets a new BASE, itself. If the last one has not served for `MIN_SERVED`
  records, another would not either: the value goes as a PRICE. So does what is no whole number of units.
"""

from typing import Final

import numpy as np

from gateway.ws.connection import frame_binary
from protocol.compact import Bases, Compacted, Index, base_of
from protocol.events import MAX_SYMBOL_ID, Base, Kind
from protocol.frames import LAYOUTS, seal_v2
from protocol.symbols import SymbolTable
from protocol.table import Ids, PriceTable

MIN_SERVED: Final = 4
"""A BASE costs 24 bytes, and saves 17 with each record that is no PRICE."""


class CompactPrices:
    """What the compact prices of all clients count from."""

    def __init__(self, prices: PriceTable, symbols: SymbolTable) -> None:
        self._table = prices
        self._symbols = symbols
        self._bases = Bases()
        self._served = np.full(MAX_SYMBOL_ID + 1, MIN_SERVED, np.uint8)
        """How many records of a symbol went out since it was last given a BASE, up to `MIN_SERVED`."""
        self._news: set[int] = set()
        """The symbols whose BASE only some of their clients have."""

    def on_flush(self, changed: dict[int, int], time_us: int) -> "CompactFrames":
        """Encode what changed for all who watch it, by how often each symbol did."""
        ids = np.fromiter(changed, np.intp)
        compacted = self._compact(ids)
        self._served[ids] = np.minimum(self._served[ids] + 1, MIN_SERVED)
        news = np.fromiter((one for one in changed if one in self._news), np.intp)
        self._news.difference_update(changed)
        return self._frames(ids, compacted, news, np.fromiter(changed.values(), np.int64), time_us)

    def encode_newest(self, ids: Ids, changes: Index, time_us: int) -> bytes:
        """Encode the newest values of some symbols, and what they count from, for one client."""
        places = ids.astype(np.intp)
        compacted = self._compact(places)
        bases = places[self._bases.known(places)]
        return self._frames(places, compacted, bases, changes, time_us).of(places.tolist())

    def _frames(
        self, ids: Index, compacted: Compacted, bases: Index, changes: Index, time_us: int
    ) -> "CompactFrames":
        frames = CompactFrames(time_us)
        frames.add(Kind.BASE, bases, self._bases.records(bases).tobytes())
        fits = compacted.fits
        frames.add(Kind.COMPACT, ids[fits], compacted.records[fits].tobytes())
        if not fits.all():
            others = ids[~fits]
            packed = self._table.pack_v2(others.astype(np.uint16), changes[~fits], time_us)
            frames.add(Kind.PRICE, others, packed)
        return frames

    def _compact(self, ids: Index) -> Compacted:
        """Say the newest values as differences; renew the bases that they are out of reach of."""
        amounts = self._table.amounts(ids)
        compacted = self._bases.compact(ids, amounts)
        if compacted.fits.all():
            return compacted
        renewed = []
        for place in np.flatnonzero(~compacted.fits & (self._served[ids] >= MIN_SERVED)).tolist():
            symbol_id = int(ids[place])
            self._served[symbol_id] = 0
            base = self._base_of(symbol_id, *amounts[place].tolist())
            if base is not None:
                renewed.append(base)
                compacted.fits[place] = True
        if renewed:
            self._bases.update(np.array(renewed, LAYOUTS[Kind.BASE].dtype))
            self._news.update(base.symbol_id for base in renewed)
        return compacted

    def _base_of(self, symbol_id: int, price: float, volume: float) -> Base | None:
        """Make a BASE of a value, if it can be said in the digits of its instrument."""
        one = self._symbols.by_id(symbol_id)
        if one is None:
            return None
        return base_of(symbol_id, price, one.price_precision, volume, one.quantity_precision)


class CompactFrames:
    """Records packed once, for the frames of everybody who watches some of them."""

    def __init__(self, time_us: int) -> None:
        self._time_us = time_us
        self._records: list[tuple[Kind, dict[int, bytes]]] = []
        self._frames: dict[tuple[int, ...], bytes] = {}

    def add(self, kind: Kind, ids: Index, packed: bytes) -> None:
        """Add records of one kind, behind those of others."""
        size = LAYOUTS[kind].dtype.itemsize
        if len(ids):
            places = range(0, len(packed), size)
            records = [packed[place : place + size] for place in places]
            self._records.append((kind, dict(zip(ids.tolist(), records, strict=True))))

    def of(self, ids: list[int]) -> bytes:
        """Return the WebSocket frames with what there is of some symbols, the same bytes for the same ids."""
        key = tuple(ids)
        frames = self._frames.get(key)
        if frames is None:
            frames = self._frames[key] = b"".join([self._frame(*one, ids) for one in self._records])
        return frames

    def _frame(self, kind: Kind, records: dict[int, bytes], ids: list[int]) -> bytes:
        found = [records[symbol_id] for symbol_id in ids if symbol_id in records]
        return frame_binary(seal_v2(kind, b"".join(found), len(found), self._time_us)) if found else b""
