"""Gateways with accounts, of the real parts: bus, SQL, cache, streams, and the market watch over HTTP."""

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import uvicorn
from account_rig import QUICK
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_websocket

from gateway.accounts.accounts import Accounts, Rules
from gateway.accounts.market_watch import MarketWatch
from gateway.accounts.passwords import Passwords
from gateway.accounts.tokens import new_key, token_hash
from gateway.addresses import TrustedProxies
from gateway.api import market_watch as market_watch_api
from gateway.api.guard import Guard
from gateway.api.limits import RequestLimits
from gateway.api.origins import Origins
from gateway.cache.cache import Cache
from gateway.cache.memory import MemoryCache
from gateway.metadata.database import Database, open_database
from gateway.metadata.keys import StoredKey
from gateway.metadata.migrate import up
from gateway.native.sender import Sender
from gateway.roles import server
from gateway.ws.access import Access
from gateway.ws.candles.replays import CandleReplays
from gateway.ws.delivery import Replays
from gateway.ws.door import protocol_class
from gateway.ws.endpoint import ClientLimits, Clients
from gateway.ws.fanout import Fanout, now_us
from processors.bus import Bus, BusAddress, BusError, connect
from protocol.bars import BarsAnswer
from protocol.batches import Batch
from protocol.events import Price, Trade
from protocol.frames import decode_v1, decode_v2, encode_v2
from protocol.symbols import Instrument, SymbolTable

PASSWORD: Final = "a long enough one"
NAMES: Final = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
TIMEOUT_S: Final = 10.0


def instrument(symbol_id: int, symbol: str) -> Instrument:
    return Instrument(id=symbol_id, symbol=symbol, venue="test", native=symbol, price_precision=2)


@dataclass
class Gateway:
    """One process's worth of it."""

    port: int
    bus: Bus
    database: Database
    accounts: Accounts
    market_watch: MarketWatch
    clients: Clients
    access: Access

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(
        self, token: str = "", *, path: str = "/api/v1/ws", version: int = 1, **headers: str
    ) -> connect_websocket:
        """Open a stream, as a program that has this token or key."""
        shown = {"Authorization": f"Bearer {token}"} if token else {}
        return connect_websocket(
            f"ws://127.0.0.1:{self.port}{path}",
            subprotocols=["tickgate.v2"] if version == 2 else None,
            additional_headers=shown | {name.replace("_", "-"): value for name, value in headers.items()},
        )

    async def log_in(self, name: str) -> str:
        """Begin a session and return its token."""
        login = await self.accounts.login(name, PASSWORD, "127.0.0.1", "a test")
        return login.token

    async def ask(self, method: str, path: str, token: str, body: Any = None) -> httpx.Response:
        """Ask the market watch's HTTP."""
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as http:
            shown = {"Authorization": f"Bearer {token}"} if token else {}
            url = f"{self.http}/api/v1/marketwatch{path}"
            return await http.request(method, url, headers=shown, json=body)

    def price(self, symbol: str, price: float) -> None:
        """Let a feed worker have published a price."""
        symbol_id = self.clients.symbols.find(symbol).id
        frame = decode_v2(encode_v2([Price(symbol_id, 1 << 8, 0, price, 1.0)], now_us()))
        self.clients.fanout.on_batch(Batch(1, 1, now_us(), [frame]))

    def list_symbol(self, symbol_id: int, symbol: str) -> None:
        """Let a venue list one more."""
        self.clients.symbols.add(instrument(symbol_id, symbol))
        self.clients.on_listed()


@asynccontextmanager
async def open_metadata(folder: Path) -> AsyncIterator[Database]:
    """Open an SQLite file with all tables, and the users ann, who may see all, and bob, who may not."""
    url = f"sqlite:///{folder}/metadata.sqlite"
    await up(url)
    async with open_database(url) as database:
        await add_user(database, "ann")
        await add_user(database, "bob", ["BTC*"])
        yield database


@contextlib.contextmanager
def no_lists(folder: Path) -> Iterator[None]:
    """Have no query about market watches answered."""
    _run(folder, "ALTER TABLE market_watch RENAME TO away")
    yield
    _run(folder, "ALTER TABLE away RENAME TO market_watch")


def _run(folder: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(folder / "metadata.sqlite")) as file:
        file.execute(statement)


async def add_key(database: Database, user: str, *scopes: str) -> str:
    """Give a user an API key, and return it."""
    owner = await database.users.find(user)
    assert owner is not None
    key = new_key()
    stored = StoredKey(key.id, owner.id, token_hash(key.secret), "a test's", scopes, now_ms())
    await database.keys.add(stored)
    return key.text


