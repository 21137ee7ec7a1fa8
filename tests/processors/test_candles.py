"""The rules at the head of candles.py, one after the other, for minutes. Minutes are counted from noon."""

import pytest
from trading_days import (
    FINAL,
    HOUR,
    MINUTE,
    NATIVE,
    NOON,
    REBUILT,
    REST,
    Kept,
    Numbers,
    bar,
    bars_of,
    cut,
    flat,
    numbers,
    processor,
    rising,
    trade,
    venue_bar,
)

from processors.bars.minutes import SILENCE_MS
from processors.candles import CandleProcessor, Doubt
from protocol.events import Trade


def at(minute: int, second: float = 0.0) -> int:
    return NOON + minute * MINUTE + int(second * 1_000)


def settled(minute: int) -> int:
    """When a minute has had its grace."""
    return at(minute + 1, 5)


def doubt(first: int, last: int) -> Doubt:
    return Doubt(NATIVE, at(first), at(last + 1))


def started() -> tuple[CandleProcessor, Kept]:
    """Listen since minute 0, in which trades 1 and 2 were made, at 100 and 101."""
    candles = processor()
    candles.on_trades(NATIVE, [trade(1, at(0, 20), 100.0), trade(2, at(0, 40), 101.0)])
    return candles, Kept(candles)


def minute_row(kept: Kept, minute: int) -> Numbers:
    return numbers(kept.bars[1][at(minute)])


# A minute


def test_the_running_bar_holds_every_trade_of_its_minute():
    candles = processor()
    assert candles.running(NATIVE, 1) is None
    trades = [
        trade(11, at(0, 0), 100.0, 2.0),
        trade(12, at(0, 1), 104.0, 1.5, sold=True, count=3),
        trade(13, at(0, 59.999), 99.0, 0.5),
    ]
    candles.on_trades(NATIVE, trades[:1])
    candles.on_trades(NATIVE, trades[1:])
    assert candles.running(NATIVE, 1) == (
        NOON, 0, 100.0, 104.0, 99.0, 99.0, 4.0, 200.0 + 156.0 + 49.5, 2.5, 5, 0, 0,
    )  # fmt: skip
    assert candles.last_id(NATIVE) == 13


def test_trades_count_into_the_minute_in_which_they_were_made_in_the_order_of_their_ids():
    candles, kept = started()
    candles.on_trades(NATIVE, [trade(5, at(1, 2), 105.0), trade(6, at(1, 3), 106.0)])
    candles.on_trades(NATIVE, [trade(4, at(1, 1), 104.0), trade(3, at(0, 59), 103.0)])
    kept.take()
    assert (
        minute_row(kept, 0)
        == cut([trade(1, at(0), 100.0), trade(2, at(0), 101.0), trade(3, at(0), 103.0)]).popitem()[1]
    )
    assert minute_row(kept, 1)[:4] == (104.0, 106.0, 104.0, 106.0)
    assert candles.last_id(NATIVE) == 6


def test_a_minute_is_final_5_s_after_its_end_and_the_venue_is_asked():
    candles, kept = started()
    assert candles.on_time(settled(0) - 1) == []
    kept.take()
    assert kept.minutes() == [(0, 0, 0)]
    assert candles.on_time(settled(0)) == [doubt(0, 0)]
    kept.take()
    assert kept.minutes() == [(0, 0, FINAL)]
    assert candles.on_time(settled(0) + 20_000) == []


def test_the_venues_bar_makes_a_minute_final_at_once_and_wins():
    candles, kept = started()
    assert candles.on_venue_bar(venue_bar(at(0), rising(90.0)))
    kept.take()
    assert kept.minutes() == [(0, 0, REST)]
    assert minute_row(kept, 0) == rising(90.0)
    assert candles.on_time(settled(0)) == []
    assert candles.running(NATIVE, 1) is None


