"""The decisions of the lossless lane, with plain values: no clock, no socket, no REST."""

import random
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from gateway.feeds.trades.lane import HOLD_BACK_US, PROBE_AFTER_US, TradeLane
from gateway.feeds.trades.open_gaps import LAG_US, MOST_GAPS, MOST_REPAIRED, PAGE, REORDER_US
from gateway.feeds.trades.steps import Announce, Ask, BeginAnew, Deliver, Glimpse, Purpose, Step, Write
from protocol.events import GapCause, GapState
from protocol.ledger import LedgerEntry
from protocol.market import AggTrade

NOW = 1_780_000_000_000_000


def trade(trade_id: int, traded_us: int = 0) -> AggTrade:
    at = traded_us or NOW + trade_id
    return AggTrade("BTCUSDT", trade_id, 100.0, 1.0, False, at, at, trade_id, trade_id)


def rows(first: int, last: int) -> list[AggTrade]:
    return [trade(one) for one in range(first, last + 1)]


class Watched:
    """A lane, its clock, and all that it has said."""

    def __init__(self, **options: int) -> None:
        self.lane = TradeLane("binance", "BTCUSDT", 7, **options)
        self.now_us = NOW
        self.steps: list[Step] = []

    def hear(self, *ids: int) -> list[Step]:
        return self.note(*(self.lane.on_trade(trade(one), self.now_us, self.now_us) for one in ids))

    def note(self, *some: Iterable[Step]) -> list[Step]:
        new = [step for steps in some for step in steps]
        self.steps += new
        return new

    def later(self, us: int) -> list[Step]:
        self.now_us += us
        return self.note(self.lane.on_time(self.now_us))

    def ask(self) -> Ask | None:
        return self.lane.plan_ask(self.now_us)

    def answer(self, ask: Ask | None, answer: list[AggTrade]) -> list[Step]:
        assert ask is not None
        return self.note(self.lane.on_answer(ask, answer, self.now_us))

    def fail(self, ask: Ask | None, *, refused: bool = False) -> list[Step]:
        assert ask is not None
        return self.note(self.lane.on_failure(ask, self.now_us, refused=refused, reason="HTTP 400"))

    def after_a_hole(self, cause: GapCause | None = None) -> "Watched":
        """Hear 10, miss 11 to 13, hear 14, and let the time pass in which they might be only late."""
        self.hear(10)
        if cause:
            self.lane.on_boundary(cause, self.now_us)
        self.hear(14)
        self.later(REORDER_US)
        return self


def delivered(steps: list[Step]) -> list[int]:
    return [step.trade.id for step in steps if isinstance(step, Deliver)]


def recovered(steps: list[Step]) -> list[int]:
    return [step.trade.id for step in steps if isinstance(step, Deliver) and step.recovered]


def announced(steps: list[Step]) -> list[tuple[GapState, int, int]]:
    return [
        (GapState(step.gap.state), step.gap.first_id, step.gap.last_id)
        for step in steps
        if isinstance(step, Announce)
    ]


def written(steps: list[Step]) -> list[LedgerEntry]:
    return [step.entry for step in steps if isinstance(step, Write)]


def states(steps: list[Step]) -> list[GapState]:
    return [entry.state for entry in written(steps)]


# In order


def test_contiguous_trades_go_through_at_once():
    one = Watched()
    assert delivered(one.hear(5, 6, 7)) == [5, 6, 7]
    assert one.lane.is_calm
    assert one.lane.safe_id == 7


def test_the_first_trade_is_a_beginning_and_not_a_gap():
    one = Watched()
    one.hear(1_000_000)
    one.later(HOLD_BACK_US)
    assert one.ask() is None
    assert written(one.steps) == []


def test_a_duplicate_is_dropped_and_counted():
    one = Watched()
    assert delivered(one.hear(5, 6, 5, 6, 4)) == [5, 6]
    assert one.lane.duplicates == 3


def test_a_trade_that_is_only_late_is_waited_for_without_asking_and_was_no_gap():
    one = Watched()
    assert delivered(one.hear(10, 12)) == [10]
    assert one.ask() is None
    assert delivered(one.hear(11)) == [11, 12]
    assert one.lane.is_calm
    one.later(HOLD_BACK_US)
    assert written(one.steps) == []


