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

Records of COMPACT are not aligned and end in an i24, which neither `struct` nor numpy knows.

All integers and floats are little-endian; a time stays below 2^63, so that it fits a signed
integer everywhere. Nothing here knows about sockets.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from zlib_ng.zlib_ng import crc32

from protocol.errors import BadChecksum, BadLength, BadValue, BadVersion, TooManyRecords, UnknownKind
from protocol.events import Base, Candle, Compact, Enigma, Gap, Kind, Price, PriceUpdate, Quote, Trade

MAX_RECORDS: Final = 65_535
CRC: Final = struct.Struct("<I")
HEADER_V1: Final = struct.Struct("<IH")
HEADER_V2: Final = struct.Struct("<IHBBQ")
_COVERED_V1: Final = struct.Struct("<H")
_COVERED_V2: Final = struct.Struct("<HBBQ")
"""The headers as far as the CRC covers them."""
VERSION: Final = 2
_INFINITY_BITS: Final = 0x7FF0_0000_0000_0000
_BEFORE_BODY: Final = 0x6DD9_0A9D
"""A CRC-32 that begins with this XOR c is, past the four bytes of c, one that begins anew; so what the CRC
of a frame covers need not be cut out of it."""
_LAST_BYTE: Final = 7
_SUSPICIOUS: Final = 0x7F
"""The last byte of a float has its sign and the upper part of its exponent; below this, it is an amount."""

Records: TypeAlias = np.ndarray[Any, np.dtype[np.void]]
Row: TypeAlias = Price | Quote | Trade | Candle | Enigma | Gap | Base | Compact
INT24: Final = "t"
"""Stands for an i24 among the format characters of `struct`; only at the end."""
MAX_DIGITS: Final = 18
MAX_UNITS: Final = 2**53
"""Below it every integer is a float, so a number of units divided by a power of ten is rounded once."""


class Int24Struct:
    """Packs a record that ends in an i24, as `struct.Struct` packs others."""

    def __init__(self, others: str) -> None:
        self._wider = struct.Struct(f"<{others}i")
        self.size = self._wider.size - 1

    def pack(self, *fields: Any) -> bytes:
        # What does not fit 24 bits does not fit 32 either when it is shifted: this raises struct.error then.
        packed = self._wider.pack(*fields[:-1], fields[-1] * 256)
        return packed[:-4] + packed[-3:]

    def unpack(self, packed: bytes) -> tuple[Any, ...]:
        *others, last = self._wider.unpack(packed[:-3] + b"\0" + packed[-3:])
        return (*others, last >> 8)


class Layout(NamedTuple):
    """How one kind of record lies in memory."""

    row: type[Any]
    struct: struct.Struct | Int24Struct
    dtype: np.dtype[np.void]
    measures: tuple[str, ...]
    """Fields that state an amount: finite and never negative."""
    words: np.dtype[np.void]
    """The same record, seen as 8-byte integers from its first measure to its end: see `check_measures`."""


def _layout(row: type[Any], formats: str, measures: str) -> Layout:
    """Derive both views of a record from one list of formats, in the order of the row's fields."""
    codes = {
        "B": "<u1", "H": "<u2", "h": "<i2", "i": "<i4", "I": "<u4", "Q": "<u8", "q": "<i8", "d": "<f8",
        INT24: "V3",
    }  # fmt: skip
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
    packing = Int24Struct(formats[:-1]) if formats[-1] == INT24 else struct.Struct("<" + formats)
    return Layout(row, packing, dtype, names, words)


V1: Final = _layout(PriceUpdate, "Hdd", "price volume")
LAYOUTS: Final[dict[Kind, Layout]] = {
    Kind.PRICE: _layout(Price, "HHidd", "price volume"),
    Kind.QUOTE: _layout(Quote, "HHidddd", "bid bid_size ask ask_size"),
    Kind.TRADE: _layout(Trade, "HHIQQdd", "price quantity"),
    Kind.CANDLE: _layout(Candle, "HHHHQdddddIId", "open high low close volume taker_buy"),
    Kind.ENIGMA: _layout(Enigma, "HHiddd", "level low high"),
    Kind.GAP: _layout(Gap, "HHIQQQQ", ""),
    Kind.BASE: _layout(Base, "HBBIqq", ""),
    Kind.COMPACT: _layout(Compact, f"Hh{INT24}", ""),
}
_KIND_OF: Final[dict[type[Any], Kind]] = {layout.row: kind for kind, layout in LAYOUTS.items()}
_BY_NUMBER: Final = {int(kind): (kind, layout.dtype) for kind, layout in LAYOUTS.items()}