def test_the_venues_bar_of_a_later_minute_ends_those_before_it():
    candles, kept = started()
    candles.on_trades(NATIVE, [trade(3, at(2, 1), 102.0)])
    candles.on_venue_bar(venue_bar(at(2), rising(102.0)))
    kept.take()
    assert kept.minutes() == [(0, 0, FINAL), (1, 0, FINAL), (2, 0, REST)]
    assert candles.on_time(settled(2)) == [doubt(0, 1)]


def test_a_venues_bar_that_is_running_or_longer_is_of_no_use():
    candles, kept = started()
    assert not candles.on_venue_bar(venue_bar(at(0), rising(90.0))._replace(final=False))
    assert not candles.on_venue_bar(venue_bar(at(0), rising(90.0))._replace(interval=60))
    kept.take()
    assert kept.minutes() == [(0, 0, 0)]


def test_minutes_without_trades_are_flat_also_several_in_a_row():
    candles, kept = started()
    assert candles.on_time(settled(3)) == [doubt(0, 3)]
    kept.take()
    assert [minute_row(kept, minute) for minute in (1, 2, 3)] == [flat(101.0)] * 3
    candles.on_trades(NATIVE, [trade(3, at(5, 1), 102.0)])
    candles.on_time(settled(5))
    kept.take()
    assert minute_row(kept, 4) == flat(101.0)
    assert minute_row(kept, 5)[:4] == (102.0, 102.0, 102.0, 102.0)


def test_a_flat_minute_has_the_close_that_the_venue_gave_the_one_before():
    candles, kept = started()
    candles.on_venue_bar(venue_bar(at(0), rising(90.0)))
    candles.on_time(settled(1))
    kept.take()
    assert minute_row(kept, 1) == flat(91.0)


def test_a_minute_before_our_first_trade_is_not_said_to_be_flat():
    candles = processor()
    kept = Kept(candles)
    candles.seed(NATIVE, 1, bars_of([bar(at(-2), rising(90.0))]))
    candles.on_trades(NATIVE, [trade(1, at(0, 20), 100.0)])
    assert candles.on_time(settled(-1)) == [doubt(-1, -1)]
    kept.take()
    assert kept.minutes() == [(0, 0, 0)]
    candles.on_venue_bar(venue_bar(at(-1), rising(95.0)))
    kept.take()
    assert kept.minutes() == [(-1, 0, REST), (0, 0, 0)]


def test_a_symbol_of_which_no_trade_was_heard_has_only_the_venues_bars():
    candles = processor()
    kept = Kept(candles)
    candles.on_venue_bar(venue_bar(at(0), rising(90.0)))
    assert candles.on_time(settled(2)) == [doubt(1, 2)]
    candles.on_venue_bar(venue_bar(at(3), flat(91.0)))
    kept.take()
    assert kept.minutes() == [(0, 0, REST), (3, 0, REST)]


def test_a_minute_is_not_flat_where_ids_are_missing_until_its_trades_or_the_venues_bar_come():
    candles, kept = started()
    candles.on_trades(NATIVE, [trade(9, at(4, 1), 109.0)])
    assert candles.on_time(settled(3)) == [doubt(0, 3)]
    kept.take()
    assert kept.minutes() == [(0, 0, FINAL), (4, 0, 0)]
    candles.on_trades(NATIVE, [trade(5, at(2, 1), 105.0)])
    candles.on_venue_bar(venue_bar(at(1), flat(101.0)))
    kept.take()
    assert kept.minutes() == [(0, 0, FINAL), (1, 0, REST), (2, 0, REBUILT), (4, 0, 0)]


def test_after_hours_of_silence_minutes_are_neither_made_nor_asked_for():
    candles, kept = started()
    last = SILENCE_MS // MINUTE
    assert candles.on_time(at(10 * 60)) == [doubt(0, last)]
    kept.take()
    assert [minute for minute, _, _ in kept.minutes()] == list(range(last + 1))
    assert candles.on_time(at(20 * 60)) == []
    assert kept.take() == []


