import asyncio
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorder_at_the_wire import MINUTE_MS, make_bars, minutes_ago

from gateway.history import questions
from gateway.history.blocks import BLOCK_BARS, block_ms
from gateway.history.questions import MAX_WINDOW_BARS, HistoryUnavailable, Questions, WindowTooLong
from gateway.history.windows import History, plan_blocks
from processors.bus import BusAddress, connect
from protocol.bars import AnswerState, BarsAnswer, BarsQuery, encode_answer, no_bars
from protocol.events import CandleFlag
from protocol.symbols import Instrument, SymbolTable

SYMBOL = "BTCUSDT"
FAR_MS = 2**53


def opens(window) -> list[int]:
    return window.bars["open_ms"].tolist()


@pytest.fixture
def recorded(past):
    """3,000 minutes up to now, the last one running; and the recorder is heard of it."""

    async def record() -> np.ndarray:
        first_ms = minutes_ago(2_999)
        past.recorder.hold(SYMBOL, 1, make_bars(first_ms, 3_000, running=True))
        bars = past.recorder.series[SYMBOL, 1]
        await past.recorder.announce(SYMBOL, 1, int(bars["open_ms"][-1]), close=float(bars["close"][-1]))
        await past.heard()
        return past.recorder.series[SYMBOL, 1]

    return record


async def test_a_window_is_what_opens_in_it_and_at_least_countback_bars(past, recorded):
    bars = await recorded()
    at = bars["open_ms"]
    for from_ms, to_ms, countback, first, end in (
        (at[10], at[20], 0, 10, 20),
        (at[10], at[20], 5, 10, 20),
        (at[10], at[20], 15, 5, 20),
        (at[10], at[20], 500, 0, 20),
        (at[10] + 1, at[20] + 1, 0, 11, 21),
        (at[20], at[20], 3, 17, 20),
        (at[900], FAR_MS, 0, 900, 3_000),
        (at[2_999], FAR_MS, 2_000, 1_000, 3_000),
        (FAR_MS, FAR_MS, 2, 2_998, 3_000),
        (0, at[0], 10, 0, 0),
        (-(10**15), at[700], 0, 0, 700),
    ):
        window = await past.bars(int(from_ms), int(to_ms), countback)
        assert opens(window) == at[first:end].tolist(), (from_ms, to_ms, countback)
        assert window.bars["close"].tolist() == bars["close"][first:end].tolist()


async def test_what_was_asked_once_is_not_asked_again(past, recorded):
    bars = await recorded()
    at = bars["open_ms"]
    await past.bars(int(at[0]), FAR_MS)
    asked = len(past.recorder.asked)
    for first, end in ((0, 3_000), (5, 9), (1_000, 2_500), (2_998, 3_000)):
        await past.bars(int(at[first]), int(at[end - 1]) + 1)
    await past.bars(FAR_MS, FAR_MS, 300)
    assert len(past.recorder.asked) == asked


async def test_the_running_bar_is_kept_current_without_asking(past, recorded):
    bars = await recorded()
    last_ms = int(bars["open_ms"][-1])
    before = await past.bars(last_ms, FAR_MS, 2)
    asked = len(past.recorder.asked)
    await past.recorder.announce(SYMBOL, 1, last_ms, close=777.0)
    await past.recorder.announce(SYMBOL, 1, last_ms + MINUTE_MS, close=778.0)
    await past.heard()
    after = await past.bars(last_ms, FAR_MS, 2)
    assert after.bars["close"].tolist() == [777.0, 778.0]
    assert after.version > before.version
    assert after.as_of_us == past.recorder.version
    assert len(past.recorder.asked) == asked


async def test_a_correction_of_an_old_bar_replaces_the_cached_one(past, recorded):
    bars = await recorded()
    old_ms = int(bars["open_ms"][3])
    await past.bars(0, FAR_MS)
    await past.recorder.announce(SYMBOL, 1, old_ms, close=555.0, revision=1, flags=CandleFlag.FINAL)
    await past.heard()
    window = await past.bars(old_ms, old_ms + 1)
    assert (window.bars["close"].tolist(), window.bars["revision"].tolist()) == ([555.0], [1])


