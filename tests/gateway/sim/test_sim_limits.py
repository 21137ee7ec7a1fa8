"""The windows that count."""

import pytest

from gateway.sim.limits import MAX_BAN_S, WeightPool, Window

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US


def test_a_window_lets_so_many_through_and_slides():
    window = Window(5, SECOND_US)
    assert [window.exceeded_by(nth * 1000) for nth in range(6)] == [False] * 5 + [True]
    assert not window.exceeded_by(SECOND_US + 2000)


def test_a_window_knows_the_most_that_came_within_it():
    window = Window(5, SECOND_US)
    for at_us in (0, 100, 200, 2 * SECOND_US, 2 * SECOND_US + 1):
        window.exceeded_by(at_us)
    assert window.most == 3


def test_weight_begins_anew_with_the_minute():
    pool = WeightPool(10, ban_after=5, ban_s=120)
    assert [pool.charge("a", 6, MINUTE_US).status, pool.charge("a", 6, MINUTE_US).status] == [200, 429]
    assert pool.charge("b", 6, MINUTE_US).status == 200
    assert pool.charge("a", 6, 2 * MINUTE_US).status == 200


def test_retry_after_is_the_rest_of_the_minute():
    pool = WeightPool(1, ban_after=5, ban_s=120)
    assert pool.charge("a", 2, MINUTE_US + 45 * SECOND_US).retry_after_s == 15


@pytest.mark.parametrize("bans", [1, 3])
def test_each_ban_is_twice_as_long(bans):
    pool = WeightPool(1, ban_after=0, ban_s=100)
    now_us = MINUTE_US
    for _ in range(bans):
        verdict = pool.charge("a", 2, now_us)
        now_us += verdict.retry_after_s * SECOND_US
    assert (verdict.status, verdict.retry_after_s) == (418, 100 * 2 ** (bans - 1))


def test_no_ban_is_longer_than_three_days():
    pool = WeightPool(1, ban_after=0, ban_s=MAX_BAN_S)
    first = pool.charge("a", 2, MINUTE_US)
    second = pool.charge("a", 2, MINUTE_US + first.retry_after_s * SECOND_US)
    assert second.retry_after_s == MAX_BAN_S
