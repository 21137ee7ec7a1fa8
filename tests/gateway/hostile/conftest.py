"""A gateway with narrow limits, and clients of two kinds: some mean harm, and the others must not notice."""

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect as connect_websocket

from gateway.accounts.passwords import Passwords
from gateway.api.limits import Rate
from gateway.api.operations import Limit
from gateway.cache.memory import MemoryCache
from gateway.http.entrance import Entrance, HttpLimits
from gateway.metadata import migrate
from gateway.metadata.database import Database, open_database
from gateway.registry import Registry
from gateway.roles import server
from gateway.roles.options import GatewayOptions
from processors.bus import BusAddress, connect
from protocol.symbols import Instrument

PASSWORD = "a long enough one"
GOOD, BAD = "127.0.0.2", "127.0.0.1"
"""Where clients come from."""


@dataclass
class Target:
    """A gateway that serves BTCUSDT and ETHUSDT, with the user ann."""

    port: int
    database: Database
    entrance: Entrance
    """Of its connections."""

    def http(self, source: str = BAD, **headers: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(local_address=source),
            base_url=f"http://127.0.0.1:{self.port}",
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            timeout=20,
        )

    def stream(self, path: str = "/api/v1/ws", source: str = BAD, **headers: str) -> connect_websocket:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"ws://127.0.0.1:{self.port}{path}"
        return connect_websocket(url, additional_headers=named, local_addr=(source, 0), open_timeout=20)

    async def open(self, source: str = BAD) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))

    async def say(self, data: bytes) -> bytes:
        """Send, and return all that comes until the gateway closes."""
        reader, writer = await self.open()
        writer.write(data)
        try:
            return await asyncio.wait_for(reader.read(), 20)
        finally:
            writer.close()

    async def log_in(self, source: str = GOOD, password: str = PASSWORD) -> httpx.Response:
        async with self.http(source) as http:
            body = {"username": "ann", "password": password, "cookie": False}
            return await http.post("/api/v1/auth/login", json=body)

    async def serves_others(self) -> None:
        """See that a client of another address is served in every way."""
        async with self.http(GOOD) as http:
            assert (await http.get("/api/v1/symbols")).status_code == 200
        async with self.stream(source=GOOD) as stream:
            await stream.send('{"type":"ping"}')
            async with asyncio.timeout(20):
                while '"pong"' not in str(await stream.recv()):
                    pass

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110  # the parts under test tell nobody, they count
                await asyncio.sleep(0.005)


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with ann in it, to copy."""
    path = tmp_path_factory.mktemp("tables") / "metadata.sqlite"

    async def fill() -> None:
        await migrate.up(f"sqlite:///{path}")
        async with open_database(f"sqlite:///{path}") as database:
            await database.users.add("ann", await Passwords().hash(PASSWORD))

    asyncio.run(fill())
    return path


StartTarget = Callable[..., AbstractAsyncContextManager[Target]]


@pytest.fixture
def start_target(nats_url: str, tables: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Any:
    """Start gateways with options of the test's own. Whatever they are told, they log no error."""

    @asynccontextmanager
    async def start(*, http: HttpLimits | None = None, **options: Any) -> AsyncIterator[Target]:
        path = shutil.copy(tables, tmp_path / "metadata.sqlite")
        stop = asyncio.Event()
        with server.listen("127.0.0.1", 0, reuse_port=False) as listener:
            async with (
                connect(BusAddress([nats_url]), "gateway") as bus,
                open_database(f"sqlite:///{path}") as database,
                asyncio.TaskGroup() as tasks,
            ):
                await _list_symbols(Registry(bus))
                given = GatewayOptions(http=http or HttpLimits(), **options)
                gateway = server.Gateway(given, bus, MemoryCache(), database)
                serving = tasks.create_task(gateway.serve(listener, stop))
                target = Target(listener.getsockname()[1], database, gateway._entrance)
                await _listens(target)
                yield target
                stop.set()
                await serving

    with caplog.at_level(logging.INFO):
        yield start
    assert [one for one in caplog.records if one.levelno >= logging.ERROR or one.exc_info] == []


@pytest.fixture
async def target(start_target: StartTarget) -> AsyncIterator[Target]:
    """The usual one: requests may come fast, but not for ever."""
    limits = HttpLimits(read_timeout_s=1.0, max_per_address=100)
    rates = dict.fromkeys((Limit.MARKET, Limit.HISTORY), Rate(100, 1_000)) | {Limit.ACCOUNT: Rate(1, 200)}
    async with start_target(http=limits, rates=rates) as running:
        yield running


async def _list_symbols(registry: Registry) -> None:
    await registry.open()
    listed = [
        Instrument(symbol=name, venue="binance", native=name, price_precision=2)
        for name in ("BTCUSDT", "ETHUSDT")
    ]
    await registry.register(listed)


async def _listens(target: Target) -> None:
    async with asyncio.timeout(20), target.http() as http:
        while True:
            try:
                if len((await http.get("/api/v1/symbols")).json()) >= 2:
                    return
            except httpx.TransportError:  # it is still on its way to its port
                pass
            await asyncio.sleep(0.01)