@pytest.mark.parametrize("cause", ["batch_lost", "began_anew"])
async def test_what_may_have_been_missed_is_asked_for_again(past, recorded, cause):
    bars = await recorded()
    old_ms = int(bars["open_ms"][3])
    await past.bars(old_ms, old_ms + 1)
    silent = past.recorder.change(SYMBOL, 1, old_ms, close=555.0)
    if cause == "batch_lost":
        await past.recorder.publish([silent], lost=True)
    else:
        past.recorder.begin_anew()
    await past.recorder.publish([])
    await past.until(lambda: past.history.clearings == 1)
    window = await past.bars(old_ms, old_ms + 1)
    assert window.bars["close"].tolist() == [555.0]


async def test_a_lost_batch_while_an_answer_is_on_its_way_leaves_nothing_behind(past, recorded):
    bars = await recorded()
    old_ms = int(bars["open_ms"][3])
    past.recorder.gate.clear()
    asking = asyncio.ensure_future(past.bars(old_ms, old_ms + 1))
    await past.until(lambda: past.recorder.asked)
    await past.recorder.publish([], lost=True)
    await past.recorder.publish([])
    await past.until(lambda: past.history.clearings == 1)
    past.recorder.gate.set()
    assert opens(await asking) == [old_ms]
    assert len(past.history.cache) == 0


async def test_a_symbol_that_is_not_heard_is_asked_for_again_and_again(past):
    past.recorder.hold(SYMBOL, 1, make_bars(minutes_ago(9), 10, running=True))
    await past.recorder.publish([])
    await past.bars(FAR_MS, FAR_MS, 2)
    past.recorder.hold(SYMBOL, 1, make_bars(minutes_ago(9), 10, running=True, seed=2))
    truth = past.recorder.series[SYMBOL, 1]["close"][-2:].tolist()

    async with asyncio.timeout(5):
        while (await past.bars(FAR_MS, FAR_MS, 2)).bars["close"].tolist() != truth:
            pass


async def test_the_same_question_is_asked_once_at_a_time(past, recorded):
    await recorded()
    past.recorder.gate.clear()
    asking = [asyncio.ensure_future(past.bars(FAR_MS, FAR_MS, 100)) for _ in range(20)]
    await past.until(lambda: past.recorder.asked)
    past.recorder.gate.set()
    windows = await asyncio.gather(*asking)
    assert len(past.recorder.asked) == 1
    assert {tuple(opens(one)) for one in windows} == {tuple(opens(windows[0]))}


async def test_when_the_one_that_asks_is_cancelled_another_one_asks(past, recorded):
    await recorded()
    past.recorder.gate.clear()
    first, second = (asyncio.ensure_future(past.bars(FAR_MS, FAR_MS, 100)) for _ in range(2))
    await past.until(lambda: past.recorder.asked)
    first.cancel()
    await past.until(lambda: len(past.recorder.asked) == 2)
    past.recorder.gate.set()
    assert len((await second).bars) == 100


async def test_a_thin_series_costs_one_question_more(past):
    """One bar a day, 300 wanted: hundreds of blocks are not walked through."""
    bars = make_bars(minutes_ago(400 * 1_440), 400, 1_440)
    past.recorder.hold(SYMBOL, 1, bars)
    to_ms = int(bars["open_ms"][-1]) + 1
    window = await past.bars(to_ms - 300 * MINUTE_MS, to_ms, 300)
    assert opens(window) == bars["open_ms"][-300:].tolist()
    assert len(past.recorder.asked) <= 3


async def test_before_the_beginning_nothing_is_asked(past, recorded):
    bars = await recorded()
    await past.bars(int(bars["open_ms"][0]), int(bars["open_ms"][9]))
    asked = len(past.recorder.asked)
    window = await past.bars(0, int(bars["open_ms"][0]), 300)
    assert (opens(window), len(past.recorder.asked)) == ([], asked)


