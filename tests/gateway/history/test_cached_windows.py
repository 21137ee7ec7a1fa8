"""What a gateway serves out of the cache while the recorder does not answer."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorder_at_the_wire import make_bars, minutes_ago, now_ms

from gateway.cache import keys
from gateway.cache.memory import MemoryCache
from gateway.cache.values import CachedBar, CachedBars, CachedLevel, encode_value
from gateway.history.cached import cut_window
from gateway.history.questions import HistoryUnavailable
from gateway.history.windows import History
from processors.bus import BusAddress, connect
from protocol.bars import Bars, BarsQuery
from protocol.symbols import Instrument, SymbolTable

LISTED = Instrument(id=7, symbol="BTCUSDT", venue="away", native="BTCUSDT", price_precision=2)
MINUTE_MS = 60_000
FIRST_MS = 1_760_000_040_000
COUNT = 500
AS_OF_US = (FIRST_MS + (COUNT - 1) * MINUTE_MS + 30_000) * 1_000
"""In the middle of the last bar."""
FAR_MS = 2**53


def said(bars: Bars, as_of_us: int = AS_OF_US, *, from_beginning: bool = False) -> CachedBars:
    rows = [
        CachedBar(
            int(one["open_ms"]) // 1_000, *(float(one[name]) for name in ("open", "high", "low")), 1.0, 2.0
        )
        for one in bars
    ]
    return CachedBars(as_of_us, from_beginning, rows)


def query(from_ms: int, to_ms: int, countback: int = 0) -> BarsQuery:
    return BarsQuery(
        venue="away", native="BTCUSDT", interval=1, from_ms=from_ms, to_ms=to_ms, countback=countback
    )


BARS = make_bars(FIRST_MS, COUNT, running=True)
minutes = st.integers(-5, COUNT + 5).map(lambda one: FIRST_MS + one * MINUTE_MS)


@given(minutes, minutes, st.integers(0, COUNT + 5), st.booleans())
def test_a_window_is_all_that_is_asked_for_or_nothing(one, other, countback, from_beginning):
    from_ms, to_ms = min(one, other), max(one, other)
    cut = cut_window(said(BARS, from_beginning=from_beginning), query(from_ms, to_ms, countback))
    opens = BARS["open_ms"]
    before = opens[opens < to_ms]
    wanted = before[max(min(int((before < from_ms).sum()), len(before) - countback), 0) :]
    if cut is not None:
        assert cut["open_ms"].tolist() == wanted.tolist()
    is_here = from_beginning or (from_ms >= FIRST_MS and len(before) >= countback)
    is_known = countback > 0 or from_ms * 1_000 <= AS_OF_US
    assert (cut is not None) == (is_here and is_known)


def test_bars_are_final_when_they_have_ended_by_then():
    cut = cut_window(said(BARS), query(FIRST_MS, FAR_MS))
    assert cut is not None
    assert cut["flags"].tolist() == [1] * (COUNT - 1) + [0]


def test_bars_out_of_order_are_none_of_ours():
    assert cut_window(said(BARS[::-1]), query(FIRST_MS, FAR_MS)) is None


def test_no_bars_at_all_are_an_answer_only_where_nothing_was_ever_traded():
    assert cut_window(said(BARS[:0]), query(FIRST_MS, FIRST_MS + MINUTE_MS)) is None
    cut = cut_window(said(BARS[:0], from_beginning=True), query(FIRST_MS, FIRST_MS + MINUTE_MS))
    assert cut is not None
    assert len(cut) == 0


@pytest.fixture
def shared() -> MemoryCache:
    return MemoryCache()


@pytest.fixture
async def history(nats_url: str, shared: MemoryCache) -> AsyncIterator[History]:
    """A gateway's, whose recorder is nowhere."""
    table = SymbolTable()
    table.add(LISTED)
    async with connect(BusAddress([nats_url]), "gateway") as bus:
        one = History(bus, table, shared=shared)
        await one.start()
        yield one


async def leave_bars(shared: MemoryCache, count: int = COUNT) -> CachedBars:
    """Leave the newest bars of a minute ago, as the recorder does."""
    bars = make_bars(minutes_ago(count), count, running=True)
    left = said(bars, (now_ms() - MINUTE_MS) * 1_000)
    await shared.put({keys.bars(LISTED, 1): encode_value(left)}, 60)
    return left


async def test_a_chart_opens_with_what_the_recorder_has_left(history, shared):
    left = await leave_bars(shared)
    window = await history.bars("away", "BTCUSDT", 1, now_ms(), now_ms() + 1, 300)
    assert window.bars["open_ms"].tolist() == [1_000 * one.time for one in left.bars[-300:]]
    assert window.bars["close"].tolist() == [1.0] * 300
    assert (window.as_of_us, window.last_id, window.is_settled) == (left.as_of_us, 0, False)
    assert history.cached.served == 1


async def test_what_it_has_not_left_is_still_refused(history, shared):
    with pytest.raises(HistoryUnavailable):
        await history.bars("away", "BTCUSDT", 1, now_ms(), now_ms() + 1, 300)
    await leave_bars(shared)
    for interval, countback in ((1, COUNT + 1), (60, 10)):
        with pytest.raises(HistoryUnavailable):
            await history.bars("away", "BTCUSDT", interval, now_ms(), now_ms() + 1, countback)
    await shared.put({keys.bars(LISTED, 1): b"nonsense"}, 60)
    with pytest.raises(HistoryUnavailable):
        await history.bars("away", "BTCUSDT", 1, now_ms(), now_ms() + 1, 300)
    assert history.cached.served == 0


async def test_a_level_is_what_the_recorder_said_last(history, shared):
    with pytest.raises(HistoryUnavailable):
        await history.enigma("away", "BTCUSDT")
    level = CachedLevel(50.0, 1.0, 3.0, 2.0, {"0": 1.0, "100": 3.0}, 1, 2, 3, "history", "live")
    await shared.put({keys.enigma(LISTED): encode_value(level)}, 60)
    assert await history.enigma("away", "BTCUSDT") == {
        "level": 50.0,
        "atl": 1.0,
        "ath": 3.0,
        "current_price": 2.0,
        "fib_levels": {"0": 1.0, "100": 3.0},
        "price_us": 1,
        "atl_ms": 2,
        "ath_ms": 3,
        "atl_source": "history",
        "ath_source": "live",
    }
    await shared.put({keys.enigma(LISTED): b'{"level":50.0,"ath":3.0}'}, 60)  # as others may have written it
    with pytest.raises(HistoryUnavailable):
        await history.enigma("away", "BTCUSDT")


async def test_a_recorder_that_answers_is_believed_before_the_cache(nats_url, shared, past):
    instrument = Instrument(
        id=7, symbol="BTCUSDT", venue=past.recorder.venue, native="BTCUSDT", price_precision=2
    )
    await shared.put({keys.bars(instrument, 1): encode_value(said(BARS))}, 60)
    table = SymbolTable()
    table.add(instrument)
    past.recorder.hold("BTCUSDT", 1, make_bars(minutes_ago(99), 100, running=True))
    async with connect(BusAddress([nats_url]), "gateway") as bus:
        history = History(bus, table, shared=shared)
        window = await history.bars(past.recorder.venue, "BTCUSDT", 1, now_ms(), now_ms() + 1, 10)
    assert window.as_of_us == past.recorder.version
