"""What a feed worker hears of who wants what."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from fleet import redis_server

from gateway.cache.watchlists import WatchlistReader
from gateway.processes.ports import find_free_port
from gateway.wanted import REDIS, DemandListener
from processors.bus import Bus, BusAddress, connect
from protocol import subjects
from protocol.demand import Demand, format_demand
from protocol.symbols import Instrument

LISTED = [
    Instrument(id=1, symbol="BTCUSDT", venue="binance", native="BTCUSDT", price_precision=2),
    Instrument(id=2, symbol="BTCUSDT.P", venue="binance-usdm", native="BTCUSDT", price_precision=2),
]


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    async with connect(BusAddress([nats_url]), "test") as connected:
        yield connected


async def hear(heard: asyncio.Queue[Demand], node: str) -> Demand:
    """Return what a node says next; others may speak too."""
    async with asyncio.timeout(10):
        while (demand := await heard.get()).node != node:
            pass
    return demand


async def test_every_node_that_speaks_is_heard_and_nonsense_is_not(bus):
    heard: asyncio.Queue[Demand] = asyncio.Queue()
    listener = DemandListener(bus, heard.put_nowait)
    await listener.start()
    await bus.publish(subjects.CONTROL_SYMBOLS, b"nonsense")
    await bus.publish(subjects.CONTROL_SYMBOLS, b'{"type":"demand"}')
    demand = Demand("listener-test", {"binance": ["ETHUSDT"]})
    await bus.publish(subjects.CONTROL_SYMBOLS, format_demand(demand))
    assert await hear(heard, demand.node) == demand


async def test_watchlists_in_redis_are_a_node_that_names_symbols_as_users_do(bus, tmp_path):
    heard: asyncio.Queue[Demand] = asyncio.Queue()
    port = find_free_port()
    async with redis_server(tmp_path, port) as redis, WatchlistReader(f"127.0.0.1:{port}") as reader:
        await redis.sadd("marketwatch:alice", "btcusdt", "BINANCE:BTCUSDT.P", "ETHUSDT")
        listener = DemandListener(bus, heard.put_nowait, reader)
        running = asyncio.create_task(listener.run())
        assert (await hear(heard, REDIS)).wants == {}
        listener.know(LISTED)
        demand = await hear(heard, REDIS)
        running.cancel()
        await asyncio.wait([running])
    assert demand.wants == {"binance": ["BTCUSDT"], "binance-usdm": ["BTCUSDT"]}


async def test_while_redis_is_down_nothing_is_said_in_its_name(bus):
    heard: list[Demand] = []
    async with WatchlistReader(f"127.0.0.1:{find_free_port()}") as reader:
        listener = DemandListener(bus, heard.append, reader)
        running = asyncio.create_task(listener.run())
        async with asyncio.timeout(10):
            while not reader.is_down:
                await bus.flush()
        running.cancel()
        await asyncio.wait([running])
    assert heard == []


async def test_without_redis_there_is_nothing_to_read(bus):
    await asyncio.wait_for(DemandListener(bus, lambda _demand: None).run(), 5)
