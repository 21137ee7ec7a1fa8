"""Workers and gateways on a bus of a test's own, at a simulated exchange, and a client of the trade lane."""

import asyncio
import contextlib
import json
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError
from websockets.asyncio.client import ClientConnection, connect

from gateway.config.load import load_settings
from gateway.natsd import nats_server
from gateway.processes.ports import find_free_port
from gateway.roles import feed, server
from gateway.sim.server import SimulatedExchange
from processors.bus import Bus, BusAddress, NoAnswer
from processors.bus import connect as connect_bus
from protocol import subjects
from protocol.demand import Demand, format_demand
from protocol.events import Gap, Kind, Trade
from protocol.frames import decode_v2
from protocol.ledger import LedgerEntry, parse_entry

GRACE_MS = 200


@dataclass
class Fleet:
    """Everything that a test needs of it."""

    sim: SimulatedExchange
    bus: Bus
    nats_url: str
    ledger: list[LedgerEntry] = field(default_factory=list)

    @asynccontextmanager
    async def worker(self, base: str, shard: int = 0, shards: int = 1, **more: str) -> AsyncIterator[None]:
        """Run a feed worker that always carries `base`."""
        settings = load_settings(
            None,
            {
                "NATS_URL": self.nats_url,
                "EXCHANGE_WS_ENDPOINT": f"ws://127.0.0.1:{self.sim.port}",
                "EXCHANGE_REST_ENDPOINT": self.sim.url,
                "EXCHANGE_SYMBOLS": base,
                **more,
            },
            {},
        )
        stop = asyncio.Event()
        role = asyncio.create_task(feed.run(settings, shard, shards, stop, grace_ms=GRACE_MS))
        try:
            await self.state(shard)
            yield
        finally:
            stop.set()
            await asyncio.wait_for(role, 10)

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[str]:
        """Run a gateway until it is left; yield its address, `127.0.0.1:<port>`."""
        port, stop, folder = find_free_port(), asyncio.Event(), tempfile.TemporaryDirectory()
        environ = {"NATS_URL": self.nats_url, "SERVER_PORT": str(port), "DATA_FOLDER": folder.name}
        role = asyncio.create_task(server.run(load_settings(None, environ, {}), stop))
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
                await until(lambda: _is_ready(http))
            yield f"127.0.0.1:{port}"
        finally:
            stop.set()
            await asyncio.wait_for(role, 10)
            folder.cleanup()

    async def say(self, node: str, *natives: str) -> None:
        """Want these symbols and no others, as a node of this name."""
        demand = Demand(node, {"binance": list(natives)})
        await self.bus.publish(subjects.CONTROL_SYMBOLS, format_demand(demand))

    async def state(self, shard: int = 0) -> dict:
        """Ask a worker for its state, until it is there."""
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(NoAnswer):
                    return json.loads(await self.bus.request(subjects.request_feed("binance", shard)))
                await asyncio.sleep(0.02)

    async def carried(self, shard: int = 0) -> set[str]:
        """Return the symbols that a worker's connections have, as they are spelled in streams."""
        streams = [
            one for connection in (await self.state(shard))["connections"] for one in connection["streams"]
        ]
        return {one.partition("@")[0] for one in streams}

    async def until_carried(self, *names: str, shard: int = 0) -> None:
        async def are_carried() -> bool:
            return await self.carried(shard) == set(names)

        await until(are_carried)

    async def traded(self, native: str, first: int, last: int) -> dict[int, tuple[float, float]]:
        """Ask the exchange what it traded under these ids: price and quantity of each."""
        found: dict[int, tuple[float, float]] = {}
        async with httpx.AsyncClient(base_url=self.sim.url) as http:
            while max(found, default=first - 1) < last:
                query = {"symbol": native, "fromId": max(found, default=first - 1) + 1, "limit": 1_000}
                rows = (await http.get("/api/v3/aggTrades", params=query)).raise_for_status().json()
                found |= {row["a"]: (float(row["p"]), float(row["q"])) for row in rows}
        return {one: trade for one, trade in found.items() if one <= last}

    async def newest_id(self, native: str) -> int:
        async with httpx.AsyncClient(base_url=self.sim.url) as http:
            rows = await http.get("/api/v3/aggTrades", params={"symbol": native, "limit": 1})
        return rows.json()[0]["a"]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again until the answer is yes: what is asked is another server, and tells nobody."""
    async with asyncio.timeout(20):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.02)


async def _is_ready(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/readyz")).status_code == httpx.codes.OK
    except httpx.TransportError:  # it is still on its way to its port
        return False


@asynccontextmanager
async def run_fleet(folder: Path, sim: SimulatedExchange) -> AsyncIterator[Fleet]:
    """Start a bus for a fleet at this exchange, and follow the ledger."""
    async with (
        nats_server(folder / "nats", find_free_port(), {}) as nats,
        connect_bus(BusAddress([nats.url]), "test") as bus,
    ):
        fleet = Fleet(sim, bus, nats.url)
        await bus.subscribe(
            subjects.ALL_GAPS, lambda _subject, payload: fleet.ledger.append(parse_entry(payload))
        )
        yield fleet


class TradeClient:
    """A v2 client that keeps what it hears of trades."""

    def __init__(self, socket: ClientConnection) -> None:
        self.introduced: list[str] = []
        self.trades: defaultdict[str, dict[int, Trade]] = defaultdict(dict)
        self.order: list[tuple[str, Trade | Gap]] = []
        """Trades and gaps as they came."""
        self.prices: dict[str, float] = {}
        self.errors: list[dict] = []
        self._socket = socket
        self._names: dict[int, str] = {}

    async def subscribe(self, *symbols: str, kinds: tuple[str, ...] = ("trade",), **since: int) -> None:
        message = {"type": "subscribe", "symbols": symbols, "kinds": kinds, "since": since}
        await self._socket.send(json.dumps(message if since else message | {"since": {}}))

    async def unsubscribe(self, *symbols: str) -> None:
        await self._socket.send(json.dumps({"type": "unsubscribe", "symbols": symbols}))

    async def until(self, condition: Callable[[], object], timeout_s: float = 20) -> None:
        """Read until a condition holds."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._take(await self._socket.recv())

    async def more(self, symbol: str, count: int) -> None:
        """Read until so many more trades of a symbol have come."""
        goal = len(self.trades[symbol]) + count
        await self.until(lambda: len(self.trades[symbol]) >= goal)

    def gaps(self, symbol: str) -> list[Gap]:
        return [one for name, one in self.order if name == symbol and isinstance(one, Gap)]

    def _take(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self._take_text(json.loads(message))
            return
        frame = decode_v2(message)
        for row in frame.rows():
            name = self._names[row.symbol_id]
            if frame.kind is Kind.PRICE:
                self.prices[name] = row.price
                continue
            self.order.append((name, row))
            if isinstance(row, Trade):
                assert row.id not in self.trades[name], f"{name} {row.id} came twice"
                self.trades[name][row.id] = row

    def _take_text(self, message: dict) -> None:
        if message["type"] == "symbols":
            self._names |= {one["id"]: one["symbol"] for one in message["symbols"]}
            self.introduced += [one["symbol"] for one in message["symbols"]]
        elif message["type"] == "error":
            self.errors.append(message)


@asynccontextmanager
async def trade_client(address: str) -> AsyncIterator[TradeClient]:
    async with connect(f"ws://{address}/api/v1/ws", subprotocols=["tickgate.v2"]) as socket:
        yield TradeClient(socket)


@asynccontextmanager
async def redis_server(folder: Path, port: int) -> AsyncIterator[Redis]:
    """Run a real redis-server; skip the test where there is none, unless this machine must have one."""
    program = shutil.which("redis-server")
    if program is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("no redis-server on this machine")
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = await asyncio.create_subprocess_exec(program, *options, stdout=asyncio.subprocess.DEVNULL)
    client = Redis(port=port)
    try:
        await until(lambda: _answers(client))
        yield client
    finally:
        await client.aclose()
        process.terminate()
        await process.wait()


async def _answers(client: Redis) -> bool:
    try:
        return bool(await client.ping())
    except (RedisError, OSError):
        return False
