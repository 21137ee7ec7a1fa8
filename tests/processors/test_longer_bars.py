"""How longer bars follow their minutes. Minutes are counted from noon."""

from trading_days import (
    FINAL,
    HOUR,
    INTERVALS,
    MINUTE,
    NATIVE,
    NOON,
    REBUILT,
    REST,
    Kept,
    Numbers,
    bar,
    bars_of,
    numbers,
    processor,
    rising,
    trade,
    venue_bar,
)

from processors.candles import CandleProcessor
from protocol.intervals import open_of


def at(minute: int, second: float = 0.0) -> int:
    return NOON + minute * MINUTE + int(second * 1_000)


def said_by_venue(minutes: int, start: int = 0) -> tuple[CandleProcessor, Kept]:
    """Let the venue say minutes from noon on, the price rising by 10 each."""
    candles = processor()
    for minute in range(start, minutes):
        candles.on_venue_bar(venue_bar(at(minute), rising(100.0 + 10 * minute)))
    kept = Kept(candles)
    kept.take()
    return candles, kept


def states(kept: Kept, interval: int) -> list[tuple[int, int, int]]:
    """Return minute of the opening, revision and flags of each bar."""
    bars = kept.bars[interval]
    return [((one - NOON) // MINUTE, bars[one].revision, bars[one].flags) for one in sorted(bars)]


def test_a_longer_bar_is_final_when_its_last_minute_is():
    candles, kept = said_by_venue(2)
    assert states(kept, 3) == [(0, 0, REST - FINAL)]
    candles.on_venue_bar(venue_bar(at(2), rising(120.0)))
    kept.take()
    assert states(kept, 3) == [(0, 0, REST)]
    assert numbers(kept.bars[3][NOON]) == Numbers(100.0, 123.0, 98.0, 121.0, 3.0, 330.0, 0.75, 15)
    assert candles.running(NATIVE, 3) is None
    assert numbers(kept.bars[15][NOON]) == Numbers(100.0, 123.0, 98.0, 121.0, 3.0, 330.0, 0.75, 15)


def test_a_running_bar_is_its_final_minutes_and_the_one_that_runs():
    candles, kept = said_by_venue(2)
    candles.on_trades(NATIVE, [trade(1, at(2, 1), 99.0, 4.0)])
    kept.take()
    assert numbers(kept.bars[5][NOON]) == Numbers(100.0, 113.0, 98.0, 99.0, 6.0, 210.0 + 396.0, 4.5, 11)
    assert candles.running(NATIVE, 5) == kept.bars[5][NOON]
    assert states(kept, 5) == [(0, 0, 0)]


def test_two_bars_run_while_the_first_waits_for_the_venue():
    candles, kept = said_by_venue(4)
    candles.on_trades(NATIVE, [trade(1, at(4, 59), 99.0), trade(2, at(5, 1), 98.0)])
    changes = kept.take()
    assert [(one.open_ms - NOON) // MINUTE for interval, one in changes if interval == 5] == [0, 5]
    assert states(kept, 5) == [(0, 0, 0), (5, 0, 0)]
    running = candles.running(NATIVE, 5)
    assert running is not None
    assert running.open_ms == at(5)
    # Those that hold both minutes hold both trades.
    assert (kept.bars[15][NOON].close, kept.bars[15][NOON].trades) == (98.0, 22)


def test_a_bar_of_which_the_beginning_is_not_known_is_not_said():
    candles = processor()
    candles.on_trades(NATIVE, [trade(1, at(7, 1), 99.0)])
    kept = Kept(candles)
    for minute in range(7, 30):
        candles.on_venue_bar(venue_bar(at(minute), rising(100.0)))
        kept.take()
    assert [one for one in INTERVALS if kept.bars[one]] == [1, 3, 5, 15]
    assert [minute for minute, _, _ in states(kept, 5)] == [10, 15, 20, 25]
    assert states(kept, 15) == [(15, 0, REST)]


def test_what_was_not_known_at_its_end_is_final_as_soon_as_it_is_learnt():
    candles, kept = said_by_venue(12, start=3)
    assert states(kept, 5) == [(5, 0, REST), (10, 0, REST - FINAL)]
    candles.on_venue_bar(venue_bar(at(2), rising(7.0)))
    candles.seed(NATIVE, 1, bars_of([bar(at(minute), rising(7.0)) for minute in (-1, 0, 1)]))
    kept.take()
    assert states(kept, 5) == [(0, 0, REST), (5, 0, REST), (10, 0, REST - FINAL)]
    assert kept.bars[60][NOON].open == 7.0


def test_minutes_that_do_not_exist_are_no_hole_once_that_was_said():
    """A symbol that was listed at 12:02, and a day that begins with it."""
    candles = processor()
    candles.on_trades(NATIVE, [trade(1, at(4, 1), 99.0)])
    day, month = open_of(NOON, 1_440), open_of(NOON, 43_200)
    candles.seed(NATIVE, 1, bars_of([bar(at(2), rising(10.0)), bar(at(3), rising(20.0))]), NOON - 3 * HOUR)
    kept = Kept(candles)
    kept.take()
    assert [one for one in INTERVALS if kept.bars[one]] == [1, 3, 5, 15, 30, 60, 120, 240, 360, 720]
    candles.seed(NATIVE, 60, bars_of([]), day)
    candles.seed(NATIVE, 1_440, bars_of([]), month)
    candles.on_trades(NATIVE, [trade(2, at(4, 2), 99.5)])
    kept.take()
    assert all(kept.bars[one] for one in INTERVALS)
    assert numbers(kept.bars[43_200][month])[:4] == (10.0, 99.5, 8.0, 99.5)


def test_a_corrected_minute_corrects_every_longer_bar_that_holds_it():
    candles = processor()
    kept = Kept(candles)
    candles.on_trades(NATIVE, [trade(one + 100, at(0, one * 20), 100.0) for one in range(3 * 20)])
    candles.on_time(at(20, 30))
    kept.take()
    assert states(kept, 15) == [(0, 0, FINAL), (15, 0, 0)]
    candles.on_trades(NATIVE, [trade(1, at(1, 1), 150.0, 5.0)])
    changes = kept.take()
    assert [(interval, row.revision, row.flags) for interval, row in changes] == [
        (1, 1, REBUILT), (3, 1, REBUILT), (5, 1, REBUILT), (15, 1, REBUILT),
        (30, 0, REBUILT - FINAL), (60, 0, REBUILT - FINAL), (120, 0, REBUILT - FINAL),
        (240, 0, REBUILT - FINAL), (360, 0, REBUILT - FINAL), (720, 0, REBUILT - FINAL),
    ]  # fmt: skip
    assert all((row.high, row.open_ms) == (150.0, NOON) for interval, row in changes if interval > 1)
    candles.on_venue_bar(venue_bar(at(16), rising(7.0)))
    kept.take()
    assert states(kept, 15) == [(0, 1, REBUILT), (15, 0, 0)]


def test_a_correction_that_changes_no_number_of_a_longer_bar_is_none_there():
    candles = processor()
    candles.on_trades(NATIVE, [trade(one, at(0, one), 100.0) for one in range(1, 400)])
    kept = Kept(candles)
    candles.on_time(at(6))
    kept.take()
    for minute in range(3):
        candles.on_venue_bar(venue_bar(at(minute), numbers(kept.bars[1][at(minute)])))
    assert [(interval, row.revision, row.flags) for interval, row in kept.take()][:4] == [
        (1, 0, REST), (1, 0, REST), (1, 0, REST), (3, 0, REST),
    ]  # fmt: skip
    assert states(kept, 5) == [(0, 0, FINAL), (5, 0, 0)]


def test_a_bar_that_was_final_before_our_time_has_been_corrected_as_often_as_its_minutes():
    candles = processor()
    kept = Kept(candles)
    seeds = [bar(at(minute), rising(100.0), FINAL) for minute in range(-60, 2)]
    candles.seed(NATIVE, 1, bars_of(seeds), at(-60))
    candles.on_venue_bar(venue_bar(at(-9), rising(200.0)))
    kept.take()
    assert states(kept, 1) == [(-9, 1, REST)]
    assert states(kept, 3) == [(-9, 1, FINAL), (0, 0, 0)]
    assert states(kept, 60)[0] == (-60, 1, FINAL)


def test_a_month_goes_from_its_minutes_over_hours_and_days():
    """Through the end of February of a leap year, with all that was before told by seeds."""
    end_ms = 1_709_251_200_000  # 2024-03-01
    candles = processor()
    kept = Kept(candles)
    first = open_of(end_ms - 1, 43_200)
    days = [bar(one, rising(100.0)) for one in range(first - 3 * 24 * HOUR, end_ms - 24 * HOUR, 24 * HOUR)]
    hours = [bar(one, rising(100.0)) for one in range(end_ms - 24 * HOUR, end_ms - HOUR, HOUR)]
    minutes = [bar(one, rising(100.0)) for one in range(end_ms - HOUR, end_ms - 2 * MINUTE, MINUTE)]
    for interval, bars in ((1_440, days), (60, hours), (1, minutes)):
        candles.seed(NATIVE, interval, bars_of(bars))
    candles.on_trades(NATIVE, [trade(1, end_ms - 61_000, 102.0), trade(2, end_ms - 1, 101.0)])
    kept.take()
    assert numbers(kept.bars[43_200][first]).volume == 28 + 23 + 58 + 2
    candles.on_trades(NATIVE, [trade(3, end_ms + 1, 77.0)])
    candles.on_time(end_ms + 5_000)
    kept.take()
    month, new_month = kept.bars[43_200][first], kept.bars[43_200][end_ms]
    assert (month.flags, month.close, month.trades) == (FINAL, 101.0, 5 * (28 + 23 + 58) + 2)
    assert (new_month.flags, new_month.open, new_month.trades) == (0, 77.0, 1)
    # 29 February 2024 is the first of its three days, a Thursday.
    assert [one for one in (1_440, 4_320, 10_080) if end_ms in kept.bars[one]] == [1_440]
    assert kept.bars[4_320][end_ms - 24 * HOUR].close == 77.0


def test_what_is_kept_is_bounded():
    candles = processor()
    for minute in range(3 * 24 * 60):
        candles.on_trades(NATIVE, [trade(minute + 1, at(minute, 1), 100.0)])
        if minute % 3:
            candles.on_venue_bar(venue_bar(at(minute), rising(100.0)))
        candles.on_time(at(minute + 1, 5))
        if minute % 10 == 0:
            candles.take()
    candles.take()
    symbol = candles._symbols[NATIVE]
    sizes = {interval: len(bars.rows) for interval, bars in symbol._finals.items()}
    assert sizes[1] <= 4 * 60
    assert sizes[60] <= 24 + 4
    assert sum(sizes.values()) < 420
    assert len(symbol.minutes._ended) <= 4 * 60
