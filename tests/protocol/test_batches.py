import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_rows import TIMES_US, kinds_and_rows

from protocol.batches import HEADER, Batch, SequenceCheck, decode_batch, encode_batch
from protocol.errors import BadLength, BadValue, ProtocolError
from protocol.events import Kind, Price
from protocol.frames import LAYOUTS, decode_v2, encode_v2, seal_v2

U64 = st.integers(0, 2**64 - 1)


def missed(*sequences, check=None, epoch_us=1):
    check = check or SequenceCheck()
    return [check.missed(Batch(epoch_us, sequence, 0, [])) for sequence in sequences]


def test_a_batch_is_three_numbers_and_frames():
    frame = encode_v2([Price(7, 0, 0, 1.5, 2.0)], 9)
    header = bytes.fromhex("0100000000000000 0200000000000000 0300000000000000")
    assert encode_batch(1, 2, 3, [frame, frame]) == header + frame + frame


@given(U64, U64, U64, st.lists(st.tuples(kinds_and_rows(4), TIMES_US), max_size=4))
def test_a_batch_decodes_to_what_was_encoded(epoch_us, sequence, received_us, frames):
    encoded = [encode_v2(rows, time_us, kind) for (kind, rows), time_us in frames]
    batch = decode_batch(encode_batch(epoch_us, sequence, received_us, encoded))
    assert batch[:3] == (epoch_us, sequence, received_us)
    assert [((frame.kind, frame.rows()), frame.time_us) for frame in batch.frames] == frames


@given(st.lists(kinds_and_rows(2), max_size=3), st.data())
def test_a_batch_cut_anywhere_is_refused_unless_whole_frames_are_left(frames, data):
    encoded = [encode_v2(rows, 0, kind) for kind, rows in frames]
    payload = encode_batch(1, 1, 1, encoded)
    cut = data.draw(st.integers(0, len(payload) - 1))
    try:
        batch = decode_batch(payload[:cut])
    except BadLength:
        return
    assert encode_batch(1, 1, 1, encoded[: len(batch.frames)]) == payload[:cut]


@given(st.binary(max_size=200))
def test_a_garbage_batch_raises_only_protocol_error(garbage):
    for payload in (garbage, HEADER.pack(1, 1, 1) + garbage):
        with contextlib.suppress(ProtocolError):
            decode_batch(payload)


@given(kinds_and_rows(3), st.data())
def test_any_flipped_bit_of_a_frame_in_a_batch_is_caught(kind_and_rows, data):
    kind, rows = kind_and_rows
    payload = bytearray(encode_batch(1, 1, 1, [encode_v2([], 0, Kind.GAP), encode_v2(rows, 0, kind)]))
    bit = data.draw(st.integers(HEADER.size * 8, len(payload) * 8 - 1))
    payload[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(ProtocolError):
        decode_batch(bytes(payload))


def test_amounts_are_for_the_sender_of_a_batch_to_check():
    frame = seal_v2(Kind.PRICE, LAYOUTS[Kind.PRICE].struct.pack(7, 0, 0, math.nan, 1.0), 1, 0)
    assert math.isnan(decode_batch(encode_batch(1, 1, 1, [frame])).frames[0].rows()[0].price)
    with pytest.raises(BadValue):
        decode_v2(frame)


def test_a_batch_after_its_predecessor_misses_none():
    assert missed(1, 2, 3) == [0, 0, 0]


def test_the_first_batch_ever_heard_misses_none():
    assert missed(1_000, 1_001) == [0, 0]


def test_a_jump_says_how_many_are_missing():
    assert missed(5, 7, 8, 20) == [0, 1, 0, 11]


def test_a_restarted_sender_has_lost_nothing_but_what_came_before_the_first_batch_heard():
    check = SequenceCheck()
    assert missed(5, 6, check=check, epoch_us=1) == [0, 0]
    assert missed(1, 2, check=check, epoch_us=2) == [0, 0]
    assert missed(4, 5, check=check, epoch_us=3) == [3, 0]


def test_a_batch_heard_again_misses_none():
    assert missed(5, 5, 6, 6) == [0, 0, 0, 0]


@given(st.lists(st.booleans(), min_size=1, max_size=50))
def test_every_batch_lost_between_two_that_were_heard_is_counted_once(lost):
    heard = [sequence for sequence, is_lost in enumerate(lost, 1) if not is_lost]
    between = heard[-1] - heard[0] + 1 - len(heard) if heard else 0
    assert sum(missed(*heard)) == between
