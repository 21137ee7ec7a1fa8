"""A gateway on a real nats-server, and a feed that publishes what a test says."""

import asyncio
import contextlib
import dataclasses
import functools
import itertools
import json
import shutil
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_websocket

from gateway.cache.cache import Cache
from gateway.cache.memory import MemoryCache
from gateway.metadata import migrate
from gateway.metadata.database import open_database
from gateway.registry import Registry
from gateway.roles import server
from gateway.roles.gateway import Gateway
from gateway.roles.options import GatewayOptions
from gateway.ws.endpoint import ClientLimits
from processors.bus import Bus, BusAddress, Endpoint, connect
from processors.price import PriceProcessor
from processors.shell import PriceShell, now_us
from processors.tape import TRADES_A_REQUEST, TradeTape
from protocol import subjects
from protocol.events import Gap, GapCause, GapState, Kind, Trade
from protocol.frames import decode_v1, encode_v2
from protocol.market import AggTrade, BookTop
from protocol.symbols import Instrument

_venues = itertools.count(1)


@dataclass
class Rig:
    """One gateway, one feed of a venue of its own, and the way to both."""

    bus: Bus
    port: int
    venue: str
    shell: PriceShell
    stop: asyncio.Event
    ids: dict[str, int] = field(default_factory=dict)
    trade_ids: Callable[[], int] = field(default_factory=lambda: itertools.count(1).__next__)
    tapes: dict[str, TradeTape] = field(default_factory=lambda: defaultdict(TradeTape))
    """What the feed has to answer with, by symbol."""
    last_ids: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    answers: bool = True
    """Whether the feed has anything to answer with."""

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/api/v1/ws"

    def connect(self, version: int = 1) -> connect_websocket:
        """Open a stream in this version; v1 by offering no subprotocol."""
        return connect_websocket(self.ws, subprotocols=["tickgate.v2"] if version == 2 else None)

    def trade(self, symbol: str, price: float, quantity: float = 1.0) -> None:
        at, trade_id = now_us(), self.trade_ids()
        event = AggTrade(symbol, trade_id, price, quantity, False, at, at, trade_id, trade_id)
        self.shell.on_event(event, at)

    def trades(self, symbol: str, count: int, *, loses: bool = False) -> list[int]:
        """Trade so many times, with ids that rise by 1 for each symbol, and return them.

        If it loses them, a batch has them that never comes to the gateway.
        """
        first = self.last_ids[symbol] + 1
        ids = list(range(first, first + count))
        self.last_ids[symbol] += count
        for trade_id in ids:
            at = now_us()
            row = Trade(self.ids[symbol], 0, 1, trade_id, at, 100.0 + trade_id, 1.0)
            self.tapes[symbol].accept([row])
            event = AggTrade(symbol, trade_id, row.price, 1.0, False, at, at, trade_id, trade_id)
            self.shell.on_event(event, at)
        while loses and self.shell.processor.waiting:
            self.shell.processor.take_batch(now_us())
        return ids

    def recover(self, symbol: str, ids: list[int]) -> None:
        """Fetch trades that were missing."""
        for trade_id in ids:
            at = now_us()
            event = AggTrade(symbol, trade_id, 100.0 + trade_id, 1.0, False, at, at, trade_id, trade_id)
            self.shell.on_recovered(event, at)

    def gap(self, symbol: str, state: GapState, first_id: int, last_id: int) -> None:
        """Say of a hole that it is open, filled or lost."""
        cause = GapCause.SKIPPED
        self.shell.on_gap(symbol, Gap(self.ids[symbol], state, cause, first_id, last_id, 1, 2))

    def begin_anew(self, symbol: str) -> None:
        """Let the venue's ids start from 1 again."""
        self.last_ids[symbol], self.tapes[symbol] = 0, TradeTape()
        self.shell.begin_anew(symbol)
        self.gap(symbol, GapState.LOST, 0, 0)

    def at(self, port: int) -> "Rig":
        """The same feed, seen through a gateway on another port."""
        return dataclasses.replace(self, port=port)

    def answer_trades(self, subject: str, payload: bytes) -> bytes:
        question = json.loads(payload)
        assert question["last"] - question["first"] < TRADES_A_REQUEST
        tape = self.tapes[subject.rpartition(".")[2]]
        rows = tape.between(question["first"], question["last"]) if self.answers else []
        return encode_v2(rows, now_us(), Kind.TRADE)

    async def beat(self) -> None:
        """Send an empty batch, by which gateways learn of this feed."""
        await self.bus.publish(*self.shell.processor.heartbeat(now_us()))

    def book(self, symbol: str, bid: float, ask: float) -> None:
        self.shell.on_event(BookTop(symbol, self.trade_ids(), bid, 1.0, ask, 2.0, 0), now_us())

    async def prices_arrive(self, symbol: str, price: float) -> None:
        """Trade, and wait until a client that watches the symbol has the price."""
        async with self.connect() as watcher:
            await watcher.send(f'{{"type":"subscribe","symbols":["{symbol}"]}}')
            await watcher.recv()
            self.trade(symbol, price)
            await until_price(watcher, self.ids[symbol], price)


