import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.bars import (
    BAR,
    MAX_BARS,
    AnswerState,
    BarsAnswer,
    BarsQuery,
    Series,
    decode_answer,
    encode_answer,
    format_query,
    no_bars,
    parse_query,
)
from protocol.errors import BadLength, BadMessage
from protocol.intervals import MINUTES

NATS_MAX_PAYLOAD = 1024 * 1024


def test_a_bar_is_80_bytes_without_holes():
    assert BAR.itemsize == 80
    assert sum(BAR[name].itemsize for name in BAR.names) == 80


def test_the_longest_answer_fits_a_message_of_any_nats_server():
    longest = BarsAnswer(1, 2, AnswerState.MORE, np.zeros(MAX_BARS, BAR))
    assert len(encode_answer(longest)) < NATS_MAX_PAYLOAD


@given(st.integers(0, 2**63), st.integers(0, 2**63), st.sampled_from([*AnswerState, AnswerState(3)]))
def test_an_answer_reads_back(as_of_us, last_id, state):
    bars = np.arange(3 * 80, dtype=np.uint8).view(BAR)
    back = decode_answer(encode_answer(BarsAnswer(as_of_us, last_id, state, bars)))
    assert back[:3] == (as_of_us, last_id, state)
    assert back.bars.tobytes() == bars.tobytes()


def test_an_empty_answer_reads_back():
    assert len(decode_answer(encode_answer(BarsAnswer(0, 0, AnswerState(0), no_bars()))).bars) == 0


@given(st.binary(max_size=120))
def test_a_garbled_answer_raises_nothing_but_bad_length(garbage):
    with contextlib.suppress(BadLength):
        decode_answer(garbage)


@pytest.mark.parametrize("cut", [1, 79, 80])
def test_a_cut_answer_is_refused(cut):
    whole = encode_answer(BarsAnswer(0, 0, AnswerState(0), np.zeros(2, BAR)))
    with pytest.raises(BadLength):
        decode_answer(whole[:-cut])


@given(
    st.text(min_size=1, max_size=9),
    st.sampled_from(list(MINUTES.values())),
    st.integers(-(2**53), 2**53),
    st.integers(0, 1_000_000),
)
def test_a_question_reads_back(native, interval, from_ms, countback):
    query = BarsQuery(venue="v", native=native, interval=interval, from_ms=from_ms, countback=countback)
    assert parse_query(format_query(query)) == query
    assert query.series == Series("v", native, interval)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"venue":"v"}',
        b'{"venue":"v","native":"n","interval":7}',
        b'{"venue":"v","native":"n","interval":1,"countback":-1}',
        b'{"venue":"v","native":"n","interval":1,"from_ms":1e300}',
        b'{"venue":"v","native":"n","interval":1,"to_ms":99999999999999999}',
        b"\xff\xfe",
    ],
)
def test_nonsense_is_refused(text):
    with pytest.raises(BadMessage):
        parse_query(text)
