from hypothesis import given
from hypothesis import strategies as st

from gateway.ws.lane import Mark, TradeLane
from protocol.events import Gap, GapCause, GapState, Trade


def trade(trade_id: int) -> Trade:
    return Trade(7, 0, 1, trade_id, 1_000 * trade_id, 100.0, 1.0)


def trades(*ids: int) -> list[Trade]:
    return [trade(one) for one in ids]


def gap(state: GapState, first_id: int, last_id: int) -> Gap:
    return Gap(7, state, GapCause.SKIPPED, first_id, last_id, 0, 0)


def lane_of(*ids: int, capacity: int = 100) -> TradeLane:
    lane = TradeLane(7, capacity)
    lane.on_trades(trades(*ids))
    lane.take_ready()
    return lane


def spelled(items) -> list[object]:
    """Write trades as ids and gaps as state and range."""
    return [
        one.id if isinstance(one, Trade) else (GapState(one.state).name, one.first_id, one.last_id)
        for one in items
    ]


def test_what_is_new_goes_through_and_what_is_not_ends_here():
    lane = lane_of(1, 2)
    lane.on_trades(trades(2, 3, 4))
    assert spelled(lane.take_ready()) == [3, 4]
    assert lane.duplicates == 1


def test_behind_a_hole_that_nobody_spoke_of_everything_waits():
    lane = lane_of(1)
    lane.on_trades(trades(4, 5))
    assert (lane.take_ready(), lane.missing(), lane.waiting) == ([], [(2, 3)], 2)
    lane.on_trades(trades(2))
    assert spelled(lane.take_ready()) == [2]
    lane.on_trades(trades(3))
    assert spelled(lane.take_ready()) == [3, 4, 5]
    assert lane.waiting == 0


def test_what_is_told_open_stands_in_its_place_and_holds_nothing_up():
    lane = lane_of(1)
    lane.on_trades(trades(5, 6))
    lane.on_trades(trades(3, 9))
    first, second = lane.tell_open(6)
    assert spelled(lane.take_ready()) == [("OPEN", 2, 2), 3, ("OPEN", 4, 4), 5, 6]
    assert (first.first_us, first.last_us) == (1_000, 3_000)
    assert lane.missing() == [(7, 8)]
    lane.on_trades(trades(2))
    assert lane.close(first) == []
    assert lane.close(second) == [(4, 4)]
    assert spelled(lane.take_ready()) == [2, ("FILLED", 2, 2), ("LOST", 4, 4)]
    lane.on_trades(trades(4))
    assert lane.take_ready() == []


def test_a_hole_that_the_worker_spoke_of_holds_nothing_up_and_is_filled_late():
    lane = lane_of(1)
    lane.on_gap(gap(GapState.OPEN, 2, 3))
    lane.on_trades(trades(4))
    assert spelled(lane.take_ready()) == [("OPEN", 2, 3), 4]
    lane.on_trades(trades(2, 3))
    lane.on_gap(gap(GapState.FILLED, 2, 3))
    lane.on_trades(trades(5))
    assert spelled(lane.take_ready()) == [2, 3, ("FILLED", 2, 3), 5]


def test_a_part_that_the_worker_calls_lost_is_waited_for_no_more():
    lane = lane_of(1)
    lane.on_gap(gap(GapState.OPEN, 2, 5))
    lane.on_trades(trades(6))
    lane.on_trades(trades(2, 3))
    lane.on_gap(gap(GapState.LOST, 4, 5))
    assert spelled(lane.take_ready()) == [("OPEN", 2, 5), 6, 2, 3, ("LOST", 4, 5)]
    assert lane.missing() == []
    lane.on_trades(trades(4, 8))
    assert lane.missing() == [(7, 7)]


def test_a_loss_that_was_told_before_the_next_trade_is_no_hole_of_ours():
    lane = lane_of(1)
    lane.on_gap(gap(GapState.LOST, 2, 3))
    lane.on_trades(trades(4, 5))
    assert spelled(lane.take_ready()) == [("LOST", 2, 3), 4, 5]
    assert lane.missing() == []


def test_what_the_worker_calls_filled_and_did_not_come_is_ours_to_ask_for():
    lane = lane_of(1)
    lane.on_gap(gap(GapState.OPEN, 2, 3))
    lane.on_trades(trades(4))
    lane.take_ready()
    lane.on_gap(gap(GapState.FILLED, 2, 3))
    assert lane.missing() == [(2, 3)]
    lane.on_trades(trades(5, 2, 3))
    assert spelled(lane.take_ready()) == [2, 3, ("FILLED", 2, 3), 5]


def test_ids_that_begin_anew_are_followed():
    lane = lane_of(500)
    lane.on_trades(trades(503))
    lane.on_gap(gap(GapState.LOST, 0, 0))
    lane.on_trades(trades(1, 2))
    assert spelled(lane.take_ready()) == [503, ("LOST", 0, 0), 1, 2]
    assert lane.mark().last_id == 2