# A hole


def test_trades_above_a_hole_are_held_back_and_their_price_is_shown():
    one = Watched()
    steps = one.hear(10, 14, 15)
    assert delivered(steps) == [10]
    assert [step.trade.id for step in steps if isinstance(step, Glimpse)] == [14, 15]
    assert (one.lane.held_back, one.lane.safe_id) == (2, 10)


def test_a_hole_is_written_down_asked_for_and_filled_before_what_is_held():
    one = Watched().after_a_hole()
    ask = one.ask()
    assert ask == Ask(Purpose.GAP, 11, 3)
    assert one.ask() is None, "one at a time"
    steps = one.answer(ask, rows(11, 13))
    assert delivered(steps) == [11, 12, 13, 14]
    assert recovered(steps) == [11, 12, 13]
    assert one.lane.is_calm
    opened, filled = written(one.steps)
    assert (opened.state, opened.missing, opened.cause) == (GapState.OPEN, 3, GapCause.SKIPPED)
    assert (opened.first_id, opened.last_id, opened.symbol_id) == (11, 13, 7)
    assert (opened.first_us, opened.last_us) == (NOW + 10, NOW + 14)
    assert (filled.id, filled.state, filled.missing) == (opened.id, GapState.FILLED, 0)
    assert announced(one.steps) == [], "the order was kept: there is nothing to tell"


def test_the_cause_is_what_happened_to_the_connection():
    one = Watched().after_a_hole(GapCause.CONNECTION_LOST)
    assert written(one.steps)[0].cause is GapCause.CONNECTION_LOST
    one.hear(20)
    one.later(REORDER_US)
    assert written(one.steps)[1].cause is GapCause.SKIPPED


def test_more_than_a_page_is_asked_for_page_by_page_and_flows_meanwhile():
    one = Watched()
    one.hear(10, 2_511)
    one.later(REORDER_US)
    first = one.ask()
    assert first == Ask(Purpose.GAP, 11, PAGE)
    assert delivered(one.answer(first, rows(11, 1_010))) == list(range(11, 1_011))
    assert delivered(one.answer(one.ask(), rows(1_011, 2_010))) == list(range(1_011, 2_011))
    third = one.ask()
    assert third == Ask(Purpose.GAP, 2_011, 500)
    assert delivered(one.answer(third, rows(2_011, 2_510))) == list(range(2_011, 2_512))


def test_one_question_is_for_all_holes_that_a_page_covers():
    one = Watched()
    one.hear(10, 12, 14, 2_000)
    one.later(REORDER_US)
    first = one.ask()
    assert first == Ask(Purpose.GAP, 11, PAGE)
    steps = one.answer(first, rows(11, 1_010))
    assert delivered(steps) == list(range(11, 1_011))
    assert recovered(steps) == [11, 13, *range(15, 1_011)]
    assert one.lane.open_gaps == 1
    assert delivered(one.answer(one.ask(), rows(1_011, 1_999))) == list(range(1_011, 2_001))


def test_a_hole_for_which_trades_are_held_back_is_asked_for_before_one_that_was_announced():
    one = Watched().after_a_hole()
    one.fail(one.ask())
    one.later(HOLD_BACK_US)
    one.hear(17)
    one.later(REORDER_US)
    ask = one.ask()
    assert ask == Ask(Purpose.GAP, 15, 2)
    assert delivered(one.answer(ask, rows(15, 16))) == [15, 16, 17]
    assert one.ask() == Ask(Purpose.GAP, 11, 3)


def test_a_question_can_be_put_off():
    one = Watched().after_a_hole()
    ask = one.ask()
    assert ask is not None
    one.lane.postpone(ask, one.now_us + 1_000)
    assert one.ask() is None
    one.later(1_000)
    assert one.ask() == ask


def test_after_the_hold_back_the_gap_is_announced_and_what_comes_then_is_late():
    one = Watched().after_a_hole()
    one.fail(one.ask())
    steps = one.later(HOLD_BACK_US)
    assert announced(steps) == [(GapState.OPEN, 11, 13)]
    assert delivered(steps) == [14]
    assert delivered(one.hear(15)) == [15], "nothing is held back any more"
    steps = one.answer(one.ask(), rows(11, 13))
    assert recovered(steps) == [11, 12, 13]
    assert announced(steps) == [(GapState.FILLED, 11, 13)]
    assert isinstance(steps[3], Announce), "FILLED comes after the last of them"
    assert states(one.steps) == [GapState.OPEN, GapState.FILLED]


