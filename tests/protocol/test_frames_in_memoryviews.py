"""A frame in a memoryview is held to what one in bytes is: only the way to look at it is another."""

import math

import pytest

from protocol.errors import BadChecksum, BadLength, BadValue
from protocol.events import Kind, Price, PriceUpdate
from protocol.frames import LAYOUTS, V1, decode_v1, decode_v2, encode_v1, encode_v2, seal_v1, seal_v2

BAD_AMOUNTS = [math.nan, math.inf, -math.inf, -1.0, -5e-324]
ODD_BUT_FINE = [0.0, -0.0, 5e-324, 1.7976931348623157e308]
ROWS = [PriceUpdate(7, 1.5, 2.0), PriceUpdate(8, 64_250.01, 18_345.27391)]


def padded(frame: bytes) -> memoryview:
    """Show a frame where it begins at an odd place of a larger buffer."""
    return memoryview(b"\xff" + frame + b"\xff")[1:-1]


@pytest.mark.parametrize("look", [bytes, memoryview, padded])
@pytest.mark.parametrize("amount", BAD_AMOUNTS)
def test_an_amount_that_no_market_states_is_refused_in_any_place(look, amount):
    for place in range(3):
        for field in ("price", "volume"):
            rows = [PriceUpdate(1, 1.0, 1.0)] * 3
            rows[place] = rows[place]._replace(**{field: amount})
            v1 = seal_v1(b"".join(V1.struct.pack(*row) for row in rows), 3)
            pack = LAYOUTS[Kind.PRICE].struct.pack
            v2 = seal_v2(Kind.PRICE, b"".join(pack(row[0], 0, 0, *row[1:]) for row in rows), 3, 1)
            with pytest.raises(BadValue, match=field):
                decode_v1(look(v1))
            with pytest.raises(BadValue, match=field):
                decode_v2(look(v2))


@pytest.mark.parametrize("look", [bytes, memoryview, padded])
@pytest.mark.parametrize("amount", ODD_BUT_FINE)
def test_the_smallest_and_the_largest_amounts_are_fine(look, amount):
    assert decode_v1(look(encode_v1([PriceUpdate(1, amount, 1.0)]))).tolist() == [(1, amount, 1.0)]
    row = Price(1, 0, -1, 1.0, amount)
    assert decode_v2(look(encode_v2([row], 1))).rows() == [row]


@pytest.mark.parametrize("look", [bytes, memoryview, padded])
def test_a_crc_that_says_something_else_is_told_with_both(look):
    frame = encode_v1(ROWS)
    actual = int.from_bytes(frame[:4], "little")
    for bit in range(32):
        wrong = (actual ^ 1 << bit).to_bytes(4, "little") + frame[4:]
        with pytest.raises(BadChecksum) as caught:
            decode_v1(look(wrong))
        assert (caught.value.expected, caught.value.actual) == (actual ^ 1 << bit, actual)


@pytest.mark.parametrize("look", [bytes, memoryview, padded])
def test_a_frame_shorter_than_its_header_says_how_long_it_is(look):
    for length in range(6):
        with pytest.raises(BadLength) as caught:
            decode_v1(look(encode_v1([])[:length]))
        assert (caught.value.expected, caught.value.actual) == (6, length)


def test_nothing_is_copied():
    buffer = bytearray(encode_v1(ROWS))
    records = decode_v1(memoryview(buffer))
    buffer[6] = 9
    assert records["symbol_id"].tolist() == [9, 8]