def _last_bytes(layout: Layout, header_bytes: int) -> tuple[slice, ...]:
    """Say where in a frame the last byte of each amount is."""
    fields = layout.dtype.fields
    starts = [header_bytes + fields[name][1] + _LAST_BYTE for name in layout.measures] if fields else []
    return tuple(slice(start, None, layout.dtype.itemsize) for start in starts)


_unpack_v1: Final = HEADER_V1.unpack_from
_view: Final = np.frombuffer
_HEADER_V1_BYTES: Final = HEADER_V1.size
_RECORD_V1_BYTES: Final = V1.dtype.itemsize
_DTYPE_V1: Final = V1.dtype
_PRICES_V1, _VOLUMES_V1 = _last_bytes(V1, HEADER_V1.size)
_AMOUNTS_V2: Final = {kind: _last_bytes(layout, HEADER_V2.size) for kind, layout in LAYOUTS.items()}


class Frame(NamedTuple):
    """A decoded v2 frame. `records` is a read-only view of the bytes it came in."""

    kind: Kind
    time_us: int
    records: Records

    def rows(self) -> list[Any]:
        """Copy the records out as the tuples of `events.py`."""
        row = LAYOUTS[self.kind].row
        if self.kind is Kind.COMPACT:
            unpack = LAYOUTS[self.kind].struct.unpack
            return [Compact._make(unpack(record.tobytes())) for record in self.records]
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
    _check(layout, np.frombuffer(packed, layout.dtype))
    return packed


def _fits(layout: Layout, row: tuple[Any, ...]) -> bool:
    try:
        layout.struct.pack(*row)
    except (struct.error, OverflowError):
        return False
    return True


def _check(layout: Layout, records: Records) -> None:
    if layout.row is Base:
        _check_bases(records)
    elif layout.measures:
        check_measures(layout, records)


def _check_bases(records: Records) -> None:
    """Refuse what no float can be made of exactly."""
    for field, limit in (
        ("price_digits", MAX_DIGITS + 1),
        ("volume_digits", MAX_DIGITS + 1),
        ("price", MAX_UNITS),
        ("volume", MAX_UNITS),
    ):
        column = records[field]
        bad = (column < 0) | (column >= limit)
        if bad.any():
            raise BadValue(field, int(column[bad][0]))


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
    # Written for speed: a step more, or a look into a module or a layout, is a tenth of all it takes.
    try:
        crc, count = _unpack_v1(frame)
    except struct.error:
        raise BadLength(_HEADER_V1_BYTES, len(frame)) from None
    if len(frame) != _HEADER_V1_BYTES + _RECORD_V1_BYTES * count:
        raise BadLength(_HEADER_V1_BYTES + _RECORD_V1_BYTES * count, len(frame))
    actual = crc32(frame, crc ^ _BEFORE_BODY)
    if actual != crc:
        raise BadChecksum(crc, actual)
    records = _view(frame, _DTYPE_V1, count, _HEADER_V1_BYTES)
    if isinstance(frame, bytes):
        last_bytes = frame[_PRICES_V1] + frame[_VOLUMES_V1]
        if last_bytes.isascii() and _SUSPICIOUS not in last_bytes:
            return records
    check_measures(V1, records)
    return records


def decode_v2(frame: bytes | memoryview) -> Frame:
    """View one v2 frame. Raises a ProtocolError, never anything else."""
    decoded, end = _decode_at(frame, 0)
    if end != len(frame):
        raise BadLength(end, len(frame))
    if not _are_amounts(frame, _AMOUNTS_V2[decoded.kind]):
        _check(LAYOUTS[decoded.kind], decoded.records)
    return decoded


def _are_amounts(frame: bytes | memoryview, places: tuple[slice, ...]) -> bool:
    """Say whether all amounts of a frame are amounts for sure. If not, they may be."""
    if not (places and isinstance(frame, bytes)):
        return False
    last_bytes = b"".join([frame[place] for place in places])
    return last_bytes.isascii() and _SUSPICIOUS not in last_bytes


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
