"""The gateway process: HTTP and WebSocket on one port, fed by the bus.

Stateless but for its clients: any number of these may share a port (SO_REUSEPORT) or stand
behind a load balancer.
"""

import asyncio
import contextlib
import resource
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from importlib.metadata import version
from typing import Any, Final
from uuid import uuid4

import structlog
import uvicorn
from starlette.types import ASGIApp

from gateway.accounts.accounts import Accounts
from gateway.accounts.market_watch import MarketWatch
from gateway.addresses import TrustedProxies
from gateway.api.app import AppParts, build_app
from gateway.api.asked_prices import AskedPrices
from gateway.api.guard import Guard
from gateway.api.ledger import Ledger
from gateway.api.limits import RequestLimits
from gateway.api.metrics import Metrics
from gateway.api.origins import Origins
from gateway.api.readings import GatewayParts, read_fleet, read_gateway
from gateway.api.services import endpoints
from gateway.api.traffic import Traffic
from gateway.cache.cache import Cache
from gateway.cache.memory import MemoryCache
from gateway.cache.open import open_cache
from gateway.config.load import Settings
from gateway.demand import DemandPublisher
from gateway.feed_watch import FeedWatch
from gateway.history.windows import History
from gateway.http.entrance import Entrance
from gateway.http.protocol import http_protocol
from gateway.ledger import LedgerWriter, open_ledger
from gateway.metadata.database import Database, wall_clock_ms
from gateway.metadata_watch import MetadataWatch
from gateway.recorded import RecordedReader
from gateway.registry import Registry
from gateway.repair import Repair, TradeFetcher
from gateway.roles.bus import bus_address, bus_name, bus_needed
from gateway.roles.metadata import open_metadata
from gateway.roles.options import GatewayOptions, gateway_options
from gateway.wire import WireReader
from gateway.ws.access import Access
from gateway.ws.candles.replays import CandleReplays
from gateway.ws.delivery import Replays
from gateway.ws.door import protocol_class
from gateway.ws.endpoint import Clients
from gateway.ws.fanout import Fanout
from processors.bus import Bus, connect
from protocol.symbols import SymbolTable

STOP_TIMEOUT_S: Final = 3
SPARE_FILES: Final = 200
"""Open files that are no client's: logs, the bus, plain HTTP."""

log = structlog.get_logger()


async def run(settings: Settings, stop: asyncio.Event, *, reuse_port: bool = False, number: int = 0) -> None:
    """Serve until `stop` is set; then say goodbye to every client and leave.

    `number` tells apart the gateways that share a port.
    """
    host, port = settings.server.host, settings.server.port
    options = gateway_options(settings, f"{socket.gethostname()}:{port}/{number}")
    with listen(host, port, reuse_port=reuse_port) as listener, bus_needed():
        allow_open_files(settings.clients.max_connections)
        async with (
            connect(bus_address(settings), bus_name(settings, "gateway"), stop) as bus,
            open_cache_of(settings) as cache,
            open_metadata(settings) as database,
        ):
            await Gateway(options, bus, cache, database).serve(listener, stop)
    log.info("gateway.stopped")


