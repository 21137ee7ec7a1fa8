import itertools
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import UnknownInterval
from protocol.intervals import (
    MINUTES,
    MONTH,
    WEEK,
    format_interval,
    next_open,
    open_of,
    opens_of,
    parse_interval,
)


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


def ms(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp() * 1_000)


@pytest.mark.parametrize(
    ("interval", "opened", "next_one"),
    [
        (1, (2024, 2, 29, 13, 47), (2024, 2, 29, 13, 48)),
        (3, (2024, 2, 29, 13, 45), (2024, 2, 29, 13, 48)),
        (240, (2024, 2, 29, 12), (2024, 2, 29, 16)),
        (1_440, (2024, 2, 29), (2024, 3, 1)),
        (4_320, (2024, 2, 29), (2024, 3, 3)),  # day 19,782 since 1970, which is a multiple of 3
        (10_080, (2024, 2, 26), (2024, 3, 4)),  # Mondays
        (43_200, (2024, 2, 1), (2024, 3, 1)),
    ],
)
def test_when_the_bar_of_a_moment_opens(interval, opened, next_one):
    moment = ms(2024, 2, 29, 13, 47, 12)
    assert open_of(moment, interval) == ms(*opened)
    assert next_open(moment, interval) == ms(*next_one)


@pytest.mark.parametrize("year", [1970, 1972, 1999, 2000, 2023, 2024, 2100])
def test_months_are_those_of_the_calendar_in_every_year(year):
    firsts = [ms(year, month, 1) for month in range(1, 13)] + [ms(year + 1, 1, 1)]
    for first, following in itertools.pairwise(firsts):
        for moment in (first, first + 1, following - 1):
            assert open_of(moment, MONTH) == first
            assert next_open(moment, MONTH) == following


def test_weeks_open_on_mondays_also_before_1970():
    for day in range(-20, 20):
        opened = open_of(day * 86_400_000 + 5, WEEK)
        assert datetime.fromtimestamp(opened / 1_000, UTC).weekday() == 0
        assert 0 <= day * 86_400_000 + 5 - opened < 7 * 86_400_000


@given(st.integers(-(2**53), 2**53), st.sampled_from(sorted(MINUTES.values())))
def test_every_moment_lies_in_one_bar(moment, interval):
    opened, following = open_of(moment, interval), next_open(moment, interval)
    assert opened <= moment < following
    assert open_of(opened, interval) == open_of(following - 1, interval) == opened
    assert open_of(following, interval) == following
    assert opens_of(np.array([moment, opened]), interval).tolist() == [opened, opened]


@given(st.integers(0, ms(2100, 12, 31)), st.sampled_from([3, 5, 60, 240, 1_440]))
def test_a_longer_bar_opens_with_one_of_the_shorter_ones_it_is_made_of(moment, child):
    for interval in MINUTES.values():
        if interval % child == 0 and interval != MONTH:
            assert open_of(open_of(moment, interval), child) == open_of(moment, interval)
    assert open_of(open_of(moment, MONTH), 1_440) == open_of(moment, MONTH)
