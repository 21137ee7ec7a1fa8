"""A client's end of compact prices, as tests need it: WebSocket frames in, the newest values out."""

from collections import Counter
from collections.abc import Iterator

from protocol.compact import Bases
from protocol.events import Kind
from protocol.frames import Frame, decode_v2


class CompactReader:
    """What a client makes of the bytes of one connection."""

    def __init__(self) -> None:
        self.newest: dict[int, tuple[float, float]] = {}
        self.records: Counter[Kind] = Counter()
        """How many of each kind have come."""
        self.bytes = 0
        self._bases = Bases()

    def read(self, data: bytes) -> None:
        """Take in whole WebSocket messages."""
        for frame in decode(data):
            self.bytes += 16 + frame.records.nbytes
            self.records[frame.kind] += len(frame.records)
            if frame.kind is Kind.BASE:
                self._bases.update(frame.records)
            elif frame.kind is Kind.COMPACT:
                self._note(self._bases.prices(frame.records).tolist())
            elif frame.kind is Kind.PRICE:
                self._note([(row.symbol_id, row.price, row.volume) for row in frame.rows()])

    def _note(self, prices: list[tuple[int, float, float]]) -> None:
        self.newest.update({symbol_id: (price, volume) for symbol_id, price, volume in prices})


def messages(data: bytes) -> Iterator[tuple[bool, bytes]]:
    """Cut unmasked WebSocket messages off their headers; say of each whether it is binary."""
    at = 0
    while at < len(data):
        is_binary, length, at = data[at] & 0x0F == 2, data[at + 1], at + 2
        if length > 125:
            wide = 2 if length == 126 else 8
            length, at = int.from_bytes(data[at : at + wide], "big"), at + wide
        yield is_binary, data[at : at + length]
        at += length


def decode(data: bytes) -> list[Frame]:
    """Decode whole WebSocket messages, all of them frames."""
    return [decode_v2(payload) for _, payload in messages(data)]
