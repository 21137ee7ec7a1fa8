import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.demand import Demand, Question, format_demand, parse_demand
from protocol.errors import BadMessage

SPEC = (Path(__file__).parents[2] / "protocol" / "SPEC.md").read_text()
names = st.text(min_size=1, max_size=20)


@given(names, st.dictionaries(names, st.lists(names, max_size=5), max_size=3))
def test_what_is_written_is_read(node: str, wants: dict[str, list[str]]):
    demand = Demand(node, wants)
    assert parse_demand(format_demand(demand)) == demand


def test_a_demand_looks_like_this():
    text = format_demand(Demand("gateway-1", {"binance": ["BTCUSDT"]}))
    assert text == b'{"type":"demand","node":"gateway-1","wants":{"binance":["BTCUSDT"]}}'
    assert format_demand(Question()) == b'{"type":"question"}'


def test_the_examples_of_the_specification_are_read():
    examples = re.findall(r"^```json demand\n(.*?)^```", SPEC, re.MULTILINE | re.DOTALL)
    assert [type(parse_demand(text.encode())) for text in examples] == [Demand, Question]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"type":"other"}',
        b'{"type":"demand"}',
        b'{"type":"demand","node":""}',
        b'{"type":"demand","node":"a","wants":["BTCUSDT"]}',
        b'{"type":"demand","node":"a","wants":{"binance":[""]}}',
        b'{"type":"demand","node":"a","wants":{"binance":"BTCUSDT"}}',
        b'{"type":"demand","node":"%s"}' % (b"a" * 200),
    ],
)
def test_nonsense_is_refused(text: bytes):
    with pytest.raises(BadMessage):
        parse_demand(text)


@given(st.binary(max_size=200))
def test_garbage_never_raises_anything_else(garbage: bytes):
    with contextlib.suppress(BadMessage):
        parse_demand(garbage)
