"""One feed worker between the simulated exchange and a real bus."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.config.load import Settings, load_settings
from gateway.roles import feed
from gateway.sim.faults import Fault, FaultKind
from gateway.sim.server import SimOptions, SimulatedExchange
from processors.bus import Bus, BusAddress, NoAnswer, connect
from protocol import subjects
from protocol.batches import decode_batch
from protocol.events import Kind
from protocol.frames import decode_v2


def settings_for(nats_url: str, sim: SimulatedExchange, **more: str) -> Settings:
    socket = f"ws://127.0.0.1:{sim.port}"
    environ = {
        "NATS_URL": nats_url,
        "EXCHANGE_WS_ENDPOINT": socket,
        "EXCHANGE_USDM_WS_ENDPOINT": f"{socket}/fstream",
        "EXCHANGE_COINM_WS_ENDPOINT": f"{socket}/dstream",
        "EXCHANGE_REST_ENDPOINT": sim.url,
        "EXCHANGE_USDM_REST_ENDPOINT": sim.url,
        "EXCHANGE_COINM_REST_ENDPOINT": sim.url,
        "EXCHANGE_SYMBOLS": "all",
    }
    return load_settings(None, environ | more, {})


@asynccontextmanager
async def running_feed(nats_url: str, sim: SimulatedExchange, shard: int = 0, shards: int = 1, **more: str):
    stop = asyncio.Event()
    role = asyncio.create_task(feed.run(settings_for(nats_url, sim, **more), shard, shards, stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(role, 10)


@pytest.fixture
async def sim() -> AsyncIterator[SimulatedExchange]:
    async with SimulatedExchange(SimOptions(symbols=6, rate=20)) as running:
        yield running


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    async with connect(BusAddress([nats_url]), "test") as connected:
        yield connected


async def lane(bus: Bus, subject: str) -> asyncio.Queue[tuple[str, bytes]]:
    heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
    await bus.subscribe(subject, lambda name, payload: heard.put_nowait((name, payload)))
    await bus.flush()
    return heard


async def state_of(bus: Bus, venue: str = "binance") -> dict:
    """Ask a feed worker for its state, until it is there."""
    async with asyncio.timeout(20):
        while True:
            try:
                return json.loads(await bus.request(subjects.request_feed(venue, 0)))
            except NoAnswer:
                continue


async def test_trades_come_out_of_a_worker_in_the_order_of_their_ids(nats_url, sim, bus):
    heard = await lane(bus, "trades.binance.BTCUSDT")
    async with running_feed(nats_url, sim), asyncio.timeout(20):
        ids = []
        while len(ids) < 20:
            _, payload = await heard.get()
            ids += [row.id for row in decode_v2(payload).rows()]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


@pytest.mark.parametrize("venue", ["binance-usdm", "binance-coinm"])
async def test_futures_flow_too(nats_url, sim, bus, venue: str):
    heard = await lane(bus, f"prices.{venue}.>")
    async with running_feed(nats_url, sim, EXCHANGE_VENUES=venue), asyncio.timeout(20):
        _, payload = await heard.get()
    assert decode_v2(payload).rows()[0].price > 0


async def test_each_shard_carries_its_own_symbols_and_together_they_carry_all(nats_url, sim, bus):
    heard = await lane(bus, "wire.binance.>")
    carried: dict[str, set[int]] = {subjects.wire("binance", 0): set(), subjects.wire("binance", 1): set()}
    async with running_feed(nats_url, sim, 0, 2), running_feed(nats_url, sim, 1, 2), asyncio.timeout(30):
        while sum(map(len, carried.values())) < 6:
            subject, payload = await heard.get()
            for frame in decode_batch(payload).frames:
                if frame.kind is Kind.PRICE:
                    carried[subject] |= {row.symbol_id for row in frame.rows()}
    assert carried["wire.binance.0"].isdisjoint(carried["wire.binance.1"])


async def test_messages_that_do_not_parse_are_counted_and_kept_and_the_stream_goes_on(nats_url, sim, bus):
    heard = await lane(bus, "prices.binance.ETHUSDT")
    async with running_feed(nats_url, sim), asyncio.timeout(30):
        await heard.get()
        sim.inject(Fault(FaultKind.MALFORMED, seconds=0.5, share=0.5))
        while not (state := await state_of(bus))["bad_payloads"]:
            pass
        for _ in range(30):
            await heard.get()
    assert state["newest_bad_payloads"][0]["data"]
    assert state["newest_bad_payloads"][0]["reason"]


async def test_a_worker_tells_what_its_connections_do(nats_url, sim, bus):
    async with running_feed(nats_url, sim), asyncio.timeout(20):
        state: dict = {"connections": []}
        while {one["phase"] for one in state["connections"]} != {"live"}:
            state = await state_of(bus)
    assert {one["kind"] for one in state["connections"]} == {"aggTrade", "bookTicker", "miniTicker"}
    assert all(len(one["streams"]) == 6 for one in state["connections"])


async def test_a_venue_that_is_not_there_is_asked_again_and_the_stop_is_obeyed(nats_url, sim):
    async with running_feed(nats_url, sim, EXCHANGE_REST_ENDPOINT="http://127.0.0.1:1"):
        pass
