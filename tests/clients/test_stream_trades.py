"""Trades through the asyncio client: every one once, resumed after a break, and never left out."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from clients.backlog import MAX_TRADES
from clients.connections import Patience
from clients.stream import Stream
from clients.updates import Item, StreamGap, StreamPrice, StreamTrade
from protocol.events import GapState, TradeFlag

HASTY = Patience(open_s=2.0, close_s=0.2, first_retry_s=0.01, max_retry_s=0.02)


def stream_of(gateway: Any, **options: Any) -> Stream:
    return Stream(gateway.url, "BTCUSDT", kinds=("trade",), patience=HASTY, **options)


async def take(items: AsyncGenerator[Item, None], count: int) -> list[StreamTrade | StreamGap]:
    """Read so many trades and gaps."""
    taken: list[StreamTrade | StreamGap] = []
    async with asyncio.timeout(10):
        while len(taken) < count:
            item = await anext(items)
            if isinstance(item, StreamTrade | StreamGap):
                taken.append(item)
    return taken


def ids(items: list[StreamTrade | StreamGap]) -> list[int]:
    return [item.id for item in items if isinstance(item, StreamTrade)]


async def test_a_trade_carries_all_that_the_gateway_said_of_it(gateway):
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        (await gateway.peer()).trades(7, flags=TradeFlag.TAKER_SOLD | TradeFlag.RECOVERED)
        [trade] = await take(items, 1)
    assert isinstance(trade, StreamTrade)
    assert (trade.symbol, trade.id, trade.price, trade.quantity, trade.count) == ("BTCUSDT", 7, 100.0, 1.0, 1)
    assert (trade.taker_sold, trade.recovered, trade.simulated) == (True, True, True)
    assert (trade.exchange_us, trade.sent_us) == (7_000, gateway.time_us)


async def test_after_a_break_it_asks_for_what_follows_the_last_trade(gateway):
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        peer = await gateway.peer()
        assert peer.since == {}
        peer.trades(7, 8)
        await take(items, 2)
        peer.abort()
        peer = await gateway.peer()
        assert peer.since == {1: 8}
        peer.trades(9)
        assert ids(await take(items, 1)) == [9]


async def test_it_goes_on_from_a_trade_of_another_time(gateway):
    async with stream_of(gateway, since={"btcusdt": 40}) as stream:
        assert (await gateway.peer()).since == {1: 40}
        await stream.unsubscribe("BTCUSDT")
        await stream.subscribe("BTCUSDT", since={"BTCUSDT": 50})
        await gateway.peers[-1].heard_back()
        assert gateway.peers[-1].since == {1: 50}


async def test_a_gap_stands_between_the_trades(gateway):
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        peer = await gateway.peer()
        peer.trades(1)
        peer.gap(GapState.LOST, 2, 3)
        peer.trades(4)
        first, gap, second = await take(items, 3)
    assert ids([first, second]) == [1, 4]
    assert isinstance(gap, StreamGap)
    assert (gap.symbol, gap.state, gap.first_id, gap.last_id) == ("BTCUSDT", GapState.LOST, 2, 3)
    assert gap.explained


async def test_a_jump_that_nobody_explained_is_reported_and_asked_for_again(gateway):
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        peer = await gateway.peer()
        peer.trades(1, 5)
        _, gap, _ = await take(items, 3)
        assert isinstance(gap, StreamGap)
        assert (gap.first_id, gap.last_id, gap.explained) == (2, 4, False)
        peer.abort()
        peer = await gateway.peer()
        assert peer.since == {1: 1}
        peer.trades(2, 3, 4, 5, 6)
        assert ids(await take(items, 4)) == [2, 3, 4, 6]
    assert (stream.stats.unexplained_gaps, stream.stats.doubled_trades, stream.stats.trades) == (1, 1, 6)


async def test_plain_iteration_yields_trades_and_logs_gaps(gateway, caplog):
    async with stream_of(gateway) as stream:
        peer = await gateway.peer()
        peer.gap(GapState.LOST, 2, 3)
        peer.trades(4)
        async with asyncio.timeout(10), aclosing(aiter(stream)) as updates:
            assert isinstance(await anext(updates), StreamTrade)
    assert any("StreamGap" in record.getMessage() for record in caplog.records)


async def test_a_slow_reader_gets_every_trade_and_holds_the_socket_up(gateway):
    total = 3 * MAX_TRADES
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        peer = await gateway.peer()
        for first in range(1, total, 500):
            peer.trades(*range(first, first + 500))
        [trade] = await take(items, 1)
        async with asyncio.timeout(10):
            while not stream._intake.backlog.is_full:
                await asyncio.wait_for(stream._intake.arrived.wait(), 10)
                stream._intake.arrived.clear()
        assert len(stream._intake.backlog) < MAX_TRADES + 500
        assert ids([trade, *await take(items, total - 1)]) == list(range(1, total + 1))


async def test_prices_and_trades_come_side_by_side(gateway):
    async with Stream(gateway.url, "BTCUSDT", kinds=("price", "trade"), patience=HASTY) as stream:
        peer = await gateway.peer()
        peer.trades(1)
        peer.price(1, 5.0)
        async with asyncio.timeout(10), aclosing(aiter(stream)) as updates:
            assert isinstance(await anext(updates), StreamTrade)
            assert isinstance(await anext(updates), StreamPrice)