def test_more_trades_than_the_limit_are_not_held_back():
    one = Watched(hold_back_trades=3)
    one.hear(10, 12, 13, 14)
    steps = one.hear(15)
    assert announced(steps) == [(GapState.OPEN, 11, 11)]
    assert delivered(steps) == [12, 13, 14, 15]
    assert one.lane.safe_id == 10, "a successor still has to ask for it"


def test_a_failure_is_tried_again_later_and_later():
    one = Watched().after_a_hole()
    one.later(HOLD_BACK_US)  # so that only the questions are due
    waits = []
    for _ in range(9):
        one.fail(one.ask())
        due_us = one.lane.due_us(True)
        assert due_us is not None
        waits.append(due_us - one.now_us)
        one.later(waits[-1])
    assert waits == [500_000 * 2**n for n in range(6)] + [30_000_000] * 3


# What cannot be had


def test_what_the_venue_leaves_out_twice_is_lost_and_the_rest_is_delivered_in_order():
    one = Watched().after_a_hole()
    assert announced(one.answer(one.ask(), rows(13, 13))) == [], "once may be a mistake"
    one.later(1_000_000)
    steps = one.answer(one.ask(), rows(13, 13))
    assert announced(steps) == [(GapState.LOST, 11, 12)]
    assert delivered(steps) == [13, 14]
    last = written(one.steps)[-1]
    assert (last.state, last.missing) == (GapState.LOST, 2)
    assert last.detail == "11-12: the venue does not have them"
    assert one.lane.lost == 2


def test_an_answer_that_is_behind_the_stream_is_no_denial():
    one = Watched().after_a_hole()
    assert announced(one.answer(one.ask(), [])) == []
    one.later(1_000_000)
    assert delivered(one.answer(one.ask(), rows(11, 12))) == [11, 12]
    one.later(1_000_000)
    assert delivered(one.answer(one.ask(), rows(13, 13))) == [13, 14]


def test_what_rest_never_gets_is_lost_after_a_minute():
    one = Watched().after_a_hole()
    one.answer(one.ask(), [])
    one.later(LAG_US)
    assert announced(one.answer(one.ask(), [])) == [(GapState.LOST, 11, 13)]


def test_what_the_venue_refuses_to_look_for_is_lost_at_the_third_time():
    one = Watched().after_a_hole()
    for _ in range(2):
        assert announced(one.fail(one.ask(), refused=True)) == []
        one.later(30_000_000)
    assert announced(one.fail(one.ask(), refused=True)) == [(GapState.LOST, 11, 13)]
    assert written(one.steps)[-1].detail == "11-13: HTTP 400"


def test_what_is_older_than_the_venues_reach_is_lost_without_an_answer():
    one = Watched(reach_us=3_600_000_000).after_a_hole()
    one.fail(one.ask())
    assert (GapState.LOST, 11, 13) in announced(one.later(3_600_000_001))


def test_of_a_giant_hole_only_the_newest_part_is_asked_for():
    one = Watched()
    one.hear(10, 1_000_000)
    assert announced(one.steps) == [(GapState.LOST, 11, 999_999 - MOST_REPAIRED)]
    one.later(REORDER_US)
    ask = one.ask()
    assert ask is not None
    assert ask.first_id == 1_000_000 - MOST_REPAIRED


def test_of_too_many_gaps_the_oldest_is_given_up():
    one = Watched()
    one.hear(*range(1, 2 * MOST_GAPS + 4, 2))
    assert announced(one.steps) == [(GapState.LOST, 2, 2)]
    assert one.lane.open_gaps == MOST_GAPS


def test_what_was_given_up_and_comes_after_all_is_not_delivered():
    one = Watched()
    one.hear(10, 1_000_000)
    assert delivered(one.hear(11)) == []


# Silence, restarts


