import contextlib
import itertools
import math
import struct
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_rows import TIMES_US, kinds_and_rows, v1_rows

from protocol.errors import BadChecksum, BadLength, BadValue, ProtocolError, TooManyRecords
from protocol.events import Base, Candle, Compact, Kind, Price, PriceUpdate, Quote
from protocol.frames import (
    LAYOUTS,
    MAX_RECORDS,
    V1,
    decode_joined,
    decode_v1,
    decode_v2,
    encode_records,
    encode_v1,
    encode_v2,
    seal_v1,
    seal_v2,
)

NOW_US = 1_790_000_000_123_456
BAD_AMOUNTS = (math.nan, math.inf, -math.inf, -1.0, -5e-324)
MEASURES = [(kind, field) for kind, layout in LAYOUTS.items() for field in layout.measures]


def sealed(covered: bytes) -> bytes:
    """Put a right CRC before bytes that are otherwise anything."""
    return struct.pack("<I", crc32(covered)) + covered


def rows_v1(frame: bytes) -> list[PriceUpdate]:
    return [PriceUpdate._make(row) for row in decode_v1(frame).tolist()]


# What the bytes are


def test_v1_frame_of_one_update():
    frame = encode_v1([PriceUpdate(7, 1.5, 2.0)])
    assert frame == bytes.fromhex("5128530f 0100 0700 000000000000f83f 0000000000000040")
    assert rows_v1(frame) == [PriceUpdate(7, 1.5, 2.0)]


def test_v2_frame_of_one_price():
    frame = encode_v2([Price(7, 0x0100, 1_500, 1.5, 2.0)], NOW_US)
    assert frame == bytes.fromhex(
        "c2a99381 0100 02 01 40c227dafe5b0600 0700 0001 dc050000 000000000000f83f 0000000000000040"
    )


def test_a_count_is_at_byte_4_and_the_crc_covers_it():
    frame = encode_v1([PriceUpdate(1, 1.0, 1.0)] * 258)
    assert frame[4:6] == b"\x02\x01"
    assert int.from_bytes(frame[:4], "little") == crc32(frame[4:])


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        (Kind.PRICE, 24),
        (Kind.QUOTE, 40),
        (Kind.TRADE, 40),
        (Kind.CANDLE, 72),
        (Kind.ENIGMA, 32),
        (Kind.GAP, 40),
        (Kind.BASE, 24),
    ],
)
def test_v2_records_have_their_size_and_every_field_is_aligned(kind, size):
    layout = LAYOUTS[kind]
    assert layout.struct.size == layout.dtype.itemsize == size
    for field, offset in layout.dtype.fields.values():
        assert offset % field.itemsize == 0


def test_compact_records_are_packed():
    layout = LAYOUTS[Kind.COMPACT]
    assert layout.struct.size == layout.dtype.itemsize == 7
    assert layout.struct.pack(0x0201, -2, -3) == bytes.fromhex("0102 feff fdffff")


def test_every_kind_has_a_layout():
    assert set(LAYOUTS) == set(Kind)


# There and back


@given(v1_rows())
def test_v1_decodes_to_what_was_encoded(rows):
    assert rows_v1(encode_v1(rows)) == rows


@given(kinds_and_rows(), TIMES_US)
def test_v2_decodes_to_what_was_encoded(kind_and_rows, time_us):
    kind, rows = kind_and_rows
    frame = decode_v2(encode_v2(rows, time_us, kind))
    assert (frame.kind, frame.time_us, frame.rows()) == (kind, time_us, rows)


@given(kinds_and_rows(), TIMES_US)
def test_an_array_encodes_like_its_rows(kind_and_rows, time_us):
    kind, rows = kind_and_rows
    encoded = encode_v2(rows, time_us, kind)
    assert encode_records(kind, decode_v2(encoded).records, time_us) == encoded
    if kind is not Kind.COMPACT:  # its i24 is made of numbers by `protocol/compact.py`
        assert encode_records(kind, np.array(rows, LAYOUTS[kind].dtype), time_us) == encoded


def test_rows_say_their_kind_and_only_an_empty_frame_must_be_told():
    assert decode_v2(encode_v2([Quote(1, 0, 0, 1.0, 1.0, 1.0, 1.0)], NOW_US)).kind is Kind.QUOTE
    empty = decode_v2(encode_v2([], NOW_US, Kind.GAP))
    assert (empty.kind, empty.time_us, empty.rows()) == (Kind.GAP, NOW_US, [])


def test_records_are_a_view_that_cannot_be_written():
    frame = encode_v2([Price(1, 0, 0, 1.0, 1.0)], NOW_US)
    records = decode_v2(frame).records
    assert not records.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        records["price"] = 2.0


