"""Prices of symbols that nobody watches, asked for one by one."""

import asyncio
import time

import pytest

from gateway.api import asked_prices
from gateway.api.asked_prices import YOUNG_S, AskedPrices
from gateway.cache import keys
from gateway.cache.memory import MemoryCache
from gateway.cache.values import CachedPrice, encode_value
from gateway.ws.fanout import Fanout
from protocol.events import Kind, Price
from protocol.frames import decode_v2, encode_v2
from protocol.symbols import Instrument, SymbolTable

SYMBOL = Instrument(id=7, symbol="BTCUSDT", venue="binance", native="BTCUSDT", price_precision=2)
ENDED = Instrument(
    id=8, symbol="OLDUSDT", venue="binance", native="OLDUSDT", price_precision=2, is_active=False
)
LONG_S = 20.0
"""No test waits for so long."""


@pytest.fixture
def fanout() -> Fanout:
    return Fanout(SymbolTable())


@pytest.fixture
def cache() -> MemoryCache:
    return MemoryCache()


def trade(fanout: Fanout, price: float, *, age_s: float = 0.0, symbol_id: int = SYMBOL.id) -> None:
    at_us = time.time_ns() // 1_000 - round(age_s * 1e6)
    frame = encode_v2([Price(symbol_id, 0, 0, price, 5.0)], at_us, Kind.PRICE)
    fanout.tables[Kind.PRICE].update(decode_v2(frame))


async def keep(cache: MemoryCache, price: float, *, age_s: float = 0.0) -> None:
    timestamp = time.time_ns() // 1_000_000 - round(age_s * 1_000)
    value = encode_value(CachedPrice(price, 1.0, 2.0, 5.0, timestamp, simulated=True))
    await cache.put({keys.price(SYMBOL): value}, 300)


async def soon(prices: AskedPrices, instrument: Instrument = SYMBOL) -> dict:
    """Ask; return what the answer says, nothing if there is none."""
    async with asyncio.timeout(LONG_S / 2):
        return await prices.newest(instrument) or {}


async def test_a_price_that_is_young_is_answered_at_once(fanout):
    trade(fanout, 100.0)
    prices = AskedPrices(fanout, wait_s=LONG_S)
    answer = await soon(prices)
    assert (answer["price"], answer["symbol"]) == (100.0, "BTCUSDT")
    assert prices.wanted() == {SYMBOL.id}


@pytest.mark.parametrize("known_age_s", [None, YOUNG_S + 1])
async def test_whoever_asks_for_a_symbol_that_nobody_carries_gets_its_first_price(fanout, known_age_s):
    if known_age_s:
        trade(fanout, 1.0, age_s=known_age_s)
    prices = AskedPrices(fanout, wait_s=LONG_S)
    prices.on_wanted = lambda: trade(fanout, 100.0)
    answer = await soon(prices)
    assert answer["price"] == 100.0


async def test_many_who_ask_for_the_same_want_it_once(fanout):
    wanted: asyncio.Queue[int] = asyncio.Queue()
    prices = AskedPrices(fanout, wait_s=LONG_S)
    prices.on_wanted = lambda: wanted.put_nowait(1)
    asking = asyncio.gather(*(soon(prices) for _ in range(20)))
    await wanted.get()
    trade(fanout, 100.0)
    assert {answer["price"] for answer in await asking} == {100.0}
    assert wanted.empty()


async def test_without_a_first_price_the_cache_is_asked(fanout, cache):
    await keep(cache, 55.5)
    answer = await soon(AskedPrices(fanout, cache, wait_s=0.01))
    assert answer["timestamp"] > 0
    del answer["timestamp"]
    assert answer == {
        "symbol": "BTCUSDT", "name": "BINANCE:BTCUSDT", "price": 55.5, "bid": 1.0, "ask": 2.0, "volume": 5.0,
        "simulated": True,
    }  # fmt: skip


async def test_what_is_old_in_the_cache_is_no_price(fanout, cache):
    await keep(cache, 55.5, age_s=YOUNG_S + 1)
    assert await soon(AskedPrices(fanout, cache, wait_s=0.01)) == {}


async def test_what_is_no_price_in_the_cache_is_none(fanout, cache):
    await cache.put({keys.price(SYMBOL): b'{"price": "high"}'}, 300)
    assert await soon(AskedPrices(fanout, cache, wait_s=0.01)) == {}


async def test_a_quiet_symbol_is_waited_for_once(fanout, monkeypatch):
    trade(fanout, 1.0, age_s=3_600)
    prices = AskedPrices(fanout, wait_s=0.01)
    first = await soon(prices)
    assert first["price"] == 1.0
    looked = []
    monkeypatch.setattr(prices, "_until_changed", looked.append)  # it would wait again
    assert await soon(prices) == first
    assert looked == []


async def test_nothing_is_waited_for_that_is_not_traded(fanout):
    prices = AskedPrices(fanout, wait_s=LONG_S)
    assert await soon(prices, ENDED) == {}
    trade(fanout, 9.0, age_s=86_400, symbol_id=ENDED.id)
    answer = await soon(prices, ENDED)
    assert answer["price"] == 9.0
    assert prices.wanted() == set()


async def test_more_than_may_be_wanted_are_answered_as_they_are(fanout, monkeypatch):
    monkeypatch.setattr(asked_prices, "MOST_WANTED", 1)
    prices = AskedPrices(fanout, wait_s=LONG_S)
    trade(fanout, 100.0)
    await soon(prices)
    other = Instrument(id=9, symbol="ETHUSDT", venue="binance", native="ETHUSDT", price_precision=2)
    assert await soon(prices, other) == {}
    assert prices.wanted() == {SYMBOL.id}


async def test_who_has_not_asked_for_a_while_wants_nothing_any_more(fanout, monkeypatch):
    trade(fanout, 100.0)
    prices = AskedPrices(fanout, wait_s=LONG_S)
    await soon(prices)
    monkeypatch.setattr(asked_prices, "WANTED_S", -1.0)
    assert prices.wanted() == set()
