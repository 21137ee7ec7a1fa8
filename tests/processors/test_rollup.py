import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trading_days import (
    FINAL,
    HOUR,
    INTERVALS,
    MINUTE,
    NOON,
    REBUILT,
    REST,
    Kept,
    Numbers,
    bar,
    bars_of,
    flat,
    is_close,
    numbers,
    processor,
    rising,
    rolled,
    venue_bar,
)

from processors.bars.bar_row import BarRow
from processors.bars.rollup import roll_up
from protocol.bars import Bars, no_bars
from protocol.intervals import MONTH, next_open

DAY = 24 * HOUR
FIRST = -10 * 365 * DAY
LAST = 131 * 365 * DAY
"""1960 to 2101."""


def rows(bars: Bars) -> list[BarRow]:
    return [BarRow(*one) for one in bars.tolist()]


@st.composite
def minutes(draw: st.DrawFn) -> dict[int, Numbers]:
    """Draw minutes with holes, from some time between 1960 and 2101 on."""
    open_ms = draw(st.integers(FIRST // MINUTE, LAST // MINUTE)) * MINUTE
    drawn = {}
    for _ in range(draw(st.integers(1, 60))):
        open_ms += MINUTE * draw(st.one_of(st.just(1), st.integers(1, 300), st.integers(1, 30_000)))
        price, volume = draw(st.integers(10, 1_000)) / 10, draw(st.integers(0, 9_999)) / 1_000
        drawn[open_ms] = rising(price, volume) if volume else flat(price)
    return drawn


@given(minutes(), st.sampled_from(INTERVALS))
def test_longer_bars_are_what_one_gets_by_hand(drawn: dict[int, Numbers], interval: int):
    longer = rows(roll_up(bars_of(bar(one, drawn[one]) for one in drawn), interval))
    by_hand = rolled(drawn, interval)
    assert [one.open_ms for one in longer] == list(by_hand)
    assert all(is_close(numbers(one), by_hand[one.open_ms]) for one in longer)
    last_ms = max(drawn)
    ended = last_ms + MINUTE == next_open(last_ms, interval)
    assert [one.flags for one in longer] == [REST] * (len(longer) - 1) + [REST if ended else REST - FINAL]


@given(minutes())
def test_it_does_not_matter_over_which_intervals_it_goes(drawn: dict[int, Numbers]):
    bars = bars_of(bar(one, drawn[one]) for one in drawn)
    days = roll_up(roll_up(bars, 60), 1_440, 60)
    months = roll_up(days[(days["flags"] & FINAL) != 0], MONTH, 1_440)
    for one, other in zip(rows(months), rows(roll_up(bars, MONTH)), strict=False):
        if other.flags & FINAL and one.flags & FINAL:
            assert is_close(numbers(one), numbers(other))


@settings(max_examples=20)
@given(st.integers(0, 3 * 1_440), st.lists(st.integers(0, 9), min_size=1, max_size=400))
def test_it_gives_what_the_processor_gives_one_at_a_time(minutes_later: int, steps: list[int]):
    start = NOON + minutes_later * MINUTE
    said = {
        start + n * MINUTE: rising(100.0 + step, step) if step else flat(100.0)
        for n, step in enumerate(steps)
    }
    candles = processor()
    kept = Kept(candles)
    for open_ms, one in said.items():
        candles.on_venue_bar(venue_bar(open_ms, one))
    kept.take()
    bars = bars_of(bar(open_ms, one) for open_ms, one in said.items())
    for interval in INTERVALS:
        # What began before the first minute is not known to be whole.
        batch = [one for one in rows(roll_up(bars, interval)) if one.open_ms >= start and one.flags & FINAL]
        live = [row for _, row in sorted(kept.final(interval).items())]
        assert [one[9:] for one in live] == [one[9:] for one in batch]  # trades, revision, flags
        assert all(is_close(numbers(one), numbers(other)) for one, other in zip(live, batch, strict=True))


@pytest.mark.parametrize(
    ("interval", "opens"),
    [
        (MONTH, ["1972-02-01", "1972-03-01"]),
        (1_440, ["1972-02-28", "1972-02-29", "1972-03-01", "1972-03-02"]),
        (4_320, ["1972-02-26", "1972-02-29"]),
        (10_080, ["1972-02-28"]),  # a Monday
    ],
)
def test_calendars_edges_in_a_leap_year(interval: int, opens: list[str]):
    first, last = (int(np.datetime64(day, "ms").astype(np.int64)) for day in ("1972-02-28", "1972-03-02"))
    bars = bars_of(bar(one, rising(1.0)) for one in range(first, last + DAY, HOUR))
    longer = roll_up(bars, interval, 60)
    assert [str(np.datetime64(one, "ms"))[:10] for one in longer["open_ms"].tolist()] == opens
    assert longer["trades"].sum() == 4 * 24 * 5


def test_one_child_that_is_not_the_venues_word_makes_the_longer_bar_ours():
    three = [bar(NOON + one * MINUTE, rising(1.0), revision=one) for one in range(3)]
    assert rows(roll_up(bars_of(three), 3))[0].flags == REST
    three[1] = three[1]._replace(flags=REBUILT, version=77)
    (longer,) = rows(roll_up(bars_of(three), 3))
    assert (longer.flags, longer.revision, longer.version) == (REBUILT, 2, 77)


def test_nothing_rolls_up_to_nothing_and_the_children_stay_as_they_are():
    assert len(roll_up(no_bars(), 60)) == 0
    bars = bars_of([bar(NOON, rising(1.0)), bar(NOON + MINUTE, rising(2.0))])
    before = bars.tobytes()
    roll_up(bars, 5)
    assert bars.tobytes() == before