async def test_pages_are_put_together(past, recorded):
    bars = await recorded()
    past.recorder.page = 100
    window = await past.bars(int(bars["open_ms"][1_500]), FAR_MS)
    assert opens(window) == bars["open_ms"][1_500:].tolist()
    assert len(past.recorder.asked) > 15


async def test_the_last_trade_is_told_while_the_running_bar_is_as_it_came(past, recorded):
    bars = await recorded()
    past.recorder.last_id = 4_711
    last_ms = int(bars["open_ms"][-1])
    assert (await past.bars(last_ms, FAR_MS)).last_id == 4_711
    assert (await past.bars(last_ms - MINUTE_MS, last_ms)).last_id == 0
    await past.recorder.announce(SYMBOL, 1, last_ms, close=1.0)
    await past.heard()
    assert (await past.bars(last_ms, FAR_MS)).last_id == 0


async def test_a_window_is_settled_when_all_of_it_is_final_and_past(past, recorded):
    at = (await recorded())["open_ms"]
    assert (await past.bars(int(at[5]), int(at[9]))).is_settled
    assert not (await past.bars(int(at[5]), FAR_MS)).is_settled


async def test_a_bus_without_a_recorder_is_said_at_once(nats_url):
    table = SymbolTable()
    table.add(Instrument(id=7, symbol=SYMBOL, venue="nowhere", native=SYMBOL, price_precision=2))
    async with connect(BusAddress([nats_url]), "gateway") as bus:
        history = History(bus, table)
        with pytest.raises(HistoryUnavailable, match=r"nobody answers request\.bars"):
            await history.bars("nowhere", SYMBOL, 1, FAR_MS, FAR_MS, 2)


async def test_a_recorder_that_is_not_heard_is_asked_once(past):
    past.recorder.refuses = -1
    with pytest.raises(HistoryUnavailable, match="being fetched"):
        await past.bars(FAR_MS, FAR_MS, 2)
    assert len(past.recorder.asked) == 1


async def test_a_recorder_that_is_heard_is_asked_again(past, recorded):
    await recorded()
    past.recorder.refuses = 2
    assert len((await past.bars(FAR_MS, FAR_MS, 2)).bars) == 2
    assert len(past.recorder.asked) == 3


async def test_patience_ends(past):
    past.recorder.refuses = -1
    questions = Questions(past.history._bus, is_live=lambda _: True, patience_s=0.3)
    with pytest.raises(HistoryUnavailable, match="being fetched"):
        await questions.bars(BarsQuery(venue=past.recorder.venue, native=SYMBOL, interval=1))
    assert len(past.recorder.asked) > 1