class Gateway:
    """Everything in one gateway process, put together."""

    def __init__(self, options: GatewayOptions, bus: Bus, cache: Cache, database: Database) -> None:
        self._options = options
        self._bus = bus
        self._cache = cache
        self._database = database
        self._registry = registry = Registry(bus)
        self._build_streams(registry.table)
        self._build_accounts()
        self._clients = Clients(
            self._replays, self._candle_replays, registry.table, options.clients, self._access
        )
        self._build_history(registry.table)

    def _build_streams(self, symbols: SymbolTable) -> None:
        """From the bus to the fan-out."""
        self._fanout = fanout = Fanout()
        self._writer = LedgerWriter(self._bus)
        fetcher = TradeFetcher(self._bus, symbols)
        self._repair = Repair(fetcher, fanout, symbols, self._writer.note)
        self._replays = Replays(fanout, fetcher.insist)
        self._recorded = RecordedReader(self._bus, fanout)
        self._candle_replays = CandleReplays(fanout, self._recorded.changed_after)

    def _build_accounts(self) -> None:
        """Who may do what."""
        options, database = self._options, self._database
        proxies, self._origins = TrustedProxies(options.proxies), Origins(options.origins)
        self._accounts = Accounts(database, self._cache, self._bus, options.accounts)
        self._market_watch = MarketWatch(
            database.watchlists,
            database.sessions,
            self._cache,
            self._bus,
            options.max_watched,
            wall_clock_ms,
        )
        limits = RequestLimits(self._cache, options.rates)
        self._guard = Guard(self._accounts, limits, self._origins, proxies)
        self._access = Access(self._accounts, self._market_watch, self._origins.allows, proxies)
        self._entrance = Entrance(options.http, proxies)
        self._metadata = MetadataWatch(database.check)

    def _build_history(self, symbols: SymbolTable) -> None:
        """What is asked for over HTTP, and what all of it together makes us want."""
        bus, clients = self._bus, self._clients
        shared = None if isinstance(self._cache, MemoryCache) else self._cache
        self._history = History(bus, symbols, shared=shared)
        self._prices = AskedPrices(self._fanout, shared)
        self._demand = DemandPublisher(
            bus,
            f"gateway-{uuid4().hex}",
            symbols,
            lambda: (*clients.watched(), self._history.wanted(), self._prices.wanted()),
        )
        clients.on_watched = self._history.on_wanted = self._prices.on_wanted = self._demand.on_watched
        self._recorded.on_out_of_reach = clients.on_out_of_reach
        self._reader = WireReader(bus, self._registry, self._fanout, self._repair, clients.on_listed)
        self._ledger = Ledger(bus)
        self._watch = FeedWatch(bus, lambda: self._reader.sources)

    def _build_app(self) -> tuple[ASGIApp, Metrics]:
        parts = GatewayParts(
            clients=self._clients,
            reader=self._reader,
            recorded=self._recorded,
            repair=self._repair,
            history=self._history,
            watch=self._watch,
            traffic=Traffic(),
            bus=self._bus,
            version=version("tickgate"),
            cache_is_down=lambda: self._cache.is_down,
            metadata=lambda: self._metadata.part,
        )
        metrics = Metrics(
            self._options.name, lambda: read_gateway(parts), lambda: read_fleet(self._watch), self._bus
        )
        app = AppParts(
            gateway=parts,
            prices=self._prices,
            ledger=self._ledger.table,
            accounts=self._accounts,
            market_watch=self._market_watch,
            guard=self._guard,
            metrics=metrics,
            origins=self._origins,
            cors=self._options.cors,
            answer_timeout_s=self._options.answer_timeout_s,
            enigma_enabled=self._options.enigma_enabled,
        )
        return build_app(app), metrics

    async def serve(self, listener: socket.socket, stop: asyncio.Event) -> None:
        """Serve on an open port until `stop` is set."""
        await self._registry.open()
        await open_ledger(self._bus)
        app, metrics = self._build_app()
        server = _Server(
            uvicorn.Config(
                app,
                http=http_protocol(self._entrance),
                ws=protocol_class(self._clients),
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # the entrance knows whom to believe
                timeout_graceful_shutdown=STOP_TIMEOUT_S,
            )
        )
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(run()) for run in self._running()]
            for part in (self._reader, self._recorded, self._ledger, self._history, self._market_watch):
                await part.start()
            await self._demand.start()
            about = "newest prices and symbols"
            await self._bus.serve(
                "tickgate-gateway",
                version("tickgate"),
                about,
                endpoints(self._clients),
                {},
                slow=[metrics.endpoint()],
                tasks=tasks,
            )
            serving = tasks.create_task(server.serve([listener]))
            port, symbols = listener.getsockname()[1], len(self._registry.table)
            log.info("gateway.listening", port=port, symbols=symbols)
            await stop.wait()
            server.should_exit = True
            await serving
            for task in background:
                task.cancel()
        await self._demand.leave()
        await self._writer.drain()

    def _running(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """What goes on all the time."""
        return [
            self._reader.run,
            self._repair.run,
            self._replays.run,
            self._recorded.run,
            self._candle_replays.run,
            self._writer.run,
            self._ledger.run,
            self._watch.run,
            self._demand.run,
            self._accounts.run,
            self._market_watch.run,
            self._access.run,
            self._metadata.run,
            self._clients.sweep,
        ]


@contextlib.asynccontextmanager
async def open_cache_of(settings: Settings) -> AsyncIterator[Cache]:
    """Open Redis if the settings name one, else memory of our own."""
    redis = settings.cache.redis
    password = redis.password.get_secret_value()
    async with open_cache(redis.addr, password, redis.db, redis.pool_size) as cache:
        yield cache


@contextlib.contextmanager
def listen(host: str, port: int, *, reuse_port: bool) -> Iterator[socket.socket]:
    """Open the port before anything else, so that a taken one is known at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # TCP by name: without it asyncio does not know that it is, and leaves Nagle's delay on connections.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.setblocking(False)
        yield listener


def allow_open_files(clients: int) -> None:
    """Raise this process's limit of open files so far that every client has one, if the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(clients + SPARE_FILES, hard) if hard != resource.RLIM_INFINITY else clients + SPARE_FILES
    if wanted > soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if wanted < clients + SPARE_FILES:
        log.warning("gateway.few_open_files", allowed=hard, clients=clients)


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
