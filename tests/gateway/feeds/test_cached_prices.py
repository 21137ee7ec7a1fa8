"""The newest prices in a real Redis, and the rounds in which they get there."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from redis_servers import RedisServer, fallback, notices, until

from gateway.cache.values import CachedPrice
from gateway.feeds.cached_prices import (
    AT_ONCE,
    LIFE_S,
    REWRITE_S,
    CachedPrices,
    Priced,
    Round,
    Written,
    plan_round,
)
from processors.price import PriceProcessor
from protocol.market import BookTop, DayTicker
from protocol.symbols import Instrument

AT_MS = 1_761_000_000_000


def instrument(symbol_id: int, symbol: str, *, simulated: bool = False) -> Instrument:
    return Instrument(
        id=symbol_id,
        symbol=symbol,
        venue="binance",
        native=symbol,
        price_precision=2,
        quantity_precision=3,
        simulated=simulated,
    )


BTC, ETH = instrument(1, "BTCUSDT"), instrument(2, "ETHUSDT", simulated=True)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    one = RedisServer(tmp_path)
    yield one
    await one.go()


@pytest.fixture
def processor() -> PriceProcessor:
    one = PriceProcessor("binance", 0, epoch_us=1)
    for each in (BTC, ETH):
        one.add_symbol(each.native, each.id)
    return one


def day(processor: PriceProcessor, native: str, price: float, at_ms: int = AT_MS) -> None:
    """Let the venue state a price and the volume of its day."""
    processor.on_event(DayTicker(native, price, 20.0004, at_ms * 1_000), at_ms * 1_000)


def known(cache, processor: PriceProcessor, stream_length: int | None = None) -> CachedPrices:
    prices = CachedPrices(cache, processor, stream_length)
    prices.know([BTC, ETH])
    return prices


async def test_a_price_is_there_as_it_is_promised_and_for_a_while(server, processor):
    redis = await server.come()
    async with fallback(server.address) as cache:
        day(processor, "BTCUSDT", 100.5)
        processor.on_event(BookTop("BTCUSDT", 1, 100.4, 1.0, 100.6, 2.0, 0), AT_MS * 1_000)
        day(processor, "ETHUSDT", 7.25)
        await known(cache, processor).write(0.0)
    assert msgspec.json.decode(await redis.get("price:BTCUSDT")) == {
        "price": 100.5,
        "bid": 100.4,
        "ask": 100.6,
        "volume": 20.0,
        "timestamp": AT_MS,
    }
    assert msgspec.json.decode(await redis.get("price:ETHUSDT")) == {
        "price": 7.25,
        "bid": None,
        "ask": None,
        "volume": 20.0,
        "timestamp": AT_MS,
        "simulated": True,
    }
    assert LIFE_S - 60 < await redis.ttl("price:BTCUSDT") <= LIFE_S


def test_what_is_due_is_what_has_changed_and_what_was_written_long_ago():
    old, new = (CachedPrice(price, None, None, 1.0, AT_MS) for price in (1.0, 2.0))
    is_new, is_changed = Priced(BTC, old), Priced(ETH, new)
    is_same, is_aged = Priced(instrument(3, "SOLUSDT"), old), Priced(instrument(4, "XRPUSDT"), old)
    written = {
        2: Written(old, 100.0),
        3: Written(old, 100.0),
        4: Written(old, 100.0 - REWRITE_S + 1),
    }
    due = plan_round([is_new, is_changed, is_same, is_aged], written, 101.0)
    assert due == Round([is_new, is_changed], [is_aged])


async def test_the_stream_has_changes_and_no_repetitions(server, processor):
    redis = await server.come()
    async with fallback(server.address) as cache:
        prices = known(cache, processor, 1_000)
        day(processor, "ETHUSDT", 7.25)
        await prices.write(0.0)
        await prices.write(1.0)
        await prices.write(REWRITE_S)
        day(processor, "ETHUSDT", 7.5)
        await prices.write(REWRITE_S + 1)
    entries = [entry for _, entry in await redis.xrange("prices")]
    assert [entry[b"price"] for entry in entries] == [b"7.25", b"7.5"]
    assert entries[0] == {
        b"symbol": b"ETHUSDT",
        b"price": b"7.25",
        b"volume": b"20.0",
        b"timestamp": str(AT_MS).encode(),
        b"simulated": b"true",
    }
    assert prices.describe() == {"written": 3, "skipped_rounds": 0}


async def test_a_symbol_that_is_let_go_or_unknown_is_not_written(server, processor):
    redis = await server.come()
    async with fallback(server.address) as cache:
        prices = known(cache, processor)
        processor.add_symbol("NEWUSDT", 9)
        for native in ("BTCUSDT", "ETHUSDT", "NEWUSDT"):
            day(processor, native, 1.0)
        processor.drop_symbol("ETHUSDT")
        await prices.write(0.0)
        assert await redis.keys("price:*") == [b"price:BTCUSDT"]
        prices.know([instrument(9, "NEWUSDT")])
        await prices.write(1.0)
        assert set(await redis.keys("price:*")) == {b"price:BTCUSDT", b"price:NEWUSDT"}


async def test_thousands_of_symbols_go_in_parts(server, processor):
    redis = await server.come()
    many = [instrument(number, f"S{number}USDT") for number in range(10, 10 + 3 * AT_ONCE + 1)]
    async with fallback(server.address) as cache:
        prices = CachedPrices(cache, processor)
        prices.know(many)
        for one in many:
            processor.add_symbol(one.native, one.id)
            day(processor, one.native, float(one.id))
        await prices.write(0.0)
    assert len(await redis.keys("price:*")) == len(many)
    assert prices.describe()["written"] == len(many)


async def test_rounds_without_redis_are_skipped_and_counted_and_then_all_is_written(server, processor):
    await server.come()
    async with fallback(server.address) as cache:
        prices = known(cache, processor)
        day(processor, "BTCUSDT", 100.5)
        await prices.write(0.0)
        await server.go()
        await notices(cache)
        day(processor, "BTCUSDT", 101.0)
        for second in (1.0, 2.0):
            await prices.write(second)
        assert prices.describe() == {"written": 1, "skipped_rounds": 2}
        assert await cache.get("price:BTCUSDT") is None  # nobody would read it in this process's memory
        redis = await server.come()
        await until(lambda: not cache.is_down)
        await prices.write(3.0)
        assert msgspec.json.decode(await redis.get("price:BTCUSDT"))["price"] == 101.0


async def test_a_full_redis_costs_rounds_and_leaves_no_old_price(server, processor):
    redis = await server.come()
    async with fallback(server.address) as cache:
        prices = known(cache, processor)
        day(processor, "BTCUSDT", 100.5)
        await prices.write(0.0)
        await redis.config_set("maxmemory", 1)
        day(processor, "BTCUSDT", 101.0)
        await prices.write(1.0)
        assert prices.describe() == {"written": 1, "skipped_rounds": 1}
        assert await redis.get("price:BTCUSDT") is None


async def test_a_slow_redis_costs_rounds_and_nothing_piles_up(server, processor, monkeypatch):
    monkeypatch.setattr("gateway.feeds.cached_prices.ROUND_S", 0.02)
    redis = await server.come()
    async with fallback(server.address, timeout_s=10) as cache:
        prices = known(cache, processor)
        day(processor, "BTCUSDT", 100.5)
        await redis.client_pause(200)
        running = asyncio.create_task(prices.run())
        await until(lambda: prices.describe()["skipped_rounds"] > 1)
        assert prices.describe()["written"] == 1
        running.cancel()
        await asyncio.wait([running])
