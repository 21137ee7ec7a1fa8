"""What was heard of a symbol's trades, and what is missing between them."""

from gateway.recorder.heard import HeardTrades, Times
from protocol.events import Gap, GapCause, GapState, Trade


def trades(*ids: int) -> list[Trade]:
    return [Trade(7, 0, 1, one, one * 1_000, 100.0, 1.0) for one in ids]


def gap(state: GapState, first: int, last: int, cause: GapCause = GapCause.SKIPPED) -> Gap:
    return Gap(7, state, cause, first, last, first * 1_000 - 1_000, last * 1_000 + 1_000)


def heard(*ids: int) -> HeardTrades:
    one = HeardTrades(7, "BTCUSDT")
    one.on_trades(trades(*ids))
    return one


def ids_of(rows: list[Trade]) -> list[int]:
    return [row.id for row in rows]


def test_a_trade_counts_once():
    one = heard(5, 6)
    assert ids_of(one.on_trades(trades(6, 7))) == [7]
    assert one.on_trades(trades(5, 6, 7)) == []


def test_what_was_before_the_first_trade_is_not_missing():
    assert heard(100).missing() == []


def test_a_hole_is_missing_until_it_is_filled():
    one = heard(1, 2, 6)
    assert one.missing() == [(3, 5)]
    assert ids_of(one.on_trades(trades(4))) == [4]
    assert one.missing() == [(3, 3), (5, 5)]
    one.on_trades(trades(3, 5))
    assert one.missing() == []


def test_a_hole_that_the_worker_speaks_of_is_the_workers():
    one = heard(1, 2, 6)
    one.on_gap(gap(GapState.OPEN, 3, 5))
    assert one.missing() == []


def test_a_restarted_worker_knows_of_no_holes():
    one = heard(1, 2, 6)
    one.on_gap(gap(GapState.OPEN, 3, 5))
    one.take_over()
    assert one.missing() == [(3, 5)]


def test_what_the_worker_calls_lost_is_lost_between_its_times():
    one = heard(1, 2, 6)
    one.on_gap(gap(GapState.OPEN, 3, 5))
    assert one.on_gap(gap(GapState.LOST, 3, 5)) == Times(2_000, 6_000)
    assert one.missing() == []
    assert one.on_trades(trades(4)) == []


def test_what_is_given_up_lies_between_the_trades_around_it():
    one = heard(1, 2, 6)
    one.on_trades(trades(7, 9))
    assert one.give_up((3, 5)) == Times(2_000, 6_000)
    assert one.give_up((8, 8)) == Times(7_000, 9_000)
    assert one.missing() == []


def test_what_is_left_of_a_hole_keeps_its_times():
    one = heard(1, 2, 6)
    one.on_trades(trades(4))
    assert one.give_up((5, 5)) == Times(2_000, 6_000)


def test_numbers_that_begin_anew_are_heard():
    one = heard(100, 101)
    assert one.on_gap(gap(GapState.LOST, 0, 0)) is not None
    assert ids_of(one.on_trades(trades(1, 2))) == [1, 2]
    assert one.missing() == []


def test_what_nobody_carried_is_cut_to_what_was_not_heard():
    one = heard(1, 2, 3)
    assert one.on_gap(gap(GapState.LOST, 2, 9, GapCause.NOT_CARRIED)) is not None
    one.on_trades(trades(10))
    assert one.missing() == []
    fresh = HeardTrades(7, "BTCUSDT")
    assert fresh.on_gap(gap(GapState.LOST, 2, 9, GapCause.NOT_CARRIED)) is None