@pytest.mark.parametrize("by_venue", [False, True])
def test_a_symbol_that_is_heard_again_after_long_begins_anew_and_what_lies_between_is_doubted(by_venue: bool):
    candles, kept = started()
    candles.on_time(at(10 * 60))
    kept.take()
    if by_venue:
        candles.on_venue_bar(venue_bar(at(600), rising(70.0)))
    else:
        candles.on_trades(NATIVE, [trade(3, at(600, 1), 70.0)])
    assert candles.on_time(at(600, 2)) == [doubt(SILENCE_MS // MINUTE + 1, 599)]
    kept.take()
    assert kept.minutes()[-1] == (600, 0, REST if by_venue else 0)
    assert len(kept.minutes()) == SILENCE_MS // MINUTE + 2
    candles.on_time(settled(601))
    kept.take()
    assert kept.minutes()[-2:] == [(600, 0, REST if by_venue else FINAL), (601, 0, FINAL)]


def test_what_ran_before_a_long_silence_is_ended_with_it():
    candles, kept = started()
    candles.on_trades(NATIVE, [trade(3, at(600, 1), 70.0)])
    kept.take()
    assert kept.minutes() == [(0, 0, FINAL), (600, 0, 0)]
    assert candles.on_time(at(600, 2)) == [doubt(0, 599)]


def test_ids_that_begin_anew_go_on_in_the_order_in_which_trades_were_made():
    candles = processor()
    candles.on_trades(NATIVE, [trade(5_000, at(0, 10), 100.0), trade(5_001, at(0, 11), 101.0)])
    candles.on_trades(NATIVE, [trade(1, at(0, 30), 102.0)])
    candles.on_trades(NATIVE, [trade(2, at(0, 31), 103.0), trade(3, at(1, 1), 104.0)])
    kept = Kept(candles)
    kept.take()
    assert minute_row(kept, 0)[:4] == (100.0, 103.0, 100.0, 103.0)
    assert minute_row(kept, 1)[:4] == (104.0, 104.0, 104.0, 104.0)
    assert candles.last_id(NATIVE) == 3


# A correction


def test_late_trades_of_a_final_minute_rebuild_it_and_its_revision_rises_by_one():
    candles, kept = started()
    candles.on_trades(NATIVE, [trade(6, at(1, 2), 106.0)])
    candles.on_time(settled(0))
    kept.take()
    candles.on_trades(NATIVE, [trade(4, at(0, 57), 104.0), trade(3, at(0, 55), 103.0)])
    kept.take()
    assert kept.minutes() == [(0, 1, REBUILT), (1, 0, 0)]
    assert minute_row(kept, 0)[:5] == (100.0, 104.0, 100.0, 104.0, 4.0)
    candles.on_trades(NATIVE, [trade(5, at(0, 59), 105.0)])
    kept.take()
    assert kept.minutes() == [(0, 2, REBUILT), (1, 0, 0)]


def test_late_trades_change_nothing_where_the_venue_has_said_its_word():
    candles, kept = started()
    candles.on_venue_bar(venue_bar(at(0), rising(90.0)))
    kept.take()
    candles.on_trades(NATIVE, [trade(3, at(0, 59), 500.0)])
    assert kept.take() == []
    candles.on_time(settled(3))
    kept.take()
    candles.on_trades(NATIVE, [trade(4, at(0, 59.5), 500.0)])
    kept.take()
    assert minute_row(kept, 0) == rising(90.0)
    assert candles.on_time(settled(3)) == []


def test_flat_minutes_follow_the_close_before_them_when_it_is_corrected():
    candles, kept = started()
    candles.on_time(settled(2))
    kept.take()
    candles.on_trades(NATIVE, [trade(3, at(0, 59), 95.0)])
    kept.take()
    assert kept.minutes() == [(0, 1, REBUILT), (1, 1, REBUILT), (2, 1, REBUILT)]
    assert minute_row(kept, 2) == flat(95.0)
    candles.on_venue_bar(venue_bar(at(0), rising(80.0)))
    candles.on_venue_bar(venue_bar(at(2), flat(81.0)))
    kept.take()
    assert kept.minutes() == [(0, 2, REST), (1, 2, REBUILT), (2, 2, REST)]
    assert minute_row(kept, 1) == flat(81.0)


def test_a_venues_bar_that_says_otherwise_is_a_correction():
    candles, kept = started()
    candles.on_time(settled(0))
    kept.take()
    candles.on_venue_bar(venue_bar(at(0), rising(90.0)))
    kept.take()
    assert kept.minutes() == [(0, 1, REST)]
    candles.on_venue_bar(venue_bar(at(0), rising(91.0)))
    kept.take()
    assert kept.minutes() == [(0, 2, REST)]


def test_a_venues_bar_that_says_the_same_is_none_but_its_word_from_then_on():
    candles = processor()
    candles.on_trades(NATIVE, [trade(1, at(0), 0.3, 0.1), trade(2, at(0), 0.3, 0.2)])
    kept = Kept(candles)
    candles.on_time(settled(0))
    kept.take()
    # 0.1 + 0.2 is not 0.3, but that is no difference.
    candles.on_venue_bar(venue_bar(at(0), Numbers(0.3, 0.3, 0.3, 0.3, 0.3, 0.09, 0.3, 2)))
    kept.take()
    assert kept.minutes() == [(0, 0, REST)]
    assert minute_row(kept, 0).volume == 0.3
    candles.on_venue_bar(venue_bar(at(0), Numbers(0.3, 0.3, 0.3, 0.3, 0.3, 0.09, 0.3, 2)))
    assert kept.take() == []


def test_a_revision_rises_no_further_than_its_16_bits():
    candles = processor()
    candles.seed(NATIVE, 1, bars_of([bar(at(0), rising(90.0), FINAL, revision=65_534)]))
    for price in (91.0, 92.0):
        candles.on_venue_bar(venue_bar(at(0), rising(price)))
        assert candles.take()[0].row.revision == 65_535


def test_trades_later_than_what_is_kept_are_doubted_by_the_hour_once():
    candles, kept = started()
    for minute in range(0, 600, 60):
        candles.on_trades(NATIVE, [trade(10 + minute, at(minute, 1), 100.0)])
    candles.on_time(settled(599))
    kept.take()
    candles.on_trades(NATIVE, [trade(3, at(0, 59), 95.0), trade(4, at(75, 1), 95.0)])
    candles.on_trades(NATIVE, [trade(5, at(80, 1), 95.0)])
    # They were asked for when they became final without the venue's word.
    assert candles.on_time(settled(599)) == []
    candles.on_trades(NATIVE, [trade(1, at(-200, 1), 95.0), trade(2, at(-190, 1), 95.0)])
    assert candles.on_time(settled(599)) == [doubt(-240, -181)]
    candles.on_trades(NATIVE, [trade(0, at(-230, 1), 95.0)])
    assert candles.on_time(settled(599)) == []
    assert kept.take() == []


def test_late_trades_of_minutes_that_were_not_built_here_are_doubted():
    candles = processor()
    candles.seed(NATIVE, 1, bars_of([bar(at(-3), rising(90.0)), bar(at(-2), rising(91.0), FINAL)]))
    candles.on_trades(NATIVE, [trade(9, at(-1, 1), 100.0)])
    candles.take()
    candles.on_trades(NATIVE, [trade(7, at(-3, 1), 500.0), trade(8, at(-2, 1), 500.0)])
    assert candles.on_time(at(0)) == [doubt(-2, -2)]
    assert candles.take() == []


def test_a_venues_bar_from_before_what_is_kept_is_of_no_use_here():
    candles, kept = started()
    kept.take()
    assert candles.on_venue_bar(venue_bar(NOON - 3 * HOUR, rising(90.0)))
    assert not candles.on_venue_bar(venue_bar(NOON - 3 * HOUR - MINUTE, rising(90.0)))
    assert [row.open_ms for interval, row in kept.take() if interval == 1] == [NOON - 3 * HOUR]


# Seeds


def test_what_is_seeded_is_known_in_silence_and_changes_nothing_that_is_known_better():
    candles, kept = started()
    candles.on_venue_bar(venue_bar(at(0), rising(90.0)))
    kept.take()
    candles.seed(NATIVE, 1, bars_of([bar(at(-1), rising(80.0)), bar(at(0), rising(70.0))]))
    assert [row for interval, row in kept.take() if interval == 1] == []
    candles.on_time(settled(1))
    kept.take()
    assert kept.minutes() == [(0, 0, REST), (1, 0, FINAL)]
    assert minute_row(kept, 1) == flat(91.0)


def test_a_final_bar_that_is_seeded_ends_the_minute_that_runs():
    candles, kept = started()
    kept.take()
    candles.seed(NATIVE, 1, bars_of([bar(at(-1), rising(80.0)), bar(at(0), rising(90.0))]))
    kept.take()
    assert kept.minutes() == [(0, 0, REST)]


def test_trades_of_a_minute_that_a_seed_ended_are_in_it_whoever_made_it():
    candles, kept = started()
    candles.seed(NATIVE, 1, bars_of([bar(at(0), rising(90.0), FINAL)]))
    kept.take()
    candles.on_trades(NATIVE, [trade(3, at(0, 59), 500.0)])
    assert candles.on_time(at(1)) == [doubt(0, 0)]
    kept.take()
    assert kept.minutes() == [(0, 0, FINAL)]
    assert minute_row(kept, 0) == rising(90.0)


@pytest.mark.parametrize("before", [True, False])
def test_a_running_bar_that_is_seeded_stands_for_the_trades_before_ours(before: bool):
    candles = processor()
    running = bars_of([bar(at(0), Numbers(98.0, 103.0, 97.0, 99.0, 50.0, 5_000.0, 20.0, 40), 0)])
    if before:
        candles.seed(NATIVE, 1, running)
    candles.on_trades(NATIVE, [trade(5, at(0, 40), 104.0, 2.0)])
    if not before:
        candles.seed(NATIVE, 1, running)
    row = candles.running(NATIVE, 1)
    assert row is not None
    assert numbers(row)[:4] == (98.0, 104.0, 97.0, 104.0)
    assert row.volume == (52.0 if before else 50.0)


# Agreement


def heard(*trades: Trade) -> CandleProcessor:
    candles, _ = started()
    candles.on_trades(NATIVE, trades)
    return candles


def differences(candles: CandleProcessor, said: Numbers, *, late: bool = False) -> int:
    """Let the venue say minute 1, at once or only after it was settled; return what is counted in the end."""
    if not late:
        candles.on_venue_bar(venue_bar(at(1), said))
    candles.on_time(settled(2))
    if late:
        candles.on_venue_bar(venue_bar(at(1), said))
    return candles.differences


WHOLE = (trade(3, at(1, 1), 103.0), trade(4, at(1, 2), 104.0), trade(5, at(2, 1), 105.0))
OURS = cut(WHOLE)[at(1)]


@pytest.mark.parametrize("late", [False, True])
def test_a_venues_bar_that_differs_from_ours_is_counted_once(late: bool):
    assert differences(heard(*WHOLE), OURS, late=late) == 0
    assert differences(heard(*WHOLE), OURS._replace(volume=OURS.volume + 1e-3), late=late) == 1
    assert differences(heard(*WHOLE), OURS._replace(trades=OURS.trades + 1), late=late) == 1


def test_what_a_venue_rounds_is_no_difference():
    assert differences(heard(*WHOLE), OURS._replace(volume=OURS.volume + 1.9e-8)) == 0


def test_the_venues_bar_may_come_before_the_last_trades_of_its_minute():
    candles, _ = started()
    candles.on_venue_bar(venue_bar(at(0), rising(90.0)))
    candles.on_trades(NATIVE, WHOLE[:1])
    candles.on_venue_bar(venue_bar(at(1), OURS))
    candles.on_trades(NATIVE, WHOLE[1:])
    candles.on_time(settled(2))
    assert candles.differences == 0


@pytest.mark.parametrize(
    "trades",
    [
        (WHOLE[0], WHOLE[2]),  # a hole in it
        WHOLE[1:],  # before it
        (*WHOLE[:2], trade(6, at(2, 1), 105.0)),  # after it
        WHOLE[:2],  # nobody knows what came after
    ],
)
def test_where_ours_may_lack_a_trade_nothing_is_counted(trades: tuple[Trade, ...]):
    assert differences(heard(*trades), rising(7.0)) == 0


def test_trades_that_come_late_but_in_time_make_a_minute_whole():
    assert differences(heard(WHOLE[0], WHOLE[2], WHOLE[1]), OURS._replace(high=500.0)) == 1


def test_the_first_minute_is_not_whole():
    candles, _ = started()
    candles.on_trades(NATIVE, [trade(3, at(1, 1), 103.0)])
    candles.on_venue_bar(venue_bar(at(0), rising(7.0)))
    candles.on_time(settled(2))
    assert candles.differences == 0


@pytest.mark.parametrize(("from_s", "to_s"), [(55, 61), (61, 62), (0, 0), (119, 500)])
def test_a_minute_around_which_trades_were_lost_is_not_whole(from_s: int, to_s: int):
    candles = heard(*WHOLE[:2])
    candles.on_gap(NATIVE, at(0, from_s) * 1_000 if from_s else 0, at(0, to_s) * 1_000 if to_s else 0)
    candles.on_trades(NATIVE, WHOLE[2:])
    assert differences(candles, rising(7.0)) == 0


def test_a_loss_in_another_minute_leaves_one_whole():
    candles = heard(*WHOLE)
    candles.on_gap(NATIVE, at(0, 10) * 1_000, at(0, 59) * 1_000)
    assert differences(candles, rising(7.0)) == 1


def test_a_minute_in_which_ids_begin_anew_is_not_whole():
    candles = heard(*WHOLE[:2])
    candles.on_trades(NATIVE, [trade(1, at(1, 30), 104.0), trade(2, at(2, 1), 104.0)])
    assert differences(candles, rising(7.0)) == 0


# Symbols


def test_symbols_do_not_mix_and_one_that_was_not_added_is_an_error():
    candles, _ = started()
    candles.add_symbol("ETHUSDT")
    candles.add_symbol("ETHUSDT")
    candles.on_trades("ETHUSDT", [trade(1, at(0, 1), 7.0)])
    assert {(one.native, one.row.close) for one in candles.take() if one.interval == 1} == {
        (NATIVE, 101.0),
        ("ETHUSDT", 7.0),
    }
    assert candles.has_symbol("ETHUSDT")
    assert not candles.has_symbol("XRPUSDT")
    with pytest.raises(KeyError):
        candles.on_trades("XRPUSDT", [trade(1, at(0, 1), 7.0)])


# In two speeds


def test_longer_running_bars_may_wait_and_are_not_forgotten():
    candles, _ = started()
    early = {one.interval for one in candles.take(minutes_only=True)}
    assert early == {1}
    assert 5 in {one.interval for one in candles.take()}
    assert candles.take() == []


def test_the_end_of_a_minute_brings_the_longer_bars_along():
    candles, _ = started()
    candles.take()
    candles.on_trades(NATIVE, [trade(3, at(1, 1), 103.0)])
    candles.on_time(settled(0))
    changed = {(one.interval, bool(one.row.flags & FINAL)) for one in candles.take(minutes_only=True)}
    assert {(1, True), (1, False), (3, False), (5, False)} <= changed
