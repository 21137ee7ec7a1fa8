import pytest

from protocol.errors import UnknownInterval
from protocol.intervals import MINUTES, format_interval, parse_interval


@pytest.mark.parametrize(("name", "minutes"), MINUTES.items())
def test_a_name_and_its_number_are_one(name, minutes):
    assert parse_interval(name) == minutes
    assert format_interval(minutes) == name


def test_names_are_their_lengths():
    unit_minutes = {"m": 1, "h": 60, "d": 1_440, "w": 10_080, "M": 43_200}
    assert {name: int(name[:-1]) * unit_minutes[name[-1]] for name in MINUTES} == MINUTES


def test_every_number_fits_the_wire_and_is_used_once():
    assert all(0 < minutes < 2**16 for minutes in MINUTES.values())
    assert len(set(MINUTES.values())) == len(MINUTES)


def test_a_minute_is_not_a_month():
    assert parse_interval("1m") != parse_interval("1M")


@pytest.mark.parametrize("name", ["", "1", "m", "2m", "1H", "1D", "60", " 1m", "1m "])
def test_a_name_that_no_candle_has_is_unknown(name):
    with pytest.raises(UnknownInterval, match="unknown interval"):
        parse_interval(name)


@pytest.mark.parametrize("minutes", [-1, 0, 2, 61, 65_535])
def test_a_number_that_no_candle_has_is_unknown(minutes):
    with pytest.raises(UnknownInterval):
        format_interval(minutes)
