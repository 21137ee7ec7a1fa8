"""Binary frames.

v1, what a client gets that asks for nothing:
    offset  size  field
    0       4     crc32 of everything after this field
    4       2     count
    6       18*n  records: symbol_id u16, price f64, volume f64

v2, aligned to 8 bytes, one kind of record a frame:
    0       4     crc32 of everything after this field
    4       2     count
    6       1     version = 2
    7       1     kind
    8       8     time_us: when the frame was encoded
    16      n*size records, the fields of events.py in the layouts below

All integers and floats are little-endian; a time stays below 2^63, so that it fits a signed
integer everywhere. Nothing here knows about sockets.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from zlib_ng.zlib_ng import crc32

from protocol.errors import BadChecksum, BadLength, BadValue, BadVersion, TooManyRecords, UnknownKind
from protocol.events import Candle, Enigma, Gap, Kind, Price, PriceUpdate, Quote, Trade

MAX_RECORDS: Final = 65_535
CRC: Final = struct.Struct("<I")
HEADER_V1: Final = struct.Struct("<IH")
HEADER_V2: Final = struct.Struct("<IHBBQ")
_COVERED_V1: Final = struct.Struct("<H")
_COVERED_V2: Final = struct.Struct("<HBBQ")
"""The headers as far as the CRC covers them."""
VERSION: Final = 2
_INFINITY_BITS: Final = 0x7FF0_0000_0000_0000

Records: TypeAlias = np.ndarray[Any, np.dtype[np.void]]
Row: TypeAlias = Price | Quote | Trade | Candle | Enigma | Gap


class Layout(NamedTuple):
    """How one kind of record lies in memory."""

    row: type[Any]
    struct: struct.Struct
    dtype: np.dtype[np.void]
    measures: tuple[str, ...]
    """Fields that state an amount: finite and never negative."""
    words: np.dtype[np.void]
    """The same record, seen as 8-byte integers from its first measure to its end: see `check_measures`."""


def _layout(row: type[Any], formats: str, measures: str) -> Layout:
    """Derive both views of a record from one list of formats, in the order of the row's fields."""
    codes = {"H": "<u2", "i": "<i4", "I": "<u4", "Q": "<u8", "d": "<f8"}
    dtype = np.dtype(list(zip(row._fields, [codes[code] for code in formats], strict=True)))
    names = tuple(measures.split())
    first = dtype.fields[names[0]][1] if dtype.fields and names else dtype.itemsize
    words = np.dtype(
        {
            "names": ["words"],
            "formats": [("<u8", ((dtype.itemsize - first) // 8,))],
            "offsets": [first],
            "itemsize": dtype.itemsize,
        }
    )
    return Layout(row, struct.Struct("<" + formats), dtype, names, words)


V1: Final = _layout(PriceUpdate, "Hdd", "price volume")
LAYOUTS: Final[dict[Kind, Layout]] = {
    Kind.PRICE: _layout(Price, "HHidd", "price volume"),
    Kind.QUOTE: _layout(Quote, "HHidddd", "bid bid_size ask ask_size"),
    Kind.TRADE: _layout(Trade, "HHIQQdd", "price quantity"),
    Kind.CANDLE: _layout(Candle, "HHHHQdddddIId", "open high low close volume taker_buy"),
    Kind.ENIGMA: _layout(Enigma, "HHiddd", "level low high"),
    Kind.GAP: _layout(Gap, "HHIQQQQ", ""),
}
_KIND_OF: Final[dict[type[Any], Kind]] = {layout.row: kind for kind, layout in LAYOUTS.items()}
_BY_NUMBER: Final = {int(kind): (kind, layout.dtype) for kind, layout in LAYOUTS.items()}


class Frame(NamedTuple):
    """A decoded v2 frame. `records` is a read-only view of the bytes it came in."""

    kind: Kind
    time_us: int
    records: Records

    def rows(self) -> list[Any]:
        """Copy the records out as the tuples of `events.py`."""
        row = LAYOUTS[self.kind].row
        return [row._make(record) for record in self.records.tolist()]


# Encoding


def encode_v1(updates: Sequence[PriceUpdate]) -> bytes:
    """Encode updates as one v1 frame. Raises BadValue or TooManyRecords."""
    return seal_v1(_pack(V1, updates), len(updates))


def encode_v2(rows: Sequence[Row], time_us: int, kind: Kind | None = None) -> bytes:
    """Encode rows of one kind as one v2 frame; an empty one must say its kind."""
    kind = kind or _KIND_OF[type(rows[0])]
    return seal_v2(kind, _pack(LAYOUTS[kind], rows), len(rows), time_us)


def encode_records(kind: Kind, records: Records, time_us: int) -> bytes:
    """Encode an array that already has the kind's dtype; its values are trusted."""
    return seal_v2(kind, records.tobytes(), len(records), time_us)


def seal_v1(packed: bytes, count: int) -> bytes:
    """Put the v1 header before packed records."""
    covered = _COVERED_V1.pack(_count_checked(count)) + packed
    return CRC.pack(crc32(covered)) + covered


def seal_v2(kind: int, packed: bytes, count: int, time_us: int) -> bytes:
    """Put the v2 header before packed records."""
    if time_us >> 63:
        raise BadValue("time_us", time_us)
    covered = _COVERED_V2.pack(_count_checked(count), VERSION, kind, time_us) + packed
    return CRC.pack(crc32(covered)) + covered


def _pack(layout: Layout, rows: Iterable[tuple[Any, ...]]) -> bytes:
    try:
        packed = b"".join([layout.struct.pack(*row) for row in rows])
    except (struct.error, OverflowError):
        raise BadValue("record", next(row for row in rows if not _fits(layout, row))) from None
    check_measures(layout, np.frombuffer(packed, layout.dtype))
    return packed


def _fits(layout: Layout, row: tuple[Any, ...]) -> bool:
    try:
        layout.struct.pack(*row)
    except (struct.error, OverflowError):
        return False
    return True


def check_measures(layout: Layout, records: Records) -> None:
    """Refuse NaN, infinite and negative amounts."""
    # Read as integers, the floats from 0 up to the largest finite one are those below infinity, so one
    # look at the maximum clears a whole frame. A word it does not clear may be -0.0 or padding: look closer.
    words = records.view(layout.words)["words"]
    if np.maximum.reduce(words, axis=None, initial=0) < _INFINITY_BITS:
        return
    for field in layout.measures:
        column = records[field]
        bad = ~(np.isfinite(column) & (column >= 0.0))
        if bad.any():
            raise BadValue(field, float(column[bad][0]))


def _count_checked(count: int) -> int:
    if count > MAX_RECORDS:
        raise TooManyRecords(count, MAX_RECORDS)
    return count


# Decoding


def decode_v1(frame: bytes | memoryview) -> Records:
    """View one v1 frame as an array of (symbol_id, price, volume).

    Raises BadLength, BadChecksum or BadValue, never anything else.
    """
    if len(frame) < HEADER_V1.size:
        raise BadLength(HEADER_V1.size, len(frame))
    crc, count = HEADER_V1.unpack_from(frame)
    expected = HEADER_V1.size + V1.dtype.itemsize * count
    if len(frame) != expected:
        raise BadLength(expected, len(frame))
    _check_crc(crc, memoryview(frame)[4:])
    records = np.frombuffer(frame, V1.dtype, count, HEADER_V1.size)
    check_measures(V1, records)
    return records


def decode_v2(frame: bytes | memoryview) -> Frame:
    """View one v2 frame. Raises a ProtocolError, never anything else."""
    decoded, end = _decode_at(frame, 0)
    if end != len(frame):
        raise BadLength(end, len(frame))
    check_measures(LAYOUTS[decoded.kind], decoded.records)
    return decoded


def decode_joined(frames: bytes | memoryview, offset: int = 0) -> Iterator[Frame]:
    """View v2 frames that stand one behind the other, as on the bus, from `offset` to the end.

    The amounts were checked by whoever encoded them; the CRC is checked here.
    """
    while offset < len(frames):
        frame, offset = _decode_at(frames, offset)
        yield frame


def _decode_at(data: bytes | memoryview, start: int) -> tuple[Frame, int]:
    if len(data) - start < HEADER_V2.size:
        raise BadLength(HEADER_V2.size, len(data) - start)
    crc, count, version, kind_number, time_us = HEADER_V2.unpack_from(data, start)
    if version != VERSION:
        raise BadVersion(version)
    known = _BY_NUMBER.get(kind_number)
    if known is None:
        raise UnknownKind(kind_number)
    if time_us >> 63:
        raise BadValue("time_us", time_us)
    kind, dtype = known
    end = start + HEADER_V2.size + dtype.itemsize * count
    if len(data) < end:
        raise BadLength(end - start, len(data) - start)
    _check_crc(crc, memoryview(data)[start + 4 : end])
    return Frame(kind, time_us, np.frombuffer(data, dtype, count, start + HEADER_V2.size)), end


def _check_crc(expected: int, body: memoryview) -> None:
    actual = crc32(body)
    if actual != expected:
        raise BadChecksum(expected, actual)
