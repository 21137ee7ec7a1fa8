"""One feed worker between the simulated exchange and a real bus."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from gateway.config.load import Settings, load_settings
from gateway.exchanges.venue import VENUES
from gateway.feeds.rest import Rest
from gateway.roles import feed
from gateway.sim.faults import Fault, FaultKind
from gateway.sim.server import SimOptions, SimulatedExchange
from processors.bus import Bus, BusAddress, NoAnswer, connect
from protocol import subjects
from protocol.batches import decode_batch
from protocol.events import GapCause, Kind, Trade, TradeFlag
from protocol.frames import Frame, decode_v2
from protocol.ledger import parse_entry

GENESIS_MS = time.time_ns() // 1_000_000
"""One market for all tests: a worker goes on from the ids that the test before has left on the bus."""


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
    async with SimulatedExchange(SimOptions(symbols=6, rate=20, genesis_ms=GENESIS_MS)) as running:
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
    assert {one["kind"] for one in state["connections"]} == {
        "aggTrade",
        "bookTicker",
        "miniTicker",
        "kline_1m",
    }
    assert all(len(one["streams"]) == 6 for one in state["connections"])


async def test_a_venue_that_is_not_there_is_asked_again_and_the_stop_is_obeyed(nats_url, sim):
    async with running_feed(nats_url, sim, EXCHANGE_REST_ENDPOINT="http://127.0.0.1:1"):
        pass


# Nothing is lost in silence


class Trades:
    """All trades of a symbol that come over the bus, each once."""

    def __init__(self, heard: asyncio.Queue[tuple[str, bytes]]) -> None:
        self._heard = heard
        self.rows: dict[int, Trade] = {}
        self.late = 0

    async def more(self, count: int) -> None:
        goal = len(self.rows) + count
        while len(self.rows) < goal:
            self._take(decode_v2((await self._heard.get())[1]))

    async def until_contiguous(self) -> list[int]:
        """Read until no id is missing between the first and the last."""
        while len(self.rows) < max(self.rows) - min(self.rows) + 1:
            self._take(decode_v2((await self._heard.get())[1]))
        return sorted(self.rows)

    def _take(self, frame: Frame) -> None:
        for row in frame.rows():
            self.late += row.id < max(self.rows, default=0)
            self.rows.setdefault(row.id, row)

    @property
    def recovered(self) -> int:
        return sum(bool(row.flags & TradeFlag.RECOVERED) for row in self.rows.values())


async def equal_to_the_venue(sim: SimulatedExchange, rows: dict[int, Trade]) -> None:
    ids = sorted(rows)
    told: dict[int, tuple[float, float]] = {}
    async with Rest(VENUES["binance"].with_endpoints(rest=sim.url)) as rest:
        while len(told) < len(ids):
            page = await rest.agg_trades("BTCUSDT", max(told, default=ids[0] - 1) + 1, 1_000)
            told |= {one.id: (one.price, one.quantity) for one in page if one.id <= ids[-1]}
    assert {one: (rows[one].price, rows[one].quantity) for one in ids} == told


async def test_under_losses_and_cuts_the_trades_on_the_bus_are_those_of_the_venue(nats_url, sim, bus):
    trades = Trades(await lane(bus, "trades.binance.BTCUSDT"))
    async with running_feed(nats_url, sim), asyncio.timeout(40):
        await trades.more(5)
        for fault in (
            Fault(FaultKind.LOSE, share=0.2, seconds=2, streams=("aggTrade",)),
            Fault(FaultKind.DUPLICATE, share=0.2, seconds=2),
            Fault(FaultKind.REORDER, share=0.2, seconds=2),
        ):
            sim.inject(fault)
        await trades.more(30)
        sim.inject(Fault(FaultKind.CUT, seconds=0.5))
        await trades.more(40)
        await trades.until_contiguous()
        assert trades.recovered
        assert trades.late == 0
        await equal_to_the_venue(sim, trades.rows)
        state = await state_of(bus)
    assert state["hub"]["recovered"] >= trades.recovered
    assert (state["hub"]["lost"], state["counters"]["dropped_trades"]) == (0, 0)


async def test_a_worker_that_comes_back_fetches_what_was_traded_while_it_was_away(nats_url, sim, bus):
    trades = Trades(await lane(bus, "trades.binance.BTCUSDT"))
    ledger = await lane(bus, "gaps.binance.>")
    async with asyncio.timeout(40):
        async with running_feed(nats_url, sim):
            await trades.more(5)
        last = max(trades.rows)
        await asyncio.to_thread(wait_for_trades, sim, last + 30)
        async with running_feed(nats_url, sim):
            await trades.more(60)
            await trades.until_contiguous()
            entries = [parse_entry((await ledger.get())[1]) for _ in range(3)]
    assert trades.recovered >= 25
    await equal_to_the_venue(sim, trades.rows)
    assert GapCause.WORKER_RESTARTED in {entry.cause for entry in entries if entry.native == "_connections"}


def wait_for_trades(sim: SimulatedExchange, trade_id: int) -> None:
    """Let the market go on up to a trade."""
    url = f"{sim.url}/api/v3/aggTrades?symbol=BTCUSDT&limit=1"
    while httpx.get(url).json()[0]["a"] < trade_id:
        pass


async def test_past_trades_are_answered_by_the_worker_that_has_the_symbol(nats_url, sim, bus):
    trades = Trades(await lane(bus, "trades.binance.BTCUSDT"))
    async with running_feed(nats_url, sim, 0, 2), running_feed(nats_url, sim, 1, 2), asyncio.timeout(20):
        await trades.more(20)
        first = min(trades.rows)
        subject = subjects.request_trades("binance", "BTCUSDT")
        question = json.dumps({"first": first - 500, "last": first + 9}).encode()
        reply = decode_v2(await bus.request(subject, question, 5))
    assert [row.id for row in reply.rows()] == list(range(first - 500, first + 10))
    assert reply.rows()[-1] == trades.rows[first + 9]
