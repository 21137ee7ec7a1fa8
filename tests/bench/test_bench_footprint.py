"""The line through the memory of a process."""

import pytest

from bench.footprint import fit, plan_row


def test_memory_that_grows_steadily_has_a_slope_and_no_noise():
    slope, noise = fit([0, 1, 2, 3], [100, 110, 120, 130])
    assert slope == pytest.approx(10)
    assert noise == pytest.approx(0, abs=1e-9)


def test_memory_that_only_swings_has_more_noise_than_slope():
    slope, noise = fit([0, 1, 2, 3, 4], [100, 120, 100, 120, 100])
    assert slope == pytest.approx(0, abs=1e-9)
    assert noise == pytest.approx(5)


def test_a_row_says_its_slope_by_the_hour():
    row = plan_row("load_feed", [0, 1, 2, 3], [1_023, 1_024, 1_025, 1_026], 0.25)
    assert row["resident_mb"] == 1.0
    assert row["core_share"] == 0.25
    assert row["slope_mb_per_h"] == 3.5


def test_what_fills_in_the_first_third_is_no_growth():
    row = plan_row("load_feed", range(9), [100, 500, 900, *[1_024] * 6], 0.25)
    assert row["slope_mb_per_h"] == pytest.approx(0)
    assert row["noise_mb_per_h"] == pytest.approx(0)


def test_two_looks_are_no_slope():
    assert "slope_mb_per_h" not in plan_row("rest_feed", [0, 1, 2], [512, 1_024, 2_048], 0.0)
