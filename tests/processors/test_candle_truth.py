"""Whatever order trades, the venue's bars, gaps and the clock come in, the final bars are what was traded."""

from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from trading_days import (
    FINAL,
    HOUR,
    INTERVALS,
    MINUTE,
    NATIVE,
    NOON,
    REST,
    Kept,
    Numbers,
    bar,
    bars_of,
    cut,
    filled,
    is_close,
    numbers,
    processor,
    rolled,
    trade,
    venue_bar,
)

from processors.candles import Doubt
from protocol.events import Trade
from protocol.intervals import next_open, open_of

SHORT = [1, 3, 5, 15, 30, 60, 120]


class Delivery(NamedTuple):
    """Something that happens at a moment."""

    at_ms: int
    what: Trade | int | str
    """A trade, the opening of a minute that the venue says, or "gap" or "take"."""


pauses = st.one_of(st.integers(0, 4_000), st.integers(0, 200_000), st.integers(0, 1_500_000))
delays = st.one_of(st.just(0), st.integers(0, 20_000), st.integers(0, 900_000))
prices = st.integers(900, 1_100).map(lambda ticks: ticks / 10)
quantities = st.integers(1, 500).map(lambda lots: lots / 1_000)


@st.composite
def days(draw: st.DrawFn) -> tuple[list[Trade], list[Delivery]]:
    """Draw what is traded, and when each part of it is heard."""
    at_ms, trades = NOON - 20 * MINUTE, []
    for trade_id in range(1, draw(st.integers(2, 50))):
        at_ms += draw(pauses)
        one = trade(trade_id, at_ms, draw(prices), draw(quantities), sold=draw(st.booleans()))
        trades.append(one)
    deliveries = [Delivery(one.exchange_us // 1_000 + draw(delays), one) for one in trades]
    first_ms, last_ms = trades[0].exchange_us // 1_000, at_ms + MINUTE
    minutes = range(open_of(first_ms, 1), last_ms, MINUTE)
    said = draw(st.lists(st.sampled_from(minutes), unique=True, max_size=len(minutes)))
    deliveries += [Delivery(open_ms + MINUTE + draw(delays), open_ms) for open_ms in said]
    moments = st.integers(first_ms, last_ms + 1_000_000)
    deliveries += [Delivery(moment, "take") for moment in draw(st.lists(moments, max_size=20))]
    deliveries += [Delivery(moment, "gap") for moment in draw(st.lists(moments, max_size=3))]
    return trades, sorted(deliveries, key=lambda one: one.at_ms)


@given(days(), st.booleans())
def test_final_bars_are_what_was_traded(day: tuple[list[Trade], list[Delivery]], venue_answers: bool) -> None:
    trades, deliveries = day
    end_ms = open_of(deliveries[-1].at_ms, 1) + 3 * MINUTE
    truth = filled(cut(trades), end_ms)
    candles = processor()
    kept = Kept(candles)
    doubts: list[Doubt] = []
    begin_ms = 0
    for at_ms, what in deliveries:
        doubts += candles.on_time(at_ms)
        if isinstance(what, Trade):
            candles.on_trades(NATIVE, [what])
            begin_ms = begin_ms or open_of(what.exchange_us // 1_000, 1)
        elif isinstance(what, int):
            candles.on_venue_bar(venue_bar(what, truth[what]))
            begin_ms = begin_ms or what
        elif what == "gap":
            candles.on_gap(NATIVE, at_ms * 1_000 - 90_000_000, at_ms * 1_000)
        else:
            kept.take()
    doubts += candles.on_time(end_ms + 5_000)
    doubted = {one for doubt in doubts for one in range(doubt.from_ms, doubt.to_ms, MINUTE)}
    if venue_answers:
        for open_ms in sorted(doubted & truth.keys()):
            candles.on_venue_bar(venue_bar(open_ms, truth[open_ms]))
    kept.take()
    assert candles.differences == 0
    for open_ms in range(begin_ms, end_ms, MINUTE):
        assert open_ms in kept.final(1) or (open_ms in doubted and not venue_answers)
    for interval in SHORT:
        longer = rolled(truth, interval) | cut(trades, interval)
        for open_ms, row in kept.final(interval).items():
            assert is_close(numbers(row), longer[open_ms]), (interval, row)
        for open_ms in longer if venue_answers else ():
            if open_ms >= begin_ms and next_open(open_ms, interval) <= end_ms:
                assert open_ms in kept.final(interval), interval


def past_until(live_ms: int) -> dict[int, Numbers]:
    """Make up 45 days: a trade every 53 minutes, every 7 in the last hours, and one just before they end."""
    hours_ms = open_of(live_ms, 60) - 4 * HOUR
    minutes = {live_ms - MINUTE, *range(hours_ms, live_ms, 7 * MINUTE)}
    minutes.update(range(live_ms - 45 * 24 * HOUR, hours_ms, 53 * MINUTE))
    return {
        one: Numbers(100.0 + one // MINUTE % 9, 120.0, 90.0, 101.0, 0.5, 50.0, 0.25, 2)
        for one in sorted(minutes)
    }


@settings(max_examples=50)
@given(
    st.integers(0, 40 * 24 * 60),
    st.lists(st.tuples(pauses, prices, quantities), min_size=1, max_size=40),
    st.permutations([1, 60, 1_440]),
    st.integers(0, 39),
)
def test_seeded_running_bars_of_every_interval_hold_all_that_was_traded(
    minutes_later: int, steps: list[tuple[int, float, float]], order: list[int], seeded_after: int
) -> None:
    live_ms = NOON + minutes_later * MINUTE
    past = past_until(live_ms)
    candles = processor()
    kept = Kept(candles)
    at_ms, trades = live_ms, []
    for number, (pause, price, quantity) in enumerate(steps):
        at_ms += pause if number else 0
        trades.append(trade(number + 1, at_ms, price, quantity))
        candles.on_trades(NATIVE, trades[-1:])
        if number == min(seeded_after, len(steps) - 1):
            for interval in order:
                from_ms = open_of(live_ms, 60) - 4 * HOUR if interval == 1 else min(past)
                said = {one: it for one, it in rolled(past, interval).items() if one >= from_ms}
                finals = [bar(one, it) for one, it in said.items() if next_open(one, interval) <= live_ms]
                candles.seed(NATIVE, interval, bars_of(finals), from_ms)
        candles.on_time(at_ms)
        kept.take()
    truth = past | filled(cut(trades), open_of(at_ms, 1) + MINUTE)
    for interval in INTERVALS:
        open_ms = open_of(at_ms, interval)
        running = candles.running(NATIVE, interval)
        assert running is not None
        assert is_close(numbers(running), rolled(truth, interval)[open_ms]), interval
        assert (running.open_ms, running.version, running.revision) == (open_ms, 0, 0)
        assert not running.flags & FINAL


def test_a_venue_that_says_every_minute_and_trades_that_nobody_hears_make_the_same_bars() -> None:
    truth = filled(
        cut([trade(one, NOON + one * 50_000, 100.0 + one % 7) for one in range(1, 300)]), NOON + 4 * HOUR
    )
    candles = processor()
    kept = Kept(candles)
    for open_ms in sorted(truth):
        candles.on_venue_bar(venue_bar(open_ms, truth[open_ms]))
        candles.on_time(open_ms + MINUTE)
        kept.take()
    for interval in SHORT:
        longer = rolled(truth, interval)
        assert kept.final(interval)
        for open_ms, row in kept.final(interval).items():
            assert (row.revision, row.flags) == (0, REST)
            assert is_close(numbers(row), longer[open_ms])
