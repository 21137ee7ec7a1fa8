"""The gateway process: HTTP and WebSocket on one port, fed by the bus.

Stateless but for its clients: any number of these may share a port (SO_REUSEPORT) or stand
behind a load balancer.
"""

import asyncio
import contextlib
import resource
import socket
from collections.abc import Iterator
from importlib.metadata import version
from typing import Final
from uuid import uuid4

import structlog
import uvicorn
from starlette.requests import Request

from gateway.accounts.identity import Identity
from gateway.api.app import build_app
from gateway.api.ledger import Ledger
from gateway.api.operations import Operation
from gateway.api.services import endpoints
from gateway.config.load import Settings
from gateway.demand import DemandPublisher
from gateway.feed_watch import FeedWatch
from gateway.history.windows import History
from gateway.ledger import LedgerWriter, open_ledger
from gateway.recorded import RecordedReader
from gateway.registry import Registry
from gateway.repair import Repair, TradeFetcher
from gateway.roles.bus import bus_address, bus_name, bus_needed
from gateway.wire import WireReader
from gateway.ws.candles.replays import CandleReplays
from gateway.ws.delivery import Replays
from gateway.ws.door import protocol_class
from gateway.ws.endpoint import ClientLimits, Clients
from gateway.ws.fanout import Fanout
from processors.bus import Bus, connect
from protocol.session import Limits

STOP_TIMEOUT_S: Final = 3
SPARE_FILES: Final = 200
"""Open files that are no client's: logs, the bus, plain HTTP."""

log = structlog.get_logger()


async def run(settings: Settings, stop: asyncio.Event, *, reuse_port: bool = False) -> None:
    """Serve until `stop` is set; then say goodbye to every client and leave."""
    with (
        listen(settings.server.host, settings.server.port, reuse_port=reuse_port) as listener,
        bus_needed(),
    ):
        allow_open_files(settings.clients.max_connections)
        async with connect(bus_address(settings), bus_name(settings, "gateway"), stop) as bus:
            enigma_enabled = settings.features.enigma_enabled
            await serve(bus, listener, client_limits(settings), stop, enigma_enabled=enigma_enabled)
    log.info("gateway.stopped")


async def serve(
    bus: Bus,
    listener: socket.socket,
    limits: ClientLimits,
    stop: asyncio.Event,
    *,
    enigma_enabled: bool = True,
) -> None:
    """Serve on an open port and an open bus."""
    registry = Registry(bus)
    await registry.open()
    fanout = Fanout()
    await open_ledger(bus)
    writer = LedgerWriter(bus)
    fetcher = TradeFetcher(bus, registry.table)
    repair = Repair(fetcher, fanout, registry.table, writer.note)
    replays = Replays(fanout, fetcher.insist)
    recorded = RecordedReader(bus, fanout)
    candle_replays = CandleReplays(fanout, recorded.changed_after)
    clients = Clients(replays, candle_replays, registry.table, limits)
    recorded.on_out_of_reach = clients.on_out_of_reach
    history = History(bus, registry.table)
    demand = DemandPublisher(
        bus,
        f"gateway-{uuid4().hex}",
        registry.table,
        lambda: (*clients.watched(), history.wanted()),
    )
    clients.on_watched = history.on_wanted = demand.on_watched
    reader = WireReader(bus, registry, fanout, repair, clients.on_listed)
    ledger = Ledger(bus)
    watch = FeedWatch(bus, lambda: reader.sources)
    server = _Server(
        uvicorn.Config(
            build_app(
                clients,
                reader,
                repair,
                watch,
                ledger.table,
                history,
                bus,
                version("tickgate"),
                _OpenGate(),
                enigma_enabled=enigma_enabled,
            ),
            ws=protocol_class(clients),
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=STOP_TIMEOUT_S,
        )
    )
    await bus.serve(
        "tickgate-gateway", version("tickgate"), "newest prices and symbols", endpoints(clients), {}
    )
    async with asyncio.TaskGroup() as tasks:
        running = (
            reader.run,
            repair.run,
            replays.run,
            recorded.run,
            candle_replays.run,
            writer.run,
            ledger.run,
            watch.run,
            demand.run,
            clients.sweep,
        )
        background = [tasks.create_task(run()) for run in running]
        await reader.start()
        await recorded.start()
        await ledger.start()
        await history.start()
        await demand.start()
        serving = tasks.create_task(server.serve([listener]))
        log.info("gateway.listening", port=listener.getsockname()[1], symbols=len(registry.table))
        await stop.wait()
        server.should_exit = True
        await serving
        for task in background:
            task.cancel()
    await demand.leave()
    await writer.drain()


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


def client_limits(settings: Settings) -> ClientLimits:
    """Read from the settings what a client may do."""
    wanted = settings.clients
    return ClientLimits(
        session=Limits(wanted.messages_per_second, wanted.message_burst, wanted.max_symbols),
        max_connections=wanted.max_connections,
        max_message_bytes=wanted.max_message_bytes,
        max_buffer_bytes=wanted.max_buffer_bytes,
        max_lag_s=wanted.max_lag_s,
        ping_interval_s=wanted.ping_interval_s,
        pong_timeout_s=wanted.pong_timeout_s,
    )


class _OpenGate:
    """Anybody may read."""

    async def admit(self, operation: Operation, request: Request) -> Identity:  # noqa: ARG002  # no question asked
        return Identity()


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
