"""What the recorder leaves in a real Redis, and when."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from recorder_at_the_wire import make_bars
from redis_servers import RedisServer, fallback, notices, until

from gateway.recorder import cached_history
from gateway.recorder.cached_history import (
    ASKED_S,
    BARS,
    BARS_LIFE_S,
    LEVELS_EVERY_S,
    LEVELS_REWRITE_S,
    REWRITE_S,
    CachedHistory,
)
from gateway.recorder.memory import Memory
from gateway.recorder.recording import Recording
from gateway.recorder.versions import VersionClock
from gateway.store.history import StoreDown
from processors.bars.bar_row import BarRow
from protocol.bars import BAR, AnswerState, BarsAnswer, BarsQuery, Series
from protocol.events import Trade
from protocol.symbols import Instrument, SymbolTable

FIRST_MS = 1_760_000_040_000
SERIES = Series("binance", "BTCUSDT", 1)
HOURS = Series("binance", "BTCUSDT", 60)


class Past:
    """A recorder's answers out of 600 bars."""

    def __init__(self) -> None:
        self.bars = make_bars(FIRST_MS, 600, running=True)
        self.as_of_us = 1_000
        self.asked: list[BarsQuery] = []
        self.is_away = False

    async def answer(self, query: BarsQuery) -> BarsAnswer:
        self.asked.append(query)
        if self.is_away:
            raise StoreDown("the store is away")
        self.as_of_us += 1
        found = self.bars[-query.countback :]
        state = AnswerState.BEGINNING if len(found) == len(self.bars) else AnswerState(0)
        return BarsAnswer(self.as_of_us, 0, state, found)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    one = RedisServer(tmp_path)
    await one.come()
    yield one
    await one.go()


@pytest.fixture
async def cache(server: RedisServer):
    async with fallback(server.address) as one:
        yield one


@pytest.fixture
def symbols() -> SymbolTable:
    table = SymbolTable()
    listed = Instrument(
        id=7, symbol="BTCUSDT", venue="binance", native="BTCUSDT", price_precision=2, quantity_precision=3
    )
    table.add(listed)
    return table


@pytest.fixture
def recording() -> Recording:
    one = Recording("binance", Memory(), VersionClock(1), enigma=True)
    one.add_symbol("BTCUSDT", 7)
    return one


@pytest.fixture
def past() -> Past:
    return Past()


@pytest.fixture
def cached(cache, recording, symbols, past) -> CachedHistory:
    return CachedHistory(cache, {"binance": recording}, symbols, past.answer)


async def read(cache, key: str):
    payload = await cache.get(key)
    return None if payload is None else msgspec.json.decode(payload)


async def test_the_newest_bars_of_a_series_that_is_asked_for_are_there_as_promised(cache, cached, past):
    past.bars["volume"][-1] = 1.23449999
    cached.on_asked(SERIES)
    await cached.write(0.0)
    kept = await read(cache, "cache:bars:BTCUSDT:1m")
    assert (kept["as_of_us"], kept["from_beginning"], len(kept["bars"])) == (past.as_of_us, False, BARS)
    last = past.bars[-1]
    assert kept["bars"][-1] == {
        "time": int(last["open_ms"]) // 1_000,
        "open": float(last["open"]),
        "high": float(last["high"]),
        "low": float(last["low"]),
        "close": float(last["close"]),
        "volume": 1.234,
    }
    [query] = past.asked
    assert (query.series, query.from_ms == query.to_ms, query.countback) == (SERIES, True, BARS)


async def test_bars_do_not_outlive_the_recorder_for_long(server, cached):
    cached.on_asked(SERIES)
    await cached.write(0.0)
    redis = server.client
    assert 0 < await redis.ttl("cache:bars:BTCUSDT:1m") <= BARS_LIFE_S


async def test_a_short_history_says_that_nothing_is_before_it(cache, cached, past):
    past.bars = make_bars(FIRST_MS, 3)
    cached.on_asked(SERIES)
    await cached.write(0.0)
    assert (await read(cache, "cache:bars:BTCUSDT:1m"))["from_beginning"] is True