@given(v1_rows(3), kinds_and_rows(3))
def test_a_frame_in_a_memoryview_decodes_alike(rows, kind_and_rows):
    kind, more = kind_and_rows
    assert decode_v1(memoryview(encode_v1(rows))).tolist() == [tuple(row) for row in rows]
    assert decode_v2(memoryview(encode_v2(more, 0, kind))).rows() == more


# What is damaged


@given(v1_rows(5), st.data())
def test_any_flipped_bit_of_v1_is_caught(rows, data):
    frame = bytearray(encode_v1(rows))
    bit = data.draw(st.integers(0, len(frame) * 8 - 1))
    frame[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(ProtocolError):
        decode_v1(bytes(frame))


@given(kinds_and_rows(5), st.data())
def test_any_flipped_bit_of_v2_is_caught(kind_and_rows, data):
    kind, rows = kind_and_rows
    frame = bytearray(encode_v2(rows, NOW_US, kind))
    bit = data.draw(st.integers(0, len(frame) * 8 - 1))
    frame[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(ProtocolError):
        decode_v2(bytes(frame))


@given(st.binary(max_size=200))
def test_garbage_never_raises_anything_but_protocol_error(garbage):
    for decode in (decode_v1, decode_v2, lambda data: list(decode_joined(data))):
        with contextlib.suppress(ProtocolError):
            decode(garbage)


@given(st.binary(max_size=120))
def test_garbage_under_a_right_crc_is_refused_or_means_exactly_itself(garbage):
    frame = sealed(garbage)
    with contextlib.suppress(ProtocolError):
        assert encode_v1(rows_v1(frame)) == frame
    with contextlib.suppress(ProtocolError):
        decoded = decode_v2(frame)
        assert encode_records(decoded.kind, decoded.records, decoded.time_us) == frame


@given(kinds_and_rows(3), st.binary(min_size=2, max_size=2))
def test_right_headers_before_garbage_records_raise_only_protocol_error(kind_and_rows, noise):
    kind, rows = kind_and_rows
    packed = encode_v2(rows, 0, kind)[16:]
    garbled = bytes(byte ^ noise[place % 2] for place, byte in enumerate(packed))
    with contextlib.suppress(BadValue):
        decode_v2(seal_v2(kind, garbled, len(rows), NOW_US))


@given(v1_rows(3), st.data())
def test_a_v1_frame_cut_or_joined_anywhere_is_refused(rows, data):
    frame = encode_v1(rows)
    cut = data.draw(st.integers(0, len(frame) - 1))
    for damaged in (frame[:cut], frame + frame[: cut + 1], frame[cut:] + frame[:cut] * (cut > 0)):
        if damaged != frame:
            with pytest.raises(ProtocolError):
                decode_v1(damaged)


@given(kinds_and_rows(3), st.data())
def test_a_v2_frame_cut_or_joined_anywhere_is_refused(kind_and_rows, data):
    kind, rows = kind_and_rows
    frame = encode_v2(rows, NOW_US, kind)
    cut = data.draw(st.integers(0, len(frame) - 1))
    for damaged in (frame[:cut], frame + frame[: cut + 1]):
        with pytest.raises(BadLength):
            decode_v2(damaged)


@given(st.lists(kinds_and_rows(3), max_size=4), st.integers(0, 30))
def test_joined_frames_come_apart_again(frames, offset):
    encoded = [encode_v2(rows, number, kind) for number, (kind, rows) in enumerate(frames)]
    joined = b"\xff" * offset + b"".join(encoded)
    decoded = list(decode_joined(joined, offset))
    assert [(frame.kind, frame.rows()) for frame in decoded] == frames
    assert [frame.time_us for frame in decoded] == list(range(len(frames)))


@given(st.lists(kinds_and_rows(2), min_size=1, max_size=3), st.data())
def test_joined_frames_cut_anywhere_give_the_whole_ones_and_then_refuse(frames, data):
    encoded = [encode_v2(rows, NOW_US, kind) for kind, rows in frames]
    joined = b"".join(encoded)
    cut = data.draw(st.integers(0, len(joined) - 1))
    ends = [0, *itertools.accumulate(map(len, encoded))]
    whole = sum(end <= cut for end in ends[1:])
    reader = decode_joined(joined[:cut])
    for kind, rows in frames[:whole]:
        assert (frame := next(reader)).kind is kind
        assert frame.rows() == rows
    with pytest.raises(StopIteration if cut in ends else BadLength):
        next(reader)


def test_a_frame_of_the_other_version_is_refused():
    with pytest.raises(ProtocolError):
        decode_v2(encode_v1([PriceUpdate(1, 1.0, 1.0)] * 3))
    with pytest.raises(ProtocolError):
        decode_v1(encode_v2([Price(1, 0, 0, 1.0, 1.0)] * 3, NOW_US))


def test_a_bad_checksum_says_both_sums():
    frame = encode_v1([PriceUpdate(7, 1.5, 2.0)])
    with pytest.raises(BadChecksum, match="frame CRC is 0x0f532851, header says 0x0f532850") as caught:
        decode_v1(b"\x50" + frame[1:])
    assert (caught.value.expected, caught.value.actual) == (0x0F532850, 0x0F532851)


# Limits


def test_65535_records_fit_a_frame_and_one_more_does_not():
    rows = [PriceUpdate(1, 1.0, 2.0)] * MAX_RECORDS
    frame = encode_v1(rows)
    assert len(frame) == 6 + 18 * 65_535
    assert len(decode_v1(frame)) == 65_535
    with pytest.raises(TooManyRecords, match="65536 records do not fit a frame of at most 65535"):
        encode_v1([*rows, rows[0]])


def test_65535_records_fit_a_v2_frame_and_one_more_does_not():
    records = np.zeros(MAX_RECORDS + 1, LAYOUTS[Kind.QUOTE].dtype)
    assert len(decode_v2(encode_records(Kind.QUOTE, records[:-1], NOW_US)).records) == 65_535
    with pytest.raises(TooManyRecords):
        encode_records(Kind.QUOTE, records, NOW_US)


@pytest.mark.parametrize("amount", BAD_AMOUNTS)
@pytest.mark.parametrize("field", V1.measures)
def test_v1_refuses_what_no_market_states_both_ways(field, amount):
    row = PriceUpdate(1, 1.0, 1.0)._replace(**{field: amount})
    with pytest.raises(BadValue, match=field):
        encode_v1([row])
    with pytest.raises(BadValue, match=field):
        decode_v1(seal_v1(V1.struct.pack(*row), 1))


@pytest.mark.parametrize("amount", BAD_AMOUNTS)
@pytest.mark.parametrize(("kind", "field"), MEASURES)
def test_v2_refuses_what_no_market_states_both_ways(kind, field, amount):
    layout = LAYOUTS[kind]
    good = layout.row._make([1] * len(layout.row._fields))
    rows = [good, good._replace(**{field: amount}), good]
    with pytest.raises(BadValue, match=field):
        encode_v2(rows, NOW_US)
    with pytest.raises(BadValue, match=field):
        decode_v2(seal_v2(kind, b"".join(layout.struct.pack(*row) for row in rows), 3, NOW_US))


@pytest.mark.parametrize(
    "wrong", [{"price_digits": 19}, {"volume_digits": 255}, {"price": -1}, {"volume": -1}, {"price": 2**53}]
)
def test_a_base_that_no_float_can_follow_is_refused_both_ways(wrong):
    good = Base(7, 2, 5, 0, 2**53 - 1, 0)
    bad = good._replace(**wrong)
    (field,) = wrong
    with pytest.raises(BadValue, match=field):
        encode_v2([good, bad], NOW_US)
    with pytest.raises(BadValue, match=field):
        decode_v2(seal_v2(Kind.BASE, LAYOUTS[Kind.BASE].struct.pack(*bad), 1, NOW_US))


@pytest.mark.parametrize("volume", [2**23, -(2**23) - 1, 2**31, 1.5])
def test_a_difference_that_is_no_i24_is_not_encoded(volume):
    with pytest.raises(BadValue, match="Compact"):
        encode_v2([Compact(7, 0, volume)], NOW_US)


def test_minus_zero_is_zero():
    assert rows_v1(encode_v1([PriceUpdate(1, -0.0, 1.0)])) == [PriceUpdate(1, 0.0, 1.0)]


def test_padding_that_looks_like_no_amount_is_ignored():
    candle = Candle(1, 1, 0, 0, 0, 1.0, 1.0, 1.0, 1.0, 1.0, 0xFFFF_FFFF, 0xFFFF_FFFF, 1.0)
    assert decode_v2(encode_v2([candle], NOW_US)).rows() == [candle]


@pytest.mark.parametrize("symbol_id", [-1, 65_536, 2**70, 1.5, None])
def test_an_id_that_is_no_u16_is_refused_and_its_row_named(symbol_id):
    with pytest.raises(BadValue, match="PriceUpdate") as caught:
        encode_v1([PriceUpdate(1, 1.0, 1.0), PriceUpdate(symbol_id, 1.0, 1.0)])
    assert caught.value.value == PriceUpdate(symbol_id, 1.0, 1.0)


def test_a_number_too_large_for_a_float_is_refused():
    with pytest.raises(BadValue):
        encode_v1([PriceUpdate(1, 10**400, 1.0)])


@pytest.mark.parametrize("time_us", [-1, 2**63, 2**64])
def test_a_time_that_is_no_signed_64_bit_number_is_not_encoded(time_us):
    with pytest.raises(BadValue, match="time_us"):
        encode_v2([], time_us, Kind.PRICE)


def test_a_time_of_2_to_the_63_is_not_decoded():
    with pytest.raises(BadValue, match="time_us"):
        decode_v2(sealed(struct.pack("<HBBQ", 0, 2, 1, 2**63)))
