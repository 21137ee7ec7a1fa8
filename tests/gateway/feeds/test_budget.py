"""What a venue lets us spend in a stretch of time."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.feeds.budget import Budget

steps = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 4)), max_size=60)


def test_what_is_spent_comes_back_when_it_leaves_the_window() -> None:
    budget = Budget(2, 1_000)
    budget.spend(0)
    budget.spend(300)
    assert budget.wait_ms(400) == 600
    assert budget.wait_ms(1_000) == 0
    budget.spend(1_000)
    assert budget.wait_ms(1_000) == 300


def test_a_big_cost_waits_until_enough_is_free() -> None:
    budget = Budget(10, 1_000)
    budget.spend(0, 4)
    budget.spend(500, 4)
    assert budget.wait_ms(600, 2) == 0
    assert budget.wait_ms(600, 6) == 400
    assert budget.wait_ms(600, 7) == 900


def test_more_than_the_limit_waits_for_an_empty_window_and_no_longer() -> None:
    budget = Budget(10, 1_000)
    assert budget.wait_ms(0, 80) == 0
    budget.spend(0, 1)
    assert budget.wait_ms(200, 80) == 800


def test_what_the_venue_has_counted_is_taken_over() -> None:
    budget = Budget(100, 60_000)
    budget.spend(0, 10)
    budget.learn(1_000, 95)
    assert budget.wait_ms(1_000, 5) == 0
    assert budget.wait_ms(1_000, 6) == 59_000  # when our own 10 leave the window
    budget.learn(1_000, 40)  # an older answer that came late changes nothing
    assert budget.wait_ms(1_000, 6) == 59_000


@given(st.integers(1, 8), steps)
def test_no_window_ever_holds_more_than_the_limit(limit: int, asked: list[tuple[int, int]]) -> None:
    budget, now_ms, spent = Budget(limit, 1_000), 0, []
    for pause_ms, wanted in asked:
        now_ms += pause_ms
        cost = min(wanted, limit)
        if budget.wait_ms(now_ms, cost) == 0:
            budget.spend(now_ms, cost)
            spent.append((now_ms, cost))
    for start_ms, _ in spent:
        assert sum(cost for at_ms, cost in spent if start_ms <= at_ms < start_ms + 1_000) <= limit


@given(st.integers(1, 8), steps)
def test_what_is_booked_keeps_to_the_limit_and_to_its_order(limit: int, asked: list[tuple[int, int]]) -> None:
    budget, now_ms, booked = Budget(limit, 1_000), 0, []
    for pause_ms, wanted in asked:
        now_ms += pause_ms
        cost = min(wanted, limit)
        booked.append((now_ms + budget.book(now_ms, cost), cost))
    assert booked == sorted(booked, key=lambda one: one[0])
    for start_ms, _ in booked:
        assert sum(cost for at_ms, cost in booked if start_ms <= at_ms < start_ms + 1_000) <= limit


@given(st.integers(1, 8), steps)
def test_the_stated_wait_is_long_enough_and_not_longer(limit: int, asked: list[tuple[int, int]]) -> None:
    budget, now_ms = Budget(limit, 1_000), 0
    for pause_ms, cost in asked:
        now_ms += pause_ms
        wait_ms = budget.wait_ms(now_ms, cost)
        if wait_ms:
            assert budget.wait_ms(now_ms + wait_ms - 1, cost) == 1
            now_ms += wait_ms
        assert budget.wait_ms(now_ms, cost) == 0
        budget.spend(now_ms, cost)
