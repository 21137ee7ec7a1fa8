from contextlib import ExitStack

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.history.blocks import BLOCK_BARS, HELD, Block, block_ms, cut, held_from, is_settled, overlaid
from gateway.history.cache import IDLE_S, SILENT_S, UNHEARD_GOOD_S, BarCache
from protocol.bars import BAR
from protocol.events import Candle, CandleFlag, SeriesKey
from protocol.frames import decode_v2, encode_v2

KEY = SeriesKey(7, 1)
MINUTE_MS = 60_000
END_MS = block_ms(1)
LONG_AFTER_US = (END_MS + 3_600_000) * 1000


def bars(*minutes: int, close: float = 1.0, flags: int = CandleFlag.FINAL, version: int = 1):
    made = np.zeros(len(minutes), BAR)
    made["open_ms"] = np.array(minutes, np.int64) * MINUTE_MS
    made["close"], made["flags"], made["version"] = close, flags, version
    return made


def candles(*minutes: int, close: float = 2.0, symbol_id: int = 7, interval: int = 1):
    rows = [Candle(symbol_id, interval, 1, 0, one * MINUTE_MS, 1, 1, 1, close, 1, 1, 0, 1) for one in minutes]
    return decode_v2(encode_v2(rows, 1)).records


def closes(block: Block) -> dict[int, float]:
    return {int(one["open_ms"]) // MINUTE_MS: float(one["close"]) for one in block.bars()}


def kept(cache: BarCache, block: Block, now_s: float = 0.0, number: int = 0) -> Block:
    with cache.fetching(KEY) as fetch:
        cache.keep(KEY, number, block, fetch, now_s)
    return block


def closed(*minutes: int) -> Block:
    return Block(bars(*minutes), END_MS, LONG_AFTER_US)


def present(*minutes: int, as_of_us: int = 10) -> Block:
    return Block(bars(*minutes), END_MS, as_of_us)


def test_a_changed_bar_replaces_the_one_of_its_opening_and_a_new_one_is_put_in_order():
    cache = BarCache(1_000_000)
    cache.on_candles(candles(9), 11, 0.0)
    block = kept(cache, present(1, 2, 4))
    cache.on_candles(candles(2, 3, 5), 12, 0.0)
    assert closes(block) == {1: 1, 2: 2, 3: 2, 4: 1, 5: 2}
    assert (block.version, block.bars()["open_ms"].tolist()) == (
        12,
        [60_000 * one for one in (1, 2, 3, 4, 5)],
    )


def test_a_present_block_may_be_asked_for_again_now_and_then_and_a_closed_one_never():
    cache = BarCache(1_000_000, 20.0)
    cache.on_candles(candles(9), 11, 0.0)
    kept(cache, present(1, 2))
    assert cache.get(KEY, 0, 19.0, is_live=True)
    assert not cache.get(KEY, 0, 20.0, is_live=True)
    kept(cache, closed(1, 2))
    assert cache.get(KEY, 0, 20.0, is_live=True)


def test_what_the_answer_knew_already_is_not_laid_over_it():
    cache = BarCache(1_000_000)
    block = kept(cache, present(1, as_of_us=12))
    cache.on_candles(candles(1), 12, 0.0)
    assert closes(block) == {1: 1}
    cache.on_candles(candles(1), 13, 0.0)
    assert closes(block) == {1: 2}


def test_a_change_ends_what_is_known_of_the_last_trade():
    cache = BarCache(1_000_000)
    block = kept(cache, Block(bars(1), END_MS, 10, last_id=99))
    assert block.last_id == 99
    cache.on_candles(candles(1), 11, 0.0)
    assert block.last_id == 0


def test_changes_of_other_series_and_other_blocks_are_not_taken_for_ours():
    cache = BarCache(1_000_000)
    block = kept(cache, present(1))
    cache.on_candles(candles(1, symbol_id=8), 11, 0.0)
    cache.on_candles(candles(1, interval=3), 12, 0.0)
    cache.on_candles(candles(1 + BLOCK_BARS), 13, 0.0)
    assert closes(block) == {1: 1}


def test_what_is_announced_while_the_answer_is_on_its_way_is_laid_over_it():
    cache = BarCache(1_000_000)
    block = present(1, as_of_us=11)
    with cache.fetching(KEY) as fetch:
        cache.on_candles(candles(1, close=5), 11, 0.0)
        cache.on_candles(candles(2), 12, 0.0)
        cache.on_candles(candles(2 + BLOCK_BARS), 13, 0.0)
        cache.keep(KEY, 0, block, fetch, 0.0)
    assert closes(block) == {1: 1, 2: 2}


def test_an_answer_during_which_something_may_have_been_missed_is_not_kept():
    cache = BarCache(1_000_000)
    with cache.fetching(KEY) as fetch:
        cache.clear()
        cache.keep(KEY, 0, closed(1), fetch, 0.0)
    assert (len(cache), cache.size_bytes) == (0, 0)


def test_a_closed_block_is_good_without_anybody_being_heard():
    cache = BarCache(1_000_000)
    block = kept(cache, closed(1, 2))
    assert block.is_closed
    assert cache.get(KEY, 0, 1e6, is_live=False) is block


def test_a_present_block_is_good_while_its_symbol_is_heard():
    cache = BarCache(1_000_000)
    cache.on_candles(candles(1), 11, 0.0)
    block = kept(cache, present(1))
    assert cache.get(KEY, 0, SILENT_S, is_live=True) is block
    assert cache.get(KEY, 0, 1.0, is_live=False) is None
    assert cache.get(KEY, 0, SILENT_S + 1, is_live=True) is None


def test_a_present_block_does_not_come_back_with_its_symbol():
    cache = BarCache(1_000_000)
    cache.on_candles(candles(1), 11, 0.0)
    kept(cache, present(1))
    cache.on_candles(candles(1, interval=3), 12, SILENT_S + 1)
    assert cache.get(KEY, 0, SILENT_S + 1, is_live=True) is None


def test_a_present_block_of_a_symbol_that_was_not_heard_is_good_for_a_moment():
    cache = BarCache(1_000_000)
    block = kept(cache, present(1), now_s=5.0)
    assert cache.get(KEY, 0, 5.0, is_live=True) is block
    cache.on_candles(candles(1), 11, 5.1)
    assert cache.get(KEY, 0, 5.0 + UNHEARD_GOOD_S, is_live=True) is None
    assert not block.is_current


def test_a_present_block_that_nobody_reads_is_dropped_with_the_next_change():
    cache = BarCache(1_000_000)
    cache.on_candles(candles(1), 11, 0.0)
    block = kept(cache, present(1))
    cache.get(KEY, 0, 50.0, is_live=True)
    cache.on_candles(candles(1), 12, IDLE_S + 49)
    assert len(cache) == 1
    cache.on_candles(candles(1), 13, IDLE_S + 51)
    assert (len(cache), cache.size_bytes, block.is_current) == (0, 0, False)


def test_full_means_that_those_not_read_for_longest_go():
    cache = BarCache(3 * closed(1).cost_bytes)
    for number in range(3):
        kept(cache, closed(1), number=number)
    cache.get(KEY, 0, 0.0, is_live=False)
    kept(cache, closed(1), number=3)
    assert [cache.get(KEY, number, 0.0, is_live=False) is not None for number in range(4)] == [
        True, False, True, True,
    ]  # fmt: skip
    assert cache.size_bytes <= 3 * closed(1).cost_bytes


def test_a_block_that_comes_again_replaces_the_one_before():
    cache = BarCache(1_000_000)
    first, second = kept(cache, closed(1)), kept(cache, closed(1, 2))
    assert cache.get(KEY, 0, 0.0, is_live=False) is second
    assert (len(cache), cache.size_bytes, first.is_current) == (1, second.cost_bytes, False)


def test_a_block_is_settled_when_all_of_it_is_final_and_its_end_is_past():
    assert is_settled(bars(1, 2), END_MS, LONG_AFTER_US)
    assert is_settled(bars(), END_MS, LONG_AFTER_US)
    assert not is_settled(bars(1, 2), END_MS, END_MS * 1000)
    assert not is_settled(bars(1, flags=0), END_MS, LONG_AFTER_US)


def test_bars_are_cut_into_blocks_of_which_some_are_empty():
    minutes = (BLOCK_BARS - 1, BLOCK_BARS, 3 * BLOCK_BARS - 1)
    parts = cut(bars(*minutes), 1, 0, 3)
    assert {number: (part["open_ms"] // MINUTE_MS).tolist() for number, part in parts.items()} == {
        0: [BLOCK_BARS - 1], 1: [BLOCK_BARS], 2: [3 * BLOCK_BARS - 1], 3: [],
    }  # fmt: skip


minutes = st.integers(0, 30)


@given(st.sets(minutes), st.dictionaries(minutes, st.floats(1, 9), min_size=1))
def test_overlaying_is_a_dictionary_update_in_order(before, changes):
    rows = {
        minute * MINUTE_MS: (minute * MINUTE_MS, 1, 1, 1, close, 1, 1, 1, 0, 1)
        for minute, close in changes.items()
    }
    result = overlaid(held_from(bars(*sorted(before))), rows)
    expected = dict.fromkeys(before, 1.0) | changes
    assert result.dtype == HELD
    assert {int(one["open_ms"]) // MINUTE_MS: one["close"] for one in result} == expected
    assert (np.diff(result["open_ms"]) > 0).all()


@given(
    changes=st.lists(st.tuples(st.integers(0, 5), st.floats(1, 9)), max_size=12),
    asked_at=st.integers(0, 12),
    answered_at=st.integers(0, 12),
    kept_at=st.integers(0, 12),
)
def test_a_block_equals_the_truth_wherever_the_answer_falls_among_the_changes(
    changes, asked_at, answered_at, kept_at
):
    """Asked, answered and kept in this order, while changes go on before, between and after."""
    asked_at, answered_at, kept_at = sorted((asked_at, answered_at, kept_at))
    cache, truth = BarCache(1_000_000), {}
    answer, block = None, None
    with ExitStack() as fetching:
        fetch = None
        for step in range(13):
            if step == asked_at:
                fetch = fetching.enter_context(cache.fetching(KEY))
            if step == answered_at:
                answer = (dict(truth), step)
            if step == kept_at:
                held = bars(*sorted(answer[0]), flags=0)
                held["close"] = [answer[0][minute] for minute in sorted(answer[0])]
                block = Block(held, END_MS, as_of_us=answer[1])
                cache.keep(KEY, 0, block, fetch, 0.0)
            if step < len(changes):
                minute, close = changes[step]
                truth[minute] = close
                cache.on_candles(candles(minute, close=close), step + 1, 0.0)
    assert closes(block) == truth