def test_a_symbol_that_stays_silent_after_a_lost_connection_is_asked_about():
    one = Watched()
    one.hear(10)
    one.lane.on_boundary(GapCause.CONNECTION_LOST, one.now_us)
    assert one.ask() is None
    one.later(PROBE_AFTER_US)
    ask = one.ask()
    assert ask == Ask(Purpose.PROBE, 11, PAGE)
    assert recovered(one.answer(ask, rows(11, 12))) == [11, 12]
    (entry,) = written(one.steps)
    assert (entry.state, entry.cause) == (GapState.FILLED, GapCause.CONNECTION_LOST)
    assert (entry.first_id, entry.last_id, entry.missing) == (11, 12, 0)
    assert one.lane.is_calm


def test_one_that_is_heard_again_is_not():
    one = Watched()
    one.hear(10)
    one.lane.on_boundary(GapCause.MUTE, one.now_us)
    one.hear(11)
    one.later(PROBE_AFTER_US)
    assert one.ask() is None


def test_a_rotation_is_nothing_to_ask_about():
    one = Watched()
    one.hear(10)
    one.lane.on_boundary(GapCause.ROTATED, one.now_us)
    one.later(PROBE_AFTER_US)
    assert one.ask() is None


def test_a_probe_that_finds_nothing_writes_nothing():
    one = Watched()
    one.hear(10)
    one.lane.on_boundary(GapCause.MUTE, one.now_us)
    one.later(PROBE_AFTER_US)
    assert one.answer(one.ask(), []) == []
    assert one.lane.is_calm


def test_a_restarted_worker_fetches_what_was_traded_while_it_was_away():
    one = Watched()
    one.lane.restore(10, NOW - 5_000_000, one.now_us)
    assert delivered(one.hear(14)) == []
    one.later(REORDER_US)
    assert written(one.steps)[0].cause is GapCause.WORKER_RESTARTED
    assert delivered(one.answer(one.ask(), rows(11, 13))) == [11, 12, 13, 14]


def test_what_was_halted_fetches_what_was_traded_before_it_was_heard_again():
    one = Watched()
    one.lane.restore(10, NOW - 5_000_000, one.now_us, GapCause.SKIPPED)
    assert delivered(one.hear(14)) == []
    one.later(REORDER_US)
    assert written(one.steps)[0].cause is GapCause.SKIPPED
    assert delivered(one.answer(one.ask(), rows(11, 13))) == [11, 12, 13, 14]


def test_a_restarted_worker_finds_what_a_quiet_symbol_traded_and_no_more():
    one = Watched()
    one.lane.restore(10, NOW - 5_000_000, one.now_us)
    one.later(PROBE_AFTER_US)
    full = one.ask()
    assert recovered(one.answer(full, rows(11, 10 + PAGE))) == list(range(11, 11 + PAGE))
    assert recovered(one.answer(one.ask(), rows(11 + PAGE, 12 + PAGE))) == [11 + PAGE, 12 + PAGE]
    assert one.lane.is_calm


# Ids that go backwards


def hear_lower_ids(one: Watched, lead_us: int) -> None:
    for number in range(1, 6):
        low = trade(number, NOW + lead_us + number)
        one.note(one.lane.on_trade(low, one.now_us, one.now_us))


def test_ids_that_begin_anew_are_believed_only_when_the_venue_says_so():
    one = Watched()
    one.hear(1_000_000)
    hear_lower_ids(one, 60_000_000)
    ask = one.ask()
    assert ask == Ask(Purpose.RESET, None, 1)
    steps = one.answer(ask, [trade(6, NOW + 60_000_006)])
    assert [type(step) for step in steps] == [Write, BeginAnew, Announce]
    assert announced(steps) == [(GapState.LOST, 0, 0)]
    assert "1000000 was the last, its newest is 6" in written(steps)[0].detail
    assert delivered(one.hear(7, 8)) == [7, 8]


def test_a_venue_that_denies_it_is_believed_too():
    one = Watched()
    one.hear(1_000_000)
    hear_lower_ids(one, 60_000_000)
    assert one.answer(one.ask(), [trade(1_000_005, NOW + 60_000_006)]) == []
    hear_lower_ids(one, 60_000_000)
    assert one.ask() is None, "not again at once"


