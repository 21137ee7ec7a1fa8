"""Candles and gaps that the bus keeps: from a place on, over every break, without a hole."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from services_rig import Market, Reading, market_on, reading

from clients.services import KeptGap
from clients.updates import Forgotten, StreamCandle
from gateway.natsd import nats_server
from gateway.processes.ports import find_free_port
from processors.bus import BusAddress, connect
from protocol import subjects
from protocol.errors import UnknownInterval
from protocol.events import GapState


@pytest.fixture
async def market(tmp_path) -> AsyncIterator[Market]:
    """On a server of its own: its streams are those of the test alone."""
    async with nats_server(tmp_path, find_free_port(), {}) as server, market_on(server.url) as one:
        yield one


@asynccontextmanager
async def candles_of(market: Market, **place: int) -> AsyncIterator[Reading]:
    """The candles of one symbol from a place on."""
    async with (
        market.services() as services,
        reading(services.candles(market.name, **place), connects=False) as candles,
    ):
        yield candles


def minutes(candles: list[StreamCandle]) -> list[int]:
    return [one.open_ms // 60_000 for one in candles]


async def test_a_candle_says_where_it_is_kept(market):
    sequence = await market.candle(7)
    async with candles_of(market, since_us=0) as candles:
        candle = await candles.next()
    assert (candle.symbol, candle.interval, candle.open_ms, candle.final) == ("BTCUSDT", "1m", 420_000, True)
    assert (candle.sequence, candle.version_us, candle.entry.name) == (sequence, 1_000, market.name)


async def test_it_goes_on_after_the_candle_that_it_has(market):
    sequences = [await market.candle(minute) for minute in range(5)]
    await market.candle(9, market.eth)
    async with market.services() as services:
        after = sequences[1]
        async with reading(services.candles(market.name, after=after), connects=False) as candles:
            assert minutes(await candles.take(3)) == [2, 3, 4]
            await market.candle(5)
            assert minutes(await candles.take(1)) == [5]


async def test_it_goes_on_from_a_version(market):
    for minute in range(4):
        await market.candle(minute)
    async with candles_of(market, since_us=2_000) as candles:
        assert minutes(await candles.take(2)) == [2, 3]


async def test_without_a_place_it_begins_with_what_comes(market):
    await market.candle(1)
    async with candles_of(market) as candles, asyncio.TaskGroup() as tasks:
        first = tasks.create_task(candles.next())
        minute = 2
        while not first.done():  # it does not say when it has begun
            await market.candle(minute)
            minute += 1
    assert minutes([await first]) >= [2]


async def test_many_candles_come_in_parts_and_all_of_them(market):
    await asyncio.gather(*(market.candle(minute) for minute in range(700)))
    async with candles_of(market, after=0) as candles:
        assert sorted(minutes(await candles.take(700))) == list(range(700))


async def test_several_symbols_and_intervals_come_in_the_order_in_which_they_were_kept(market):
    for instrument in (market.btc, market.eth, market.btc):
        await market.candle(1, instrument)
    async with market.services() as services:
        lane = services.candles(market.name, market.eth.name, intervals=["1m", "1h"], after=0)
        async with reading(lane, connects=False) as candles:
            assert [one.symbol for one in await candles.take(3)] == ["BTCUSDT", "ETHUSDT", "BTCUSDT"]


async def test_an_interval_that_there_is_not_is_refused_at_once(market):
    async with market.services() as services:
        with pytest.raises(UnknownInterval):
            services.candles(market.name, intervals=["7m"])


async def test_what_is_not_kept_any_more_is_said(market):
    for minute in range(5):
        await market.candle(minute)
    stream = market.bus._client.jetstream()
    await stream.purge_stream("CANDLES", keep=2)
    async with market.services() as services:
        async with reading(services.candles(market.name, after=1), connects=False) as candles:
            assert await candles.next() == Forgotten(2, 3)
            assert minutes(await candles.take(2)) == [3, 4]
        async with reading(services.candles(market.name, since_us=1), connects=False) as candles:
            assert await candles.next() == Forgotten(1, 3)


async def test_a_stream_that_numbers_anew_is_read_from_its_beginning(market):
    await market.candle(3)
    async with candles_of(market, after=500) as candles:
        assert await candles.next() == Forgotten(0, 0)
        assert minutes(await candles.take(1)) == [3]


async def test_what_is_not_a_candle_is_counted_and_left_out(market):
    await market.bus.append(subjects.candles(market.venue, "BTCUSDT", "1m"), b"garbage")
    await market.candle(1)
    async with market.services() as services:
        async with reading(services.candles(market.name, after=0), connects=False) as candles:
            assert minutes(await candles.take(1)) == [1]
        assert services.stats.bad_messages == 1


async def test_gaps_of_one_symbol_or_of_all(market):
    await market.gap(GapState.OPEN, 1, 2)
    await market.gap(GapState.LOST, 1, 2)
    async with market.services() as services:
        for names in ([market.name], []):
            async with reading(services.gaps(*names, after=0), connects=False) as gaps:
                first, second = await gaps.take(2)
                assert isinstance(first, KeptGap)
                assert (first.sequence, first.entry.state) == (1, GapState.OPEN)
                assert (second.sequence, second.entry.state) == (2, GapState.LOST)
        async with reading(services.gaps(after=1), connects=False) as gaps:
            assert (await gaps.next()).sequence == 2


async def test_over_a_restart_of_the_server_nothing_is_missing(tmp_path):
    port = find_free_port()
    async with AsyncExitStack() as stack:
        async with nats_server(tmp_path, port, {}) as server, market_on(server.url) as market:
            services = await stack.enter_async_context(market.services())
            lane = reading(services.candles(market.name, after=0), connects=False)
            candles = await stack.enter_async_context(lane)
            await market.candle(1)
            assert minutes(await candles.take(1)) == [1]
        async with nats_server(tmp_path, port, {}), connect(BusAddress([market.url]), "test") as market.bus:
            await market.candle(2)
            await market.candle(3)
            assert minutes(await candles.take(2)) == [2, 3]


async def test_a_stream_that_is_not_there_yet_is_waited_for(tmp_path):
    async with nats_server(tmp_path, find_free_port(), {}) as server, market_on(server.url) as market:
        await market.bus._client.jetstream().delete_stream("CANDLES")
        async with candles_of(market, after=0) as candles, asyncio.TaskGroup() as tasks:
            first = tasks.create_task(candles.next())
            await market.bus.open_rolling_stream("CANDLES", subjects.ALL_CANDLES, max_bytes=2**20)
            await market.candle(1)
            assert minutes([await first]) == [1]
