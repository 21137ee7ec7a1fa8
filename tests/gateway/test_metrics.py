import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.metrics import Histogram, bounds


def test_an_empty_histogram_says_zero():
    assert Histogram().summary() == {"count": 0, "p50_us": 0, "p99_us": 0, "p999_us": 0, "max_us": 0}


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=200), st.sampled_from([0.0, 0.5, 0.99, 1.0]))
def test_a_quantile_is_within_four_percent_of_a_value_that_was_counted(values: list[int], share: float):
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    ordered = sorted(values)
    exact = ordered[max(0, min(len(ordered) - 1, -(-int(share * len(ordered) * 1000) // 1000) - 1))]
    assert histogram.quantile_us(share) == pytest.approx(exact, rel=0.04, abs=1.0)


def test_a_clock_that_is_ahead_counts_as_zero():
    histogram = Histogram()
    histogram.add(-5_000)
    assert histogram.quantile_us(0.5) == 0.0
    assert histogram.count == 1


def test_a_value_beyond_all_buckets_is_counted_in_the_last():
    histogram = Histogram()
    histogram.add(2**70)
    assert histogram.count == 1
    assert histogram.quantile_us(0.5) > 2**40


def test_clear_forgets_everything():
    histogram = Histogram()
    histogram.add(7)
    histogram.clear()
    assert histogram.summary()["count"] == 0


@given(st.lists(st.integers(0, 10**7), max_size=200), st.sampled_from([1, 2, 4]))
def test_what_lies_below_a_bound_is_counted_exactly(values: list[int], per_doubling: int):
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    ends = bounds(16, 1 << 20, per_doubling)
    assert histogram.below(ends) == [sum(value < end for value in values) for end in ends]
    assert histogram.sum_us == sum(values)


def test_bounds_are_evenly_spaced_within_each_doubling():
    assert bounds(16, 64) == (16, 32, 64)
    assert bounds(16, 64, per_doubling=2) == (16, 24, 32, 48, 64)