def test_the_question_for_a_reset_can_be_put_off_too():
    one = Watched()
    one.hear(1_000_000)
    hear_lower_ids(one, 60_000_000)
    ask = one.ask()
    assert ask is not None
    one.lane.postpone(ask, one.now_us + 1_000)
    assert one.ask() is None
    assert one.lane.due_us(True) == one.now_us + 1_000


def test_old_duplicates_are_no_suspicion():
    one = Watched()
    one.hear(1_000_000)
    hear_lower_ids(one, -60_000_000)
    assert one.ask() is None


def test_a_run_ends_where_a_trade_is_not_simply_the_next():
    one = Watched()
    one.hear(10)
    told = [trade(known) for known in (11, 12, 13, 13, 14, 16)]
    assert one.lane.take_run(told, 0) == 3
    assert one.lane.last_id == 13
    assert one.lane.take_run(told, 3) == 3, "a double"
    assert delivered(one.hear(13)) == []
    assert one.lane.take_run(told, 4) == 5, "a jump"
    assert delivered(one.hear(16)) == []
    assert one.lane.take_run([trade(17)], 0) == 0, "which is held back"
    assert delivered(one.hear(15, 17)) == [15, 16, 17]
    assert one.lane.take_run([trade(18)], 0) == 1
    assert one.lane.newest_us == NOW + 18


def test_there_is_no_run_before_the_first_trade_nor_just_after_an_interruption():
    one = Watched()
    assert one.lane.take_run(rows(1, 2), 0) == 0
    one.hear(1)
    one.lane.on_boundary(GapCause.CONNECTION_LOST, one.now_us)
    assert one.lane.take_run(rows(2, 3), 0) == 0
    one.hear(2)
    assert one.lane.due_us(True) is None, "heard again, so nothing is to be asked"
    assert one.lane.take_run(rows(3, 4), 0) == 2


def test_a_trade_that_goes_on_ends_a_suspicion():
    one = Watched()
    one.hear(1_000_000)
    for number in (1, 2):
        low = trade(number, NOW + 60_000_000 + number)
        one.note(one.lane.on_trade(low, one.now_us, one.now_us))
    assert one.lane.take_run([trade(1_000_001)], 0) == 0
    one.hear(1_000_001)
    one.note(one.lane.on_trade(trade(3, NOW + 60_000_003), one.now_us, one.now_us))
    assert one.ask() is None


# By chance


@given(st.integers(0, 2**32), st.integers(5, 120), st.integers(1, 8))
def test_whatever_is_lost_doubled_and_swapped_everything_comes_once(seed: int, count: int, hold: int):
    """The venue has all but a few ids; answers may fail, lag, or come after the next trades."""
    chance = random.Random(seed)
    one = Watched(hold_back_trades=hold)
    gone = {known for known in range(2, count) if chance.random() < 0.03}
    live = [known for known in range(1, count + 1) if known not in gone and chance.random() > 0.3]
    live = sorted({1, count, *live} - gone)
    for place in range(1, len(live) - 2):
        if chance.random() < 0.1:
            live[place], live[place + 1] = live[place + 1], live[place]
    pending: Ask | None = None
    for known in live:
        one.hear(*([known] * chance.choice([1, 1, 1, 2])))
        one.later(chance.choice([0, 50_000, 200_000, 3_000_000]))
        pending = settle(one, pending, gone, count, chance)
    for _ in range(6 * count + 50):
        pending = settle(one, pending, gone, count, chance)
        one.later(1_000_000)
    assert one.lane.is_calm
    ids = delivered(one.steps)
    lost = {i for state, a, b in announced(one.steps) if state is GapState.LOST for i in range(a, b + 1)}
    assert len(ids) == len(set(ids)), "none doubled"
    assert set(ids) == set(range(1, count + 1)) - gone
    assert lost == gone
    assert in_order_but_for_announced_gaps(one.steps)
    newest = {entry.id: entry for entry in written(one.steps)}
    assert all(entry.state is not GapState.OPEN for entry in newest.values())
    assert sum(entry.missing for entry in newest.values()) == len(gone)


def settle(
    one: Watched, pending: Ask | None, gone: set[int], count: int, chance: random.Random
) -> Ask | None:
    """Ask what the lane wants to know, and let an answer, a failure or nothing come of it."""
    pending = pending or one.ask()
    if pending is None or chance.random() < 0.3:
        return pending
    first = pending.first_id or count
    held = [trade(known) for known in range(first, count + 1) if known not in gone]
    if chance.random() < 0.2:
        one.fail(pending)
    else:
        one.answer(pending, held[: pending.limit])
    return None