async def test_bars_are_written_when_one_is_final_and_now_and_then(cached, past):
    cached.on_asked(SERIES)
    await cached.write(0.0)
    await cached.write(1.0)
    assert len(past.asked) == 1
    cached.on_final(SERIES)
    cached.on_final(HOURS)  # nobody asks for them
    await cached.write(2.0)
    assert len(past.asked) == 2
    await cached.write(2.0 + REWRITE_S)
    assert len(past.asked) == 3


async def test_what_nobody_asks_for_any_more_is_written_no_more(cached, past, monkeypatch):
    at_s = 1_000.0
    monkeypatch.setattr(cached_history.time, "monotonic", lambda: at_s)
    cached.on_asked(SERIES)
    at_s += ASKED_S
    cached.on_asked(HOURS)
    await cached.write(at_s + 1)
    assert [query.series for query in past.asked] == [HOURS]
    assert cached.describe()["series"] == 1


async def test_of_too_many_series_the_one_asked_for_longest_ago_goes(cached, past, monkeypatch):
    monkeypatch.setattr(cached_history, "MOST_SERIES", 2)
    for interval in (1, 3, 5):
        cached.on_asked(Series("binance", "BTCUSDT", interval))
    await cached.write(0.0)
    assert [query.interval for query in past.asked] == [3, 5]


async def test_bars_that_cannot_be_read_now_are_tried_again_later(cache, cached, past):
    past.is_away = True
    cached.on_asked(SERIES)
    await cached.write(0.0)
    await cached.write(1.0)
    assert len(past.asked) == 1
    past.is_away = False
    await cached.write(REWRITE_S)
    assert await read(cache, "cache:bars:BTCUSDT:1m")


def life() -> np.ndarray:
    rows = [BarRow(FIRST_MS, 1, 30.0, 100.0, 20.0, 60.0, 1.0, 60.0, 1.0, 1, 0, 1)]
    return np.array(rows, BAR)


def trade(price: float, at_ms: int) -> Trade:
    return Trade(7, 0, 1, at_ms, at_ms * 1_000, price, 1.0)


async def test_a_level_is_there_once_it_is_known_and_follows_the_price(cache, cached, recording):
    await cached.write(0.0)
    assert await read(cache, "enigma:BTCUSDT") is None
    recording.enigma.seed("BTCUSDT", life())
    await cached.write(1.0)
    assert await read(cache, "enigma:BTCUSDT") is None  # not every round
    await cached.write(LEVELS_EVERY_S)
    known = await read(cache, "enigma:BTCUSDT")
    assert (known["level"], known["atl"], known["ath"]) == (50.0, 20.0, 100.0)
    assert known == recording.enigma.describe("BTCUSDT")
    recording.on_trades("BTCUSDT", [trade(100.0, FIRST_MS + 60_000)])
    await cached.write(2 * LEVELS_EVERY_S)
    assert (await read(cache, "enigma:BTCUSDT"))["level"] == 100.0


async def test_a_level_that_stands_still_is_written_seldom(cached, recording):
    recording.enigma.seed("BTCUSDT", life())
    for at_s in (0.0, LEVELS_EVERY_S, LEVELS_REWRITE_S):
        await cached.write(at_s)
    assert cached.describe()["written"] == 2


async def test_rounds_without_redis_are_skipped_and_counted_and_then_all_is_written(
    server, cache, cached, recording, past
):
    recording.enigma.seed("BTCUSDT", life())
    cached.on_asked(SERIES)
    await cached.write(0.0)
    await server.go()
    await notices(cache)
    cached.on_final(SERIES)
    await cached.write(1.0)
    await cached.write(2.0)
    assert len(past.asked) == 1  # the store is not read for nothing
    assert cached.describe() == {"written": 2, "skipped_rounds": 2, "series": 1}
    await server.come()
    await until(lambda: not cache.is_down)
    await cached.write(3.0)
    assert await read(cache, "cache:bars:BTCUSDT:1m")
    assert await read(cache, "enigma:BTCUSDT")
