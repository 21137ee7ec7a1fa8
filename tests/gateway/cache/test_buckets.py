"""Buckets of tokens, against one that counts its tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.buckets import spend

asked = st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 20)), max_size=50)


@given(asked, st.floats(0.1, 10), st.floats(1, 10))
def test_a_bucket_gives_what_one_gives_that_counts_its_tokens(asks, rate, burst):
    full_s, now_s, tokens = 0.0, 100.0, burst
    for pause_s, cost in asks:
        now_s += pause_s
        tokens = min(tokens + pause_s * rate, burst)
        taken = min(cost, burst)
        full_s, wait_s = spend(full_s, now_s, cost, rate, burst)
        assert wait_s == pytest.approx(max(taken - tokens, 0) / rate, abs=1e-6)
        if wait_s == 0:
            tokens -= taken


def test_after_waiting_as_long_as_was_said_it_is_given():
    full_s, _ = spend(0.0, 100.0, 8, 2.0, 10)
    full_s, wait_s = spend(full_s, 100.0, 5, 2.0, 10)
    assert wait_s == pytest.approx(1.5)
    assert spend(full_s, 101.5 + 1e-9, 5, 2.0, 10)[1] == 0.0


def test_a_clock_that_was_set_back_makes_nobody_wait_longer_than_for_a_full_bucket():
    full_s, _ = spend(0.0, 1_000_000.0, 10, 2.0, 10)
    assert spend(full_s, 5.0, 10, 2.0, 10)[1] == pytest.approx(5.0)