async def until_price(client: ClientConnection, symbol_id: int, price: float) -> None:
    """Read v1 frames until this price of this symbol has come."""
    async with asyncio.timeout(5):
        while True:
            message = await client.recv()
            rows = decode_v1(message).tolist() if isinstance(message, bytes) else []
            if (symbol_id, price) in [row[:2] for row in rows]:
                return


@asynccontextmanager
async def run_rig(
    nats_url: str, symbols: list[str], limits: ClientLimits, send_buffer: int | None = None
) -> AsyncIterator[Rig]:
    """Run a gateway and a feed until the block is left. Symbols are prefixed to be this rig's own."""
    venue = f"test-{next(_venues)}"
    stop = asyncio.Event()
    async with connect(BusAddress([nats_url]), "rig") as bus, asyncio.TaskGroup() as tasks:
        registry = Registry(bus)
        await registry.open()
        processor = PriceProcessor(venue, 0, epoch_us=now_us())
        shell = PriceShell(processor, bus, 50)
        listed = [
            Instrument(symbol=name, venue=venue, native=name, price_precision=2, simulated=True)
            for name in symbols
        ]
        ids = {one.symbol: one.id for one in await registry.register(listed)}
        for name, symbol_id in ids.items():
            processor.add_symbol(name, symbol_id)
        rig = Rig(bus, 0, venue, shell, stop, ids)
        trades = Endpoint(
            "trades", subjects.request_trades(venue, "ANY").replace("ANY", "*"), rig.answer_trades
        )
        await bus.serve("test-feed", "1.0.0", "a feed", [shell.endpoint(), trades], {})
        feeding = tasks.create_task(shell.run())
        options = GatewayOptions(clients=limits)
        async with run_gateway(nats_url, options, stop, send_buffer, beat=rig.beat) as port:
            rig.port = port
            yield rig
        feeding.cancel()


@asynccontextmanager
async def run_gateway(
    nats_url: str,
    options: GatewayOptions | None = None,
    stop: asyncio.Event | None = None,
    send_buffer: int | None = None,
    *,
    cache: Cache | None = None,
    database: str = "",
    beat: Callable[[], Awaitable[None]] | None = None,
) -> AsyncIterator[int]:
    """Run a gateway with a bus connection of its own until the block is left; yield its port.

    Without a cache or the address of a database it has its own. With a `beat` of a feed nobody waits for the
    next one.
    """
    stop = stop or asyncio.Event()
    with (
        server.listen("127.0.0.1", 0, reuse_port=False) as listener,
        tempfile.TemporaryDirectory() as folder,
    ):
        if send_buffer:
            listener.setsockopt(server.socket.SOL_SOCKET, server.socket.SO_SNDBUF, send_buffer)
        port = listener.getsockname()[1]
        async with (
            connect(BusAddress([nats_url]), "gateway") as bus,
            open_database(database or await new_database(Path(folder))) as metadata,
            asyncio.TaskGroup() as tasks,
        ):
            gateway = Gateway(
                options or GatewayOptions(name=f"gateway on {port}"), bus, cache or MemoryCache(), metadata
            )
            serving = tasks.create_task(gateway.serve(listener, stop))
            await _has_healed(port, beat)
            yield port
            stop.set()
            await serving


async def new_database(folder: Path) -> str:
    """Copy a file with all tables, and nothing in them, into a folder; return its address."""
    copy = folder / "metadata.sqlite"
    shutil.copy(await asyncio.to_thread(_empty_database), copy)
    return f"sqlite:///{copy}"


@functools.cache
def _empty_database() -> Path:
    path = Path(tempfile.mkdtemp(), "empty.sqlite")
    asyncio.run(migrate.up(f"sqlite:///{path}"))
    return path


async def _has_healed(port: int, beat: Callable[[], Awaitable[None]] | None) -> None:
    """Wait until the gateway serves and has the snapshot that it asks every new shard for."""
    async with asyncio.timeout(30), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        while True:
            with contextlib.suppress(httpx.TransportError):  # it is still on its way to its port
                if (await http.get("/stats")).json()["snapshots"]:
                    return
                if beat is not None:
                    await beat()
            await asyncio.sleep(0.01)


MakeRig = Callable[..., AbstractAsyncContextManager[Rig]]


@pytest.fixture
def make_rig(nats_url: str) -> MakeRig:
    """Build rigs with limits of the test's own."""

    def make(symbols: list[str], limits: ClientLimits | None = None, send_buffer: int | None = None):
        return run_rig(nats_url, symbols, limits or ClientLimits(), send_buffer)

    return make


@pytest.fixture
async def rig(nats_url: str) -> AsyncIterator[Rig]:
    """A gateway with the default limits that carries three symbols."""
    number = next(_venues)
    symbols = [f"{base}{number}USDT" for base in ("BTC", "ETH", "币安")]
    async with run_rig(nats_url, symbols, ClientLimits()) as running:
        yield running


@pytest.fixture
def start_gateway(nats_url: str) -> Callable[[], AbstractAsyncContextManager[int]]:
    """Start further gateways on the same bus; each yields its port."""
    return lambda: run_gateway(nats_url)