def test_history_is_known_and_delivered_to_nobody():
    lane = TradeLane(7, 100)
    lane.begin(trades(5, 6, 9))
    assert (lane.take_ready(), lane.mark(), lane.missing()) == ([], Mark(0, 9), [])
    assert list(lane.replay(4)) == [trades(5, 6), (7, 8), trades(9)]


def test_a_replay_names_what_is_not_here_and_what_may_come_yet():
    lane = lane_of(10, 11)
    lane.on_gap(gap(GapState.OPEN, 12, 13))
    lane.on_trades(trades(14))
    lane.take_ready()
    lane.on_trades(trades(20))
    head, absent, held, told, newest = lane.replay(7)
    assert (head, absent, held, newest) == ([], (8, 9), trades(10, 11), trades(14))
    assert isinstance(told, Gap)
    assert spelled([told]) == [("OPEN", 12, 13)]


def test_a_reader_goes_on_at_its_mark_until_the_log_has_lost_it():
    lane = lane_of(1, 2, capacity=8)
    mark = lane.mark()
    lane.on_trades(trades(3, 4, 5))
    lane.take_ready()
    items, mark_behind = lane.after(mark, 2) or ([], mark)
    assert (spelled(items), mark_behind) == ([3, 4], Mark(4, 4))
    assert lane.after(lane.mark(), 2) == ([], lane.mark())
    lane.on_trades(trades(*range(6, 20)))
    lane.take_ready()
    assert lane.after(mark_behind, 2) is None


@given(st.permutations(range(1, 25)), st.sets(st.integers(2, 23)))
def test_every_id_is_delivered_or_told_once_in_order(order: list[int], lost: set[int]):
    lane = TradeLane(7, 100)
    lane.on_trades(trades(1))
    delivered = lane.take_ready()
    for trade_id in order:
        if trade_id not in lost:
            lane.on_trades(trades(trade_id))
            delivered += lane.take_ready()
    gaps = lane.tell_open(24)
    delivered += lane.take_ready()
    assert [lane.close(one) for one in gaps] == [[(one.first_id, one.last_id)] for one in gaps]
    told: list[int] = []
    for item in delivered:
        told += [item.id] if isinstance(item, Trade) else range(item.first_id, item.last_id + 1)
    assert told == list(range(1, told[-1] + 1))
    assert {item.id for item in delivered if isinstance(item, Trade)} == set(range(1, 25)) - lost


def not_carried(first_id: int, last_id: int) -> Gap:
    return Gap(7, GapState.LOST, GapCause.NOT_CARRIED, first_id, last_id, 0, 0)


def test_what_nobody_carried_is_no_hole_on_the_bus():
    lane = lane_of(99, 100)
    lane.on_gap(not_carried(101, 899))
    lane.on_trades(trades(900, 901))
    assert lane.missing() == []
    assert spelled(lane.take_ready()) == [("LOST", 101, 899), 900, 901]


def test_what_nobody_carried_is_cut_to_what_this_lane_has_not():
    lane = lane_of(99, 100)
    lane.on_gap(not_carried(1, 899))
    lane.on_trades(trades(900))
    assert spelled(lane.take_ready()) == [("LOST", 101, 899), 900]


def test_what_was_carried_and_got_lost_on_the_bus_is_still_missing():
    lane = lane_of(98)
    lane.on_gap(not_carried(101, 899))
    lane.on_trades(trades(900))
    assert lane.missing() == [(99, 100)]
    lane.on_trades(trades(99, 100))
    assert spelled(lane.take_ready()) == [("LOST", 101, 899), 99, 100, 900]


def test_a_lane_that_has_heard_nothing_begins_without_a_word():
    lane = TradeLane(7, 100)
    lane.on_gap(not_carried(1, 899))
    lane.on_trades(trades(900))
    assert spelled(lane.take_ready()) == [900]


def test_what_this_lane_has_already_is_not_called_lost():
    lane = lane_of(899)
    lane.on_gap(not_carried(1, 899))
    lane.on_trades(trades(900))
    assert spelled(lane.take_ready()) == [900]


def test_who_resumes_from_before_asks_for_what_nobody_carried():
    lane = lane_of(99, 100, capacity=1_000)
    lane.on_gap(not_carried(101, 899))
    lane.on_trades(trades(900))
    lane.take_ready()
    pieces = [piece for piece in lane.replay(99) if piece != []]
    assert pieces == [trades(100), (101, 899), trades(900)]


def test_a_lane_that_is_resized_keeps_its_newest_trades():
    lane = lane_of(*range(1, 17), capacity=16)
    lane.resize(8)
    assert [one.id for one in lane.tape.between(1, 99)] == list(range(9, 17))
    lane.on_trades(trades(17))
    assert spelled(lane.take_ready()) == [17]
