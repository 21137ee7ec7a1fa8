"""A stream that says whose it is, and what it hears of that user's market watch."""

import asyncio
from contextlib import aclosing

import pytest

from clients.connections import Patience
from clients.errors import NotConnected
from clients.stream import Stream
from clients.updates import Connected, StreamPrice
from protocol.control import (
    AutoSubscribe,
    AutoUnsubscribe,
    MarketWatchAdd,
    MarketWatchOrder,
    MarketWatchRemove,
    MarketWatchSubscribe,
    WatchChange,
)
from protocol.standing import Standing

HASTY = Patience(open_s=2.0, close_s=0.2, first_retry_s=0.01, max_retry_s=0.02)


@pytest.fixture(autouse=True)
def logged_in(gateway):
    gateway.standing = Standing(user="ann", has_market_watch=True)


async def opened(gateway):
    """Wait for the next client."""
    async with asyncio.timeout(10):
        return await gateway.opened.get()


async def test_a_token_is_shown_on_every_connection(gateway):
    async with Stream(gateway.url, token="tg_0_secret", patience=HASTY):
        first = await opened(gateway)
        first.abort()
        second = await opened(gateway)
    assert first.authorization == second.authorization == "Bearer tg_0_secret"


async def test_without_one_nothing_is_shown(gateway):
    async with Stream(gateway.url, patience=HASTY):
        assert (await opened(gateway)).authorization is None


async def test_prices_of_the_market_watch_come_without_being_asked_for(gateway):
    stream = Stream(gateway.url, token="a", patience=HASTY)
    async with stream, asyncio.timeout(10), aclosing(stream.items()) as items:
        peer = await opened(gateway)
        peer.market_watch("BTCUSDT")
        peer.price(1, 7.0)
        peer.market_watch("ETHUSDT")
        seen = [await anext(items) for _ in range(5)]
    assert isinstance(seen[0], Connected)
    assert seen[1] == MarketWatchSubscribe(["BTCUSDT"])
    prices = [one for one in seen if isinstance(one, StreamPrice)]
    assert [(one.symbol, one.price) for one in prices] == [("BTCUSDT", 7.0)]
    changes = [one for one in seen[2:] if not isinstance(one, StreamPrice)]
    assert changes == [AutoUnsubscribe(WatchChange("BTCUSDT")), AutoSubscribe(WatchChange("ETHUSDT"))]


async def test_the_market_watch_can_be_changed(gateway):
    stream = Stream(gateway.url, token="a", patience=HASTY)
    async with stream, asyncio.timeout(10), aclosing(stream.items()) as items:
        assert isinstance(await anext(items), Connected)
        await stream.market_watch_add("BTCUSDT")
        await stream.market_watch_order(["ETHUSDT", "BTCUSDT"])
        await stream.market_watch_remove(["ETHUSDT"])
        peer = await opened(gateway)
        await peer.heard_back()
    btc, eth = "BINANCE:BTCUSDT", "BINANCE:ETHUSDT"
    assert peer.edits == [MarketWatchAdd([btc]), MarketWatchOrder([eth, btc]), MarketWatchRemove([eth])]


async def test_a_change_is_not_kept_for_a_connection_that_may_come(gateway):
    stream = Stream(gateway.url, token="a", patience=HASTY)
    with pytest.raises(NotConnected):
        await stream.market_watch_add("BTCUSDT")
