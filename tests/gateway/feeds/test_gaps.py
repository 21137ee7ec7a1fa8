"""The gap detectors: by hand, by chance, and on what Binance really sent."""

import gzip
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchanges.binance import COINM, SPOT, USDM, Binance
from gateway.feeds.gaps import RESET_US, BarGaps, Finding, IdGaps, Range, RisingIds, size
from protocol.market import BookTop, RawTrade

CAPTURES = Path(__file__).parents[4] / "shared" / "data" / "binance-ws"
captured = pytest.mark.skipif(not CAPTURES.exists(), reason=f"captured messages are not there: {CAPTURES}")
FILES = [
    ("spot-btcusdt-20240808.gz", SPOT),
    ("spot-btcusdt-20240809.gz", SPOT),
    ("usdm-btcusdt-20240808.gz", USDM),
    ("coinm-btcusd_perp-20240808.gz", COINM),
]


def ranges_of(ids: set[int]) -> list[Range]:
    """Write a set of ids as ranges, the slow way."""
    ranges: list[Range] = []
    for one in sorted(ids):
        if ranges and ranges[-1][1] == one - 1:
            ranges[-1] = (ranges[-1][0], one)
        else:
            ranges.append((one, one))
    return ranges


def see_all(ids: list[int], last_id: int = 0) -> tuple[IdGaps, list[Finding]]:
    gaps = IdGaps(last_id)
    return gaps, [gaps.see(one) for one in ids]


# Ids


def test_contiguous_ids_have_no_gap():
    gaps, findings = see_all(list(range(7, 20)))
    assert gaps.holes == []
    assert set(findings) == {Finding.NEXT}


def test_the_first_id_is_a_beginning_and_not_a_gap():
    assert see_all([1_000_000])[0].holes == []


def test_after_a_known_id_the_first_one_shows_what_was_missed():
    assert see_all([15], last_id=10)[0].holes == [(11, 14)]


def test_a_jump_names_exactly_what_is_missing():
    gaps, findings = see_all([1, 2, 6, 7, 9])
    assert gaps.holes == [(3, 5), (8, 8)]
    assert findings[2] is Finding.JUMP


def test_a_missing_id_that_comes_splits_or_closes_its_hole():
    gaps, _ = see_all([1, 6])
    assert gaps.see(4) is Finding.FILL
    assert gaps.holes == [(2, 3), (5, 5)]
    assert [gaps.see(one) for one in (5, 2, 3)] == [Finding.FILL] * 3
    assert gaps.holes == []


def test_what_was_here_before_is_known():
    gaps, _ = see_all([5, 6, 9])
    assert [gaps.see(one) for one in (4, 5, 6, 9)] == [Finding.KNOWN] * 4


def test_what_was_given_up_is_known_when_it_comes_after_all():
    gaps, _ = see_all([1, 10])
    gaps.forget(3, 5)
    assert gaps.holes == [(2, 2), (6, 9)]
    assert gaps.see(4) is Finding.KNOWN


def test_what_is_missing_of_a_range():
    gaps, _ = see_all([1, 5, 10])
    assert gaps.missing(3, 7) == [(3, 4), (6, 7)]
    assert size(gaps.missing(0, 99)) == 7


@given(st.integers(1, 1_000), st.lists(st.integers(0, 60), max_size=80))
def test_in_any_order_the_holes_are_exactly_what_has_not_come(start: int, steps: list[int]):
    gaps = IdGaps(start)
    seen = {start}
    for step in steps:
        finding = gaps.see(start + step)
        assert (finding is Finding.KNOWN) == (start + step in seen)
        seen.add(start + step)
        assert gaps.holes == ranges_of(set(range(start, max(seen))) - seen)
        assert gaps.last_id == max(seen)


# Update ids and bars


def test_an_older_update_is_stale_and_a_skipped_number_is_nothing():
    ids = RisingIds()
    stale = [ids.is_stale(one, 0) for one in (5, 9, 9, 8, 1_000)]
    assert stale == [False, False, True, True, False]


def test_updates_that_are_old_for_long_are_a_new_beginning():
    ids = RisingIds()
    assert not ids.is_stale(9_000, 0)
    assert ids.is_stale(1, RESET_US - 1)
    assert not ids.is_stale(2, RESET_US)
    assert not ids.is_stale(3, RESET_US)
    assert ids.is_stale(2, RESET_US)


def test_a_minute_without_its_bar_is_named():
    bars = BarGaps(60_000)
    opens = [60_000, 120_000, 300_000, 300_000, 240_000, 360_000]
    assert [bars.see(one) for one in opens] == [None, None, (180_000, 240_000), None, None, None]


@given(st.sets(st.integers(1, 300), min_size=1))
def test_the_bars_left_out_are_exactly_those_that_did_not_come(minutes: set[int]):
    bars = BarGaps(60_000)
    found = [gap for one in sorted(minutes) if (gap := bars.see(one * 60_000))]
    missing = set(range(min(minutes), max(minutes))) - minutes
    assert found == [(first * 60_000, last * 60_000) for first, last in ranges_of(missing)]


# Captured streams


def read(name: str, market: Binance, kind: type) -> list:
    with gzip.open(CAPTURES / name) as lines:
        messages = (line.split(b" ", 1)[1].rstrip() for line in lines)
        events = (market.parse(one) for one in messages if b'"lastUpdateId"' not in one[:20])
        return [one for one in events if isinstance(one, kind)]


@captured
@pytest.mark.parametrize(("name", "market"), FILES)
def test_captured_trades_have_no_gap_whatever_their_silences(name: str, market: Binance):
    gaps, findings = see_all([one.id for one in read(name, market, RawTrade)])
    assert gaps.holes == []
    assert set(findings) == {Finding.NEXT}


@captured
@pytest.mark.parametrize(("name", "market"), FILES)
def test_deleted_doubled_and_swapped_lines_are_named_exactly(name: str, market: Binance):
    ids = [one.id for one in read(name, market, RawTrade)]
    chance = random.Random(name)
    deleted = set(chance.sample(ids[1:-1], 50)) | set(ids[100:140])
    damaged = [one for one in ids if one not in deleted]
    for place in chance.sample(range(1, len(damaged) - 1), 50):
        damaged[place], damaged[place + 1] = damaged[place + 1], damaged[place]
    doubled = chance.sample(damaged, 50)
    for one in doubled:
        damaged.insert(chance.randint(damaged.index(one) + 1, len(damaged)), one)
    gaps, findings = see_all(damaged)
    assert gaps.holes == ranges_of(deleted)
    assert findings.count(Finding.KNOWN) == len(doubled)


@captured
@pytest.mark.parametrize(("name", "market"), FILES)
def test_captured_books_are_never_stale_and_a_swapped_one_is(name: str, market: Binance):
    ids = [one.update_id for one in read(name, market, BookTop)]
    rising = RisingIds()
    assert not any(rising.is_stale(one, 0) for one in ids)
    ids[10], ids[11] = ids[11], ids[10]
    again = RisingIds()
    assert [place for place, one in enumerate(ids) if again.is_stale(one, 0)] == [11]
