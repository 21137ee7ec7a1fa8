import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.params import BadParameter, Choice, Milliseconds, Param, Seconds, Text, Whole, read_params

PARAMS = (
    Param("symbol", Text(8), "", in_path=True),
    Param("interval", Choice({"1m": 1}), "", needed=True, aliases=("tf",)),
    Param("limit", Whole(1, 10), "", default=5),
)
KINDS = (Text(8), Choice({"1m": 1}), Whole(-5, 10), Seconds(), Milliseconds())


def read(*query: tuple[str, str], symbol: str = "BTC", takes_others: bool = False):
    return read_params(PARAMS, {"symbol": symbol}, query, takes_others=takes_others)


def test_values_are_read_under_every_name_and_have_defaults():
    assert read(("tf", "1m")) == {"symbol": "BTC", "interval": 1, "limit": 5}
    assert read(("interval", "1m"), ("limit", "10"))["limit"] == 10


@pytest.mark.parametrize(
    ("query", "named", "reason"),
    [
        ([], "interval", "is needed"),
        ([("interval", "1M")], "interval", "is one of 1m, not '1M'"),
        ([("interval", "1m"), ("tf", "1m")], "tf", "is given twice"),
        ([("interval", "1m"), ("color", "red")], "color", "is not a parameter of this path"),
        ([("interval", "1m"), ("limit", "11")], "limit", "from 1 to 10"),
        ([("interval", "1m"), ("limit", "1.0")], "limit", "is a whole number"),
        ([("interval", "1m"), ("limit", "")], "limit", "is a whole number"),
    ],
)
def test_what_is_wrong_is_named(query, named, reason):
    with pytest.raises(BadParameter) as caught:
        read(*query)
    assert caught.value.name == named
    assert reason in str(caught.value)


def test_a_text_has_a_longest_length_also_in_the_path():
    with pytest.raises(BadParameter, match="symbol is at most 8"):
        read(("interval", "1m"), symbol="B" * 9)


def test_others_are_ignored_where_clients_add_their_own():
    assert read(("interval", "1m"), ("color", "red"), takes_others=True)["limit"] == 5


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Seconds(), "1700000000", 1_700_000_000),
        (Seconds(), "1700000000.9", 1_700_000_000),
        (Seconds(), "-5", -5),
        (Seconds(), "100000000000", 10**11),
        (Milliseconds(), "0", 0),
        (Milliseconds(), "1700000000000", 1_700_000_000_000),
    ],
)
def test_times_are_read(kind, text, value):
    assert kind.read(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Seconds(), "1700000000000"),
        (Seconds(), "1e9"),
        (Seconds(), ".5"),
        (Seconds(), "--5"),
        (Seconds(), "५"),
        (Seconds(), "0x10"),
        (Milliseconds(), "1700000000"),
        (Milliseconds(), "-1"),
        (Milliseconds(), "1e12"),
    ],
)
def test_times_in_another_unit_or_no_times_are_refused(kind, text):
    with pytest.raises(ValueError, match="since 1970"):
        kind.read(text)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text):
    for kind in KINDS:
        with contextlib.suppress(ValueError):
            kind.read(text)


def test_a_parameter_describes_itself():
    described = PARAMS[1].describe()
    assert (described["in"], described["required"], described["schema"]["enum"]) == ("query", True, ["1m"])
    assert "Also called `tf`." in described["description"]
    assert PARAMS[2].describe()["schema"] == {"type": "integer", "minimum": 1, "maximum": 10, "default": 5}
    assert (PARAMS[0].describe()["in"], PARAMS[0].describe()["required"]) == ("path", True)
