"""The gateway process: HTTP and WebSocket on one port, fed by the bus.

Stateless but for its clients: any number of these may share a port (SO_REUSEPORT) or stand
behind a load balancer.
"""

import asyncio
import contextlib
import resource
import socket
from collections.abc import Iterator
from typing import Final

import structlog

from gateway.config.load import Settings
from gateway.roles.bus import bus_address, bus_name, bus_needed
from gateway.roles.gateway import Gateway
from gateway.roles.metadata import open_metadata
from gateway.roles.options import SPARE_CONNECTIONS, gateway_options
from gateway.roles.redis import open_own_cache
from processors.bus import connect

SPARE_FILES: Final = SPARE_CONNECTIONS + 300
"""Open files that are no stream's: plain HTTP, who is turned away, the bus, databases, logs."""

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
            open_own_cache(settings) as cache,
            open_metadata(settings) as database,
        ):
            await Gateway(options, bus, cache, database).serve(listener, stop)
    log.info("gateway.stopped")


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
