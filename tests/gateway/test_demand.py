"""A gateway says what its clients watch: at once, again and again, and when it is asked."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway import demand
from gateway.demand import DemandPublisher
from processors.bus import Bus, BusAddress, connect
from protocol import subjects
from protocol.demand import Demand, Question, format_demand, parse_demand
from protocol.symbols import Instrument, SymbolTable

NODE = "gateway-under-test"


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    async with connect(BusAddress([nats_url]), "test") as connected:
        yield connected


def table(*natives: str, venue: str = "binance") -> SymbolTable:
    symbols = SymbolTable()
    for number, native in enumerate(natives, start=1):
        symbols.add(Instrument(id=number, symbol=native, venue=venue, native=native, price_precision=2))
    return symbols


class Ear:
    """Hears what one node says."""

    def __init__(self) -> None:
        self._said: asyncio.Queue[dict[str, list[str]]] = asyncio.Queue()

    def on_message(self, _subject: str, payload: bytes) -> None:
        message = parse_demand(payload)
        if isinstance(message, Demand) and message.node == NODE:
            self._said.put_nowait(message.wants)

    async def next(self) -> dict[str, list[str]]:
        return await asyncio.wait_for(self._said.get(), 10)


@pytest.fixture
async def ear(bus: Bus) -> Ear:
    listening = Ear()
    await bus.subscribe(subjects.CONTROL_SYMBOLS, listening.on_message)
    await bus.flush()
    return listening


@pytest.fixture
async def watched() -> list[set[int]]:
    """What each client watches."""
    return []


@pytest.fixture
async def publisher(bus: Bus, watched: list[set[int]]) -> AsyncIterator[DemandPublisher]:
    made = DemandPublisher(bus, NODE, table("BTCUSDT", "ETHUSDT", "SOLUSDT"), lambda: watched)
    await made.start()
    running = asyncio.create_task(made.run())
    yield made
    running.cancel()
    await asyncio.wait([running])


async def test_what_any_client_watches_is_said_at_once(ear, publisher, watched):
    assert await ear.next() == {}
    watched.append({1})
    publisher.on_watched()
    assert await ear.next() == {"binance": ["BTCUSDT"]}
    watched.append({1, 3})
    publisher.on_watched()
    assert await ear.next() == {"binance": ["BTCUSDT", "SOLUSDT"]}
    watched.clear()
    publisher.on_watched()
    assert await ear.next() == {}


async def test_what_changes_nothing_is_not_said(ear, publisher, watched):
    await ear.next()
    watched.append({1})
    publisher.on_watched()
    await ear.next()
    watched.append({1})
    publisher.on_watched()
    watched[0] = {1, 2}
    publisher.on_watched()
    assert await ear.next() == {"binance": ["BTCUSDT", "ETHUSDT"]}


async def test_it_is_said_again_when_a_worker_asks(ear, publisher, bus):
    await ear.next()
    await bus.publish(subjects.CONTROL_SYMBOLS, format_demand(Question()))
    assert await ear.next() == {}


async def test_nonsense_on_the_subject_is_survived(ear, publisher, bus, watched):
    await ear.next()
    await bus.publish(subjects.CONTROL_SYMBOLS, b'{"type":"question"')
    await bus.publish(subjects.CONTROL_SYMBOLS, b"\xff")
    watched.append({2})
    publisher.on_watched()
    assert await ear.next() == {"binance": ["ETHUSDT"]}


async def test_it_is_said_again_and_again(ear, bus, watched, monkeypatch):
    monkeypatch.setattr(demand, "EVERY_S", 0.1)
    watched.append({1})
    publisher = DemandPublisher(bus, NODE, table("BTCUSDT"), lambda: watched)
    running = asyncio.create_task(publisher.run())
    assert [await ear.next() for _ in range(3)] == 3 * [{"binance": ["BTCUSDT"]}]
    running.cancel()
    await asyncio.wait([running])


async def test_who_leaves_says_so(ear, publisher, watched):
    watched.append({1})
    publisher.on_watched()
    while await ear.next() != {"binance": ["BTCUSDT"]}:
        pass
    await publisher.leave()
    assert await ear.next() == {}


async def test_symbols_are_said_by_their_venues(ear, bus):
    symbols = table("BTCUSDT", "ETHUSDT")
    symbols.add(
        Instrument(id=9, symbol="BTCUSDT.P", venue="binance-usdm", native="BTCUSDT", price_precision=2)
    )
    publisher = DemandPublisher(bus, NODE, symbols, lambda: [{2, 9, 400}])
    running = asyncio.create_task(publisher.run())
    assert await ear.next() == {"binance": ["ETHUSDT"], "binance-usdm": ["BTCUSDT"]}
    running.cancel()
    await asyncio.wait([running])
