from hypothesis import given
from hypothesis import strategies as st

from clients.continuity import MAX_HOLES, TradeIds
from protocol.events import Gap, GapCause, GapState


def gap(state: GapState, first_id: int, last_id: int) -> Gap:
    return Gap(1, state, GapCause.SKIPPED, first_id, last_id, 0, 0)


def test_the_first_trade_is_a_beginning():
    ids = TradeIds()
    assert ids.on_trade(70) == (True, [])
    assert ids.on_trade(71) == (True, [])
    assert ids.resume_from == 71


def test_a_jump_without_a_word_is_reported_and_resumed_from():
    ids = TradeIds(5)
    assert ids.on_trade(9) == (True, [(6, 8)])
    assert ids.resume_from == 5
    assert ids.on_trade(10) == (True, [])


def test_a_lost_gap_explains_a_jump_and_is_not_resumed_from():
    ids = TradeIds(5)
    ids.on_gap(gap(GapState.LOST, 6, 8))
    assert ids.on_trade(9) == (True, [])
    assert ids.resume_from == 9
    assert ids.on_trade(7) == (False, [])


def test_an_open_gap_is_waited_for_and_resumed_from():
    ids = TradeIds(5)
    ids.on_gap(gap(GapState.OPEN, 6, 8))
    assert ids.on_trade(9) == (True, [])
    assert ids.resume_from == 5
    assert [ids.on_trade(one)[0] for one in (6, 8, 8, 9)] == [True, True, False, False]
    assert ids.resume_from == 6
    ids.on_gap(gap(GapState.LOST, 7, 7))
    assert ids.resume_from == 9


def test_a_gap_that_covers_a_part_of_a_jump_leaves_the_rest_unexplained():
    ids = TradeIds(5)
    ids.on_gap(gap(GapState.OPEN, 7, 8))
    assert ids.on_trade(11) == (True, [(6, 6), (9, 10)])


def test_a_venue_that_counts_anew_is_followed():
    ids = TradeIds(500)
    ids.on_gap(gap(GapState.LOST, 0, 0))
    assert ids.on_trade(3) == (True, [])
    assert ids.resume_from == 3


def test_what_is_remembered_is_bounded():
    ids = TradeIds(1)
    for number in range(2, 3_000, 2):
        ids.on_trade(number + 1)
    assert ids.resume_from == 3_000 - 2 * MAX_HOLES - 1


@given(st.lists(st.integers(1, 40), max_size=60))
def test_every_id_is_new_once(arrivals: list[int]):
    ids = TradeIds()
    seen: set[int] = set()
    for trade_id in arrivals:
        begun = bool(seen)
        new, unexplained = ids.on_trade(trade_id)
        assert new == (trade_id not in seen and (not begun or trade_id > min(seen)))
        if new and begun and trade_id > max(seen) + 1:
            assert unexplained == [(max(seen) + 1, trade_id - 1)]
        else:
            assert unexplained == []
        seen |= {trade_id} if new else set()