def in_order_but_for_announced_gaps(steps: list[Step]) -> bool:
    """A trade below the one before it must be of a gap that was announced as open."""
    open_gaps: list[tuple[int, int]] = []
    last = 0
    for step in steps:
        if isinstance(step, Announce) and step.gap.state == GapState.OPEN:
            open_gaps.append((step.gap.first_id, step.gap.last_id))
        elif isinstance(step, Deliver):
            if step.trade.id < last and not any(a <= step.trade.id <= b for a, b in open_gaps):
                return False
            last = max(last, step.trade.id)
    return True


# Symbols that nobody wanted for a while


def taken_up(last_id: int = 100) -> Watched:
    watched = Watched()
    watched.lane.take_up(last_id, NOW - 60_000_000 if last_id else 0)
    return watched


def test_what_was_traded_while_nobody_wanted_it_is_told_and_not_asked_for():
    watched = taken_up()
    announce, write, deliver = watched.hear(900)[0], *watched.steps[1:]
    assert isinstance(announce, Announce | Write)
    assert announced(watched.steps) == [(GapState.LOST, 101, 899)]
    assert delivered(watched.steps) == [900]
    assert deliver == watched.steps[-1]
    (entry,) = [step.entry for step in (announce, write) if isinstance(step, Write)]
    assert (entry.cause, entry.state, entry.missing) == (GapCause.NOT_CARRIED, GapState.LOST, 799)
    assert (entry.first_us, entry.last_us) == (NOW - 60_000_000, NOW + 900)
    assert watched.hear(901) == [Deliver(trade(901), NOW, False)]
    assert watched.lane.is_calm
    assert watched.later(10 * HOLD_BACK_US) == []


def test_the_word_about_what_was_not_carried_comes_before_the_first_trade():
    steps = taken_up().hear(900)
    kinds = [type(step) for step in steps]
    assert kinds.index(Announce) < kinds.index(Deliver)


def test_nothing_is_told_if_nothing_was_traded_meanwhile():
    assert taken_up().hear(101) == [Deliver(trade(101), NOW, False)]


def test_where_no_earlier_trade_is_known_all_before_the_first_is_told_and_nothing_written():
    watched = taken_up(0)
    watched.hear(900)
    assert announced(watched.steps) == [(GapState.LOST, 1, 899)]
    assert not [step for step in watched.steps if isinstance(step, Write)]


def test_a_repetition_from_before_is_a_duplicate():
    watched = taken_up()
    assert watched.hear(99, 100) == []
    watched.hear(900)
    assert announced(watched.steps) == [(GapState.LOST, 101, 899)]


def test_an_interruption_before_the_first_trade_asks_for_nothing():
    watched = taken_up()
    watched.lane.on_boundary(GapCause.CONNECTION_LOST, watched.now_us)
    watched.later(2 * PROBE_AFTER_US)
    assert watched.ask() is None
    assert watched.lane.is_calm


def test_an_interruption_after_the_first_trade_is_one_like_any_other():
    watched = taken_up()
    watched.hear(900)
    watched.lane.on_boundary(GapCause.CONNECTION_LOST, watched.now_us)
    watched.later(PROBE_AFTER_US)
    assert watched.ask() == Ask(Purpose.PROBE, 901, PAGE)


def test_a_successor_goes_on_from_no_trade_that_was_before():
    watched = taken_up()
    assert watched.lane.safe_id == 0
    watched.hear(900)
    assert watched.lane.safe_id == 900


def test_a_venue_that_began_anew_while_nobody_wanted_the_symbol_is_noticed():
    watched = taken_up()
    for known in (1, 2, 3):
        watched.note(watched.lane.on_trade(trade(known, NOW + known * 1_000_000), NOW, NOW))
    ask = watched.ask()
    assert ask == Ask(Purpose.RESET, None, 1)
    steps = watched.answer(ask, [trade(4, NOW + 4_000_000)])
    assert any(isinstance(step, BeginAnew) for step in steps)
    assert watched.hear(5) == [Deliver(trade(5), NOW, False)]