async def test_too_many_that_wait_are_refused(past, recorded, monkeypatch):
    bars = await recorded()
    monkeypatch.setattr(questions, "MAX_WAITING", 0)
    past.recorder.gate.clear()
    whole = block_ms(1)
    asking = [
        asyncio.ensure_future(past.bars(FAR_MS, int(bars["open_ms"][0]) - number * whole, 1))
        for number in range(questions.AT_ONCE + 1)
    ]
    done, _ = await asyncio.wait(asking, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    with pytest.raises(HistoryUnavailable, match="too many"):
        done.pop().result()
    past.recorder.gate.set()
    await asyncio.gather(*asking, return_exceptions=True)


MORE_OF_NOTHING = encode_answer(BarsAnswer(1, 0, AnswerState.MORE, no_bars()))


@pytest.mark.parametrize("raw", [b"?", bytes(23), bytes(25), MORE_OF_NOTHING])
async def test_an_answer_that_makes_no_sense_is_none(past, raw):
    past.recorder.raw = raw
    with pytest.raises(HistoryUnavailable, match="makes no sense"):
        await past.bars(FAR_MS, FAR_MS, 2)


@pytest.mark.parametrize(("field", "value"), [("close", np.nan), ("volume", np.inf), ("open_ms", None)])
async def test_bars_that_are_no_bars_are_no_answer(past, field, value):
    bars = make_bars(minutes_ago(9), 10)
    bars[field][5] = bars[field][4] if value is None else value  # the same opening twice
    past.recorder.hold(SYMBOL, 1, bars)
    with pytest.raises(HistoryUnavailable, match="makes no sense"):
        await past.bars(minutes_ago(20), FAR_MS)


async def test_a_window_that_is_too_long_is_refused_and_not_cut(past):
    count = MAX_WINDOW_BARS + 5_000
    past.recorder.hold(SYMBOL, 1, make_bars(minutes_ago(count - 1), count))
    with pytest.raises(WindowTooLong):
        await past.bars(0, FAR_MS)
    with pytest.raises(WindowTooLong):
        await past.bars(FAR_MS, FAR_MS, MAX_WINDOW_BARS + 1)
    assert len((await past.bars(FAR_MS, FAR_MS, MAX_WINDOW_BARS)).bars) == MAX_WINDOW_BARS


async def test_what_charts_go_on_asking_for_is_wanted(past, recorded):
    at = (await recorded())["open_ms"]
    grown = []
    past.history.on_wanted = lambda: grown.append(past.history.wanted())
    await past.bars(int(at[5]), int(at[9]))
    assert (past.history.wanted(), grown) == (set(), [])
    now_s = int(time.time())
    for _ in range(2):
        await past.bars((now_s - 600) * 1_000, now_s * 1_000, 2)
    assert (past.history.wanted(), grown) == ({7}, [{7}])


async def test_enigma_is_asked_of_the_recorder(past):
    past.recorder.enigma[SYMBOL] = {"level": 50.0}
    assert await past.history.enigma(past.recorder.venue, SYMBOL) == {"level": 50.0}
    with pytest.raises(HistoryUnavailable, match="not known yet"):
        await past.history.enigma(past.recorder.venue, "ETHUSDT")


async def test_every_window_is_the_truth_of_one_moment_not_before_what_it_claims(past, recorded):
    """While bars change, batches are lost and the recorder begins anew, windows are read all the time."""
    bars = await recorded()
    at = bars["open_ms"].tolist()
    rng = np.random.default_rng(5)
    truths = {past.recorder.version: past.recorder.series[SYMBOL, 1]["close"].tolist()}

    reads = 0

    async def change() -> None:
        changes = 0
        while changes < 150 or reads < 20:
            changes += 1
            place = int(rng.choice([3, 1_000, 2_998, 2_999]))
            candle = past.recorder.change(SYMBOL, 1, at[place], close=float(rng.integers(1, 10**6)))
            truths[past.recorder.version] = past.recorder.series[SYMBOL, 1]["close"].tolist()
            await past.recorder.publish([candle], lost=rng.random() < 0.05)
            if rng.random() < 0.02:
                past.recorder.begin_anew()
            await asyncio.sleep(0)

    changing = asyncio.ensure_future(change())
    while not changing.done():
        window = await past.bars(0, FAR_MS)
        read = window.bars["close"].tolist()
        possible = [version for version, closes in truths.items() if closes == read]
        assert possible, "a mixture of two moments"
        assert max(possible) >= window.as_of_us
        reads += 1
        await asyncio.sleep(0)
    await changing


@given(
    st.integers(0, 10**15),
    st.integers(0, 10**15),
    st.integers(0, 2_000),
    st.sampled_from([1, 60, 1_440, 43_200]),
)
def test_planned_blocks_hold_the_window(from_ms, length_ms, countback, interval):
    query = BarsQuery(
        venue="v",
        native="n",
        interval=interval,
        from_ms=from_ms,
        to_ms=from_ms + length_ms,
        countback=countback,
    )
    at_ms = 10**14
    first, last = plan_blocks(query, at_ms)
    right_ms = min(query.to_ms, at_ms + interval * MINUTE_MS)
    assert (last + 1) * block_ms(interval) >= right_ms
    assert first * block_ms(interval) <= max(from_ms, 0)
    assert first * block_ms(interval) <= max(right_ms - countback * interval * MINUTE_MS, 0) or not countback
    assert (
        last - first <= (length_ms // interval // MINUTE_MS + countback) // BLOCK_BARS + 3 or from_ms > at_ms
    )