async def add_user(database: Database, name: str, symbols: Sequence[str] = ()) -> int:
    """Add a user with the one password of all tests."""
    user = await database.users.add(name, await Passwords(QUICK).hash(PASSWORD), symbols)
    return user.id


@asynccontextmanager
async def run_guarded(
    nats_url: str,
    database: Database,
    cache: Cache | None = None,
    *,
    anonymous: bool = False,
    origins: Sequence[str] = (),
    proxies: Sequence[str] = (),
    most: int = 500,
    limits: ClientLimits | None = None,
) -> AsyncIterator[Gateway]:
    """Run a gateway until the block is left."""
    cache = cache or MemoryCache()
    async with connect(BusAddress([nats_url]), "guarded") as bus, asyncio.TaskGroup() as tasks:
        accounts = Accounts(database, cache, bus, Rules(anonymous=anonymous), Passwords(QUICK))
        market_watch = MarketWatch(database.watchlists, database.sessions, cache, bus, most, now_ms)
        pages, trusted = Origins(origins), TrustedProxies(proxies)
        access = Access(accounts, market_watch, pages.allows, trusted, any_page=pages.anybody)
        symbols = SymbolTable()
        fanout = Fanout(symbols, Sender((limits or ClientLimits()).send))
        for symbol_id, name in enumerate(NAMES, 1):
            symbols.add(instrument(symbol_id, name))
        replays = (Replays(fanout, _no_trades), CandleReplays(fanout, _no_bars))
        clients = Clients(*replays, symbols, limits or ClientLimits(), access)
        gate = Guard(accounts, RequestLimits(cache, {}), pages, trusted)
        app = _app(market_watch, symbols, gate)
        with server.listen("127.0.0.1", 0, reuse_port=False) as listener:
            web = uvicorn.Server(
                uvicorn.Config(
                    app, ws=protocol_class(clients), lifespan="off", log_config=None, access_log=False
                )
            )
            running = [one.run for one in (*replays, accounts, market_watch, access)]
            background = [tasks.create_task(run()) for run in (*running, clients.sweep)]
            await market_watch.start()
            await bus.flush()
            serving = tasks.create_task(web._serve([listener]))
            while not web.started:  # noqa: ASYNC110  # uvicorn says it in no other way
                await asyncio.sleep(0)
            yield Gateway(listener.getsockname()[1], bus, database, accounts, market_watch, clients, access)
            web.should_exit = True
            await serving
            for task in background:
                task.cancel()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def _app(market_watch: MarketWatch, symbols: SymbolTable, gate: Guard) -> Any:
    app = Starlette(routes=market_watch_api.routes(market_watch, symbols))

    async def gated(scope: Scope, receive: Receive, send: Send) -> None:
        scope["gate"] = gate
        await app(scope, receive, send)

    return gated


async def _no_trades(_symbol_id: int, _first: int, _last: int, _look_twice: bool) -> list[Trade]:
    return []


async def _no_bars(*_: Any) -> BarsAnswer:
    raise BusError("there is no recorder")


# What a stream brings


async def say(stream: ClientConnection, kind: str, **fields: Any) -> None:
    await stream.send(json.dumps({"type": kind, **fields}))


async def told(stream: ClientConnection) -> dict[str, Any]:
    """Return the next message, which has to be text."""
    message = await asyncio.wait_for(stream.recv(), TIMEOUT_S)
    assert isinstance(message, str), f"text was due, not {message!r}"
    answer: dict[str, Any] = json.loads(message)
    return answer


async def prices(stream: ClientConnection) -> list[tuple[int, float]]:
    """Return the next message, which has to be a frame of v1: ids and prices."""
    message = await asyncio.wait_for(stream.recv(), TIMEOUT_S)
    assert isinstance(message, bytes), f"a frame was due, not {message!r}"
    return [(row[0], row[1]) for row in decode_v1(message).tolist()]


async def ponged(stream: ClientConnection) -> list[Any]:
    """Return what comes before the answer to a ping that is sent now."""
    await say(stream, "ping")
    seen: list[Any] = []
    while True:
        message = await asyncio.wait_for(stream.recv(), TIMEOUT_S)
        parsed = json.loads(message) if isinstance(message, str) else decode_v1(message).tolist()
        if parsed == {"type": "pong"}:
            return seen
        seen.append(parsed)


async def closed_with(stream: ClientConnection) -> int | None:
    """Read until the gateway closes; return its code."""
    await asyncio.wait_for(stream.wait_closed(), TIMEOUT_S)
    return stream.close_code
