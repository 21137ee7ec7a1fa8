"""One gateway, put together: from the bus to its clients, and everything that they may ask."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine, Iterator
from importlib.metadata import version
from typing import Any, Final
from uuid import uuid4

import structlog
import uvicorn
from starlette.types import ASGIApp

from gateway.accounts.accounts import Accounts
from gateway.accounts.identity import Identity
from gateway.accounts.market_watch import MarketWatch
from gateway.addresses import TrustedProxies
from gateway.api.app import AppParts, build_app
from gateway.api.asked_prices import AskedPrices
from gateway.api.guard import Guard, client_name
from gateway.api.ledger import Ledger
from gateway.api.limits import RequestLimits, TooManyRequests
from gateway.api.metrics import Metrics
from gateway.api.operations import Limit
from gateway.api.origins import Origins
from gateway.api.readings import GatewayParts, read_fleet, read_gateway
from gateway.api.services import endpoints
from gateway.api.state_log import run_state_log
from gateway.api.traffic import Traffic
from gateway.cache.cache import Cache
from gateway.cache.memory import MemoryCache
from gateway.demand import DemandPublisher
from gateway.feed_watch import FeedWatch
from gateway.history.windows import History
from gateway.http.entrance import Entrance
from gateway.http.protocol import http_protocol
from gateway.ledger import LedgerWriter, open_ledger
from gateway.metadata.database import Database, wall_clock_ms
from gateway.metadata_watch import MetadataWatch
from gateway.native.sender import Sender
from gateway.recorded import RecordedReader
from gateway.registry import Registry
from gateway.repair import Repair, TradeFetcher
from gateway.roles.options import GatewayOptions
from gateway.wire import WireReader
from gateway.ws.access import Access
from gateway.ws.candles.replays import CandleReplays
from gateway.ws.delivery import Replays
from gateway.ws.door import protocol_class
from gateway.ws.endpoint import Clients
from gateway.ws.fanout import Fanout
from processors.bus import Bus
from protocol.symbols import SymbolTable

STOP_TIMEOUT_S: Final = 3

log = structlog.get_logger()


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
        self._parts = self._list_parts()
        self._metrics = Metrics(
            options.name, lambda: read_gateway(self._parts), lambda: read_fleet(self._watch), bus
        )

    def _build_streams(self, symbols: SymbolTable) -> None:
        """From the bus to the fan-out."""
        self._sender = Sender(self._options.clients.send)
        self._fanout = fanout = Fanout(symbols, self._sender)
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

        async def edit_wait_s(identity: Identity) -> float:
            try:
                await limits.spend(Limit.ACCOUNT, client_name(identity, ""))
            except TooManyRequests as error:
                return error.retry_after_s
            return 0.0

        self._access = Access(
            self._accounts,
            self._market_watch,
            self._origins.allows,
            proxies,
            any_page=self._origins.anybody,
            edit_wait_s=edit_wait_s,
        )
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

    def _list_parts(self) -> GatewayParts:
        return GatewayParts(
            clients=self._clients,
            reader=self._reader,
            recorded=self._recorded,
            repair=self._repair,
            history=self._history,
            watch=self._watch,
            traffic=Traffic(),
            bus=self._bus,
            version=version("tickgate"),
            entrance=self._entrance,
            cache_is_down=lambda: self._cache.is_down,
            metadata=lambda: self._metadata.part,
        )

    def _build_app(self) -> ASGIApp:
        app = AppParts(
            gateway=self._parts,
            prices=self._prices,
            ledger=self._ledger.table,
            accounts=self._accounts,
            market_watch=self._market_watch,
            guard=self._guard,
            metrics=self._metrics,
            origins=self._origins,
            cors=self._options.cors,
            answer_timeout_s=self._options.answer_timeout_s,
            enigma_enabled=self._options.enigma_enabled,
        )
        return build_app(app)

    async def serve(self, listener: socket.socket, stop: asyncio.Event) -> None:
        """Serve on an open port until `stop` is set."""
        await self._registry.open()
        await open_ledger(self._bus)
        server = _Server(
            uvicorn.Config(
                self._build_app(),
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
        with self._sender:
            await self._serve(server, listener, stop)
        await self._demand.leave()
        await self._writer.drain()

    async def _serve(self, server: uvicorn.Server, listener: socket.socket, stop: asyncio.Event) -> None:
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
                slow=[self._metrics.endpoint()],
                tasks=tasks,
            )
            serving = tasks.create_task(server.serve([listener]))
            port, symbols = listener.getsockname()[1], len(self._registry.table)
            log.info("gateway.listening", port=port, symbols=symbols, send=self._sender.way)
            await stop.wait()
            server.should_exit = True
            await serving
            for task in background:
                task.cancel()

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
            lambda: run_state_log(self._parts),
        ]


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
