"""Compact prices through the asyncio client: the updates of prices, without what they do not say."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from clients.connections import Patience
from clients.stream import Stream
from clients.updates import Disconnected, Item, StreamPrice
from protocol.errors import CloseCode
from protocol.events import Base, Compact
from protocol.frames import encode_v2

HASTY = Patience(open_s=2.0, close_s=0.2, first_retry_s=0.01, max_retry_s=0.02)


def stream_of(gateway: Any) -> Stream:
    return Stream(gateway.url, ["BTCUSDT", "ETHUSDT"], kinds=("compact",), patience=HASTY)


async def next_of(items: AsyncGenerator[Item, None], wanted: type[Item]) -> Any:
    async with asyncio.timeout(10):
        while True:
            item = await anext(items)
            if isinstance(item, wanted):
                return item


async def test_a_compact_price_is_a_price_without_times_and_counts(gateway):
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        peer = await gateway.peer()
        assert peer.session.compact == {1, 2}
        peer.send(encode_v2([Base(1, 2, 5, 0, 6_425_000, 123_456_789)], gateway.time_us))
        peer.send(encode_v2([Compact(1, -5, 11)], gateway.time_us))
        price = await next_of(items, StreamPrice)
    assert (price.symbol, price.price, price.volume) == ("BTCUSDT", 64_249.95, 1_234.568)
    assert (price.exchange_us, price.delay_us, price.age_us, price.changes) == (None, None, None, 1)
    assert (stream.stats.frames, stream.stats.records) == (2, 1)


async def test_a_price_that_is_not_compact_comes_among_them(gateway):
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        peer = await gateway.peer()
        peer.price(2, 100.125)
        price = await next_of(items, StreamPrice)
    assert (price.symbol, price.price, price.delay_us) == ("ETHUSDT", 100.125, 500)


async def test_a_price_that_counts_from_no_base_breaks_the_connection(gateway):
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        peer = await gateway.peer()
        peer.send(encode_v2([Compact(2, 0, 0)], gateway.time_us))
        lost = await next_of(items, Disconnected)
        assert lost.code == CloseCode.BAD_MESSAGE
        assert lost.reason == "UnknownBase: no BASE has come for symbol id 2"
        assert stream.stats.bad_frames == 1


async def test_a_base_holds_on_the_connection_that_brought_it_and_on_no_other(gateway):
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        peer = await gateway.peer()
        peer.send(encode_v2([Base(1, 2, 5, 0, 6_425_000, 1)], gateway.time_us))
        peer.send(encode_v2([Compact(1, 0, 0)], gateway.time_us))
        await next_of(items, StreamPrice)
        peer.abort()
        await next_of(items, Disconnected)
        peer = await gateway.peer()
        peer.send(encode_v2([Compact(1, 0, 0)], gateway.time_us))
        assert (await next_of(items, Disconnected)).code == CloseCode.BAD_MESSAGE
