from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indicators.enigma import RATIOS, Enigma, enigma, ladder, level

prices = st.floats(1e-8, 1e9)
unknown = st.one_of(st.just(nan), prices)


@pytest.mark.parametrize(
    ("price", "low", "high", "expected"),
    [
        (20_000.0, 20_000.0, 70_000.0, 0.0),
        (70_000.0, 20_000.0, 70_000.0, 100.0),
        (45_000.0, 20_000.0, 70_000.0, 50.0),
        (31_800.0, 20_000.0, 70_000.0, 23.6),
        (10.0, 20_000.0, 70_000.0, 0.0),
        (80_000.0, 20_000.0, 70_000.0, 100.0),
        (5.0, 5.0, 5.0, 0.0),  # the distance counts as 1
        (5.25, 5.0, 5.0, 25.0),
    ],
)
def test_levels_that_one_can_reckon_by_hand(price: float, low: float, high: float, expected: float):
    assert level(price, low, high) == pytest.approx(expected, rel=1e-12)


def test_there_is_no_level_where_something_is_not_known():
    assert isnan(level(nan, 1.0, 2.0))
    assert isnan(level(1.5, nan, 2.0))
    assert isnan(level(1.5, 1.0, nan))


def test_the_ladder_goes_up_from_the_low():
    assert RATIOS == (0.0, 0.236, 0.382, 0.5, 0.618, 0.786, 1.0)
    expected = (20_000.0, 31_800.0, 39_100.0, 45_000.0, 50_900.0, 59_300.0, 70_000.0)
    assert ladder(20_000.0, 70_000.0) == pytest.approx(expected)


@given(prices, prices)
def test_the_ladder_begins_at_the_low_ends_at_the_high_and_rises(one: float, other: float):
    low, high = sorted((one, other))
    rungs = ladder(low, high)
    assert (rungs[0], rungs[-1]) == (low, high)
    assert list(rungs) == pytest.approx(sorted(rungs))


@given(prices, prices, prices, prices)
def test_a_higher_price_never_has_a_lower_level(one: float, other: float, low: float, high: float):
    low, high = sorted((low, high))
    cheap, dear = sorted((one, other))
    assert 0.0 <= level(cheap, low, high) <= level(dear, low, high) <= 100.0


def test_a_price_beyond_the_extremes_moves_them():
    np.testing.assert_allclose(
        enigma(np.array([15.0, 20.0, 30.0, 20.0, 5.0, 17.5]), 10.0, 20.0),
        [50.0, 100.0, 100.0, 50.0, 0.0, 50.0],
    )


def test_nothing_is_known_before_the_first_price():
    np.testing.assert_array_equal(enigma(np.array([nan, nan, 7.0, nan, 8.0])), [nan, nan, 0.0, nan, 100.0])
    assert len(enigma(np.array([]))) == 0


@given(st.lists(unknown, max_size=50), unknown, unknown)
def test_one_at_a_time_equals_all_at_once(values: list[float], one: float, other: float):
    low, high = min(one, other), max(one, other)
    stream = Enigma(low, high)
    batch = enigma(np.array(values), low, high)
    np.testing.assert_allclose([stream.update(value) for value in values], batch, rtol=1e-12)
