"""Candles and Enigma levels through the asyncio client: every bar in its newest state, also after a break."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from clients.connections import Patience
from clients.stream import Stream
from clients.updates import Item, Refused, StreamCandle, StreamEnigma
from protocol.control import Error, format_message
from protocol.events import CandleFlag, SeriesKey

HASTY = Patience(open_s=2.0, close_s=0.2, first_retry_s=0.01, max_retry_s=0.02)


def stream_of(gateway: Any, kinds: tuple[str, ...] = ("candle",), **options: Any) -> Stream:
    return Stream(gateway.url, "BTCUSDT", kinds=kinds, patience=HASTY, **options)


async def take(items: AsyncGenerator[Item, None], kind: type[Any] = StreamCandle) -> Any:
    async with asyncio.timeout(10):
        async for item in items:
            if isinstance(item, kind):
                return item
    raise AssertionError(f"the stream ended without a {kind.__name__}")


async def test_a_candle_carries_all_that_the_gateway_said_of_it(gateway):
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        peer = await gateway.peer()
        peer.candle(5.0, minute=2, flags=CandleFlag.FINAL | CandleFlag.REST)
        candle = await take(items)
    assert peer.asked == {SeriesKey(1, 1): None}
    assert (candle.symbol, candle.interval, candle.open_ms) == ("BTCUSDT", "1m", 120_000)
    assert (candle.open, candle.high, candle.low, candle.close) == (1.0, 9.0, 0.5, 5.0)
    assert (candle.volume, candle.trades, candle.taker_buy) == (2.0, 3, 1.5)
    assert (candle.final, candle.revision, candle.source) == (True, 0, "rest")
    assert (candle.version_us, candle.simulated) == (gateway.time_us, True)


@pytest.mark.parametrize(
    ("flags", "source"),
    [(0, "live"), (CandleFlag.REST, "rest"), (CandleFlag.FINAL | CandleFlag.REBUILT, "rebuilt")],
)
async def test_a_candle_says_what_it_is_made_from(gateway, flags, source):
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        (await gateway.peer()).candle(5.0, flags=flags)
        assert (await take(items)).source == source


async def test_after_a_break_it_goes_on_from_the_last_version(gateway):
    async with stream_of(gateway, intervals=("1m", "5m")) as stream, aclosing(stream.items()) as items:
        peer = await gateway.peer()
        peer.candle(5.0, time_us=700)
        await take(items)
        peer.abort()
        peer = await gateway.peer()
        assert peer.asked == {SeriesKey(1, 1): 700, SeriesKey(1, 5): 700}
    assert stream.version_us == 700


async def test_it_goes_on_from_a_version_of_another_time(gateway):
    async with stream_of(gateway, since_us=500) as stream:
        assert (await gateway.peer()).asked == {SeriesKey(1, 1): 500}
        await stream.subscribe("ETHUSDT", intervals=("1h",), since_us=400)
        await gateway.peers[-1].heard_back()
        assert gateway.peers[-1].asked[SeriesKey(2, 60)] == 400
        gateway.peers[-1].abort()
        assert (await gateway.peer()).asked == {SeriesKey(1, 1): 400, SeriesKey(2, 60): 400}


async def test_a_version_that_was_under_way_when_more_was_asked_for_does_not_count_for_that(gateway):
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        peer = await gateway.peer()
        peer.answers = False
        await stream.subscribe("ETHUSDT", since_us=500)
        peer.candle(5.0, time_us=9_000)
        await take(items)
        assert stream.version_us == 500
        peer.abort()
        assert (await gateway.peer()).asked == {SeriesKey(1, 1): 500, SeriesKey(2, 1): 500}


async def test_a_version_counts_for_all_that_was_asked_for_before_it(gateway):
    async with stream_of(gateway, since_us=700) as stream, aclosing(stream.items()) as items:
        peer = await gateway.peer()
        await stream.subscribe("ETHUSDT", since_us=500)
        await peer.heard_back()
        peer.candle(5.0, time_us=9_000)
        await take(items)
        assert stream.version_us == 9_000


async def test_a_frame_that_states_no_version_changes_nothing(gateway):
    async with stream_of(gateway, since_us=500) as stream, aclosing(stream.items()) as items:
        (await gateway.peer()).candle(5.0, time_us=0)
        await take(items)
    assert stream.version_us == 500


async def test_unread_states_of_a_bar_coalesce_and_other_bars_are_kept(gateway):
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        peer = await gateway.peer()
        for minute in range(3):
            peer.candle(1.0, minute=minute)
            peer.candle(2.0, minute=minute, flags=CandleFlag.FINAL)
        await peer.heard_back()
        candles = [await take(items) for _ in range(3)]
    assert [(one.open_ms // 60_000, one.close, one.final) for one in candles] == [
        (minute, 2.0, True) for minute in range(3)
    ]
    assert stream.conflated == 3


async def test_what_cannot_be_had_again_is_refused_by_name(gateway):
    async with stream_of(gateway) as stream, aclosing(stream.items()) as items:
        error = Error("candles_out_of_reach", "load the history again", ["BTCUSDT"], ["1m"])
        (await gateway.peer()).send_text(format_message(error))
        refused = await take(items, Refused)
    assert (refused.code, refused.symbols, refused.intervals) == ("candles_out_of_reach", ["BTCUSDT"], ["1m"])


async def test_enigma_levels_come_when_asked_for(gateway):
    async with stream_of(gateway, ("enigma",)) as stream, aclosing(stream.items()) as items:
        (await gateway.peer()).enigma(50.0)
        enigma = await take(items, StreamEnigma)
    assert (enigma.symbol, enigma.level, enigma.low, enigma.high) == ("BTCUSDT", 50.0, 1.0, 3.0)
    assert enigma.exchange_us == gateway.time_us - 700


async def test_an_interval_that_there_is_not_is_refused_at_once(gateway):
    with pytest.raises(ValueError, match="7m"):
        stream_of(gateway, intervals=("7m",))
