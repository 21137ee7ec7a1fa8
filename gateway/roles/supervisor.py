"""The supervisor: everything that one machine needs, as child processes of one command.

nats-server (unless `NATS_URL` names a cluster), the simulated exchange in a demo, the
recorder, the feed workers, the gateways. How they are kept running is `processes/keeper.py`. Our own
children log to the stderr they inherit, each line with its role; nats-server's log is read
and passed on. One data folder has one supervisor, one port one set of gateways.
"""

import asyncio
import contextlib
import fcntl
import os
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from enum import IntEnum
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx
import structlog

from gateway.config.load import Settings, changed, environment_of
from gateway.config.values import show_value
from gateway.natsd import nats_server
from gateway.processes.child import child_process, describe_exit
from gateway.processes.keeper import ChildFailed, Role, keep_running
from gateway.processes.lifetime import Failure
from gateway.processes.ports import find_free_port, reachable_host, reserved_port
from gateway.roles.folder import is_recorder, told_bus

MAX_WORKERS: Final = 4
SLOW_START_S: Final = 30.0
_POLL_S: Final = 0.1

log = structlog.get_logger()


class Tier(IntEnum):
    """Who has to be up before whom; the last to start is the first to stop."""

    BUS = 0
    EXCHANGE = 1
    RECORDER = 2
    FEED = 3
    GATEWAY = 4


class FolderUnusable(Failure):
    """The data folder is another supervisor's, or cannot be written."""

    def __init__(self, folder: Path, reason: str) -> None:
        self.folder = folder
        self.reason = reason
        super().__init__(f"cannot use the data folder {folder}: {reason}")


async def run(
    settings: Settings,
    stop: asyncio.Event,
    environ: Mapping[str, str],
    say: Callable[[str], None],
    *,
    program: str,
    simulated: bool,
) -> None:
    """Run everything until `stop` is set. Raises Failure, maybe in a group, for what no restart mends.

    `say` tells the person who started it what to open and to try; `program` is what they type for us.
    """
    server = settings.server
    with locked_folder(settings.data.folder), reserved_port(server.host, server.port) as port:
        settings = changed(settings, {"server.port": port})
        if simulated:
            settings = at_simulated_exchange(settings, find_free_port(port=settings.sim.port))
        owns_bus = not settings.messaging.nats.url
        if owns_bus:
            settings = changed(settings, {"messaging.nats.url": f"nats://127.0.0.1:{find_free_port()}"})
        roles = plan_roles(settings, environ, simulated=simulated, owns_bus=owns_bus)
        say(f"tickgate starts: {', '.join(role.name for role in roles)} …")
        with told_bus(settings.data.folder, settings.messaging.nats.url):
            async with asyncio.TaskGroup() as tasks:
                base = f"{reachable_host(server.host)}:{port}"
                welcome = format_welcome(settings, base, program, simulated=simulated)
                announcing = tasks.create_task(_announce(base, welcome, say))
                await keep_running(roles, stop)
                announcing.cancel()
        say("tickgate has stopped.")


def feed_workers(settings: Settings, cores: int) -> int:
    """Say how many feed processes to run."""
    return settings.processor.workers or min(cores, MAX_WORKERS)


def at_simulated_exchange(settings: Settings, port: int) -> Settings:
    """Point every venue at the simulated exchange, carry all that it lists, and let anybody see it."""
    values: dict[str, Any] = {"sim.port": port, "exchange.symbols": "all"}
    if settings.auth.anonymous == "auto":
        values["auth.anonymous"] = "yes"  # there is nothing to protect
    for venue, path in (("", ""), ("usdm_", "/fstream"), ("coinm_", "/dstream")):
        values[f"exchange.{venue}ws_endpoint"] = f"ws://127.0.0.1:{port}{path}"
        values[f"exchange.{venue}rest_endpoint"] = f"http://127.0.0.1:{port}"
    return changed(settings, values)


def plan_roles(
    settings: Settings, environ: Mapping[str, str], *, simulated: bool, owns_bus: bool
) -> list[Role]:
    """List what has to run."""
    child_environ = {**environ, **environment_of(settings)}

    def ours(name: str, tier: Tier, *arguments: str) -> Role:
        # -P: the folder we are started in is not looked into for modules named like ours.
        argv = [sys.executable, "-P", "-m", "gateway.cli", *arguments, "--supervised"]
        return Role(name, tier, lambda: child_process(name, argv, child_environ))

    roles = []
    if owns_bus:
        roles.append(Role("nats-server", Tier.BUS, lambda: _open_nats(settings, environ)))
    if simulated:
        sim = ours("sim", Tier.EXCHANGE, "sim", "--data", str(settings.data.folder))
        url = f"{settings.exchange.rest_endpoint}/api/v3/ping"
        roles.append(Role(sim.name, sim.tier, lambda: _open_when_answering(sim, url)))
    recorder, folder = ours("recorder", Tier.RECORDER, "recorder"), settings.data.folder
    roles.append(Role(recorder.name, recorder.tier, lambda: _open_with_store(recorder, folder)))
    workers = feed_workers(settings, len(os.sched_getaffinity(0)))
    shards = [f"{shard}/{workers}" for shard in range(workers)]
    gateways = settings.server.gateways
    roles += [ours(f"feed {shard}", Tier.FEED, "feed", "--shard", shard) for shard in shards]
    roles += [
        ours(f"gateway {number}/{gateways}", Tier.GATEWAY, "gateway", "--reuse-port", "--number", f"{number}")
        for number in range(gateways)
    ]
    return roles


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Have the data folder to ourselves. The lock goes with the process, however that ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise FolderUnusable(folder, error.strerror or str(error)) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            raise FolderUnusable(folder, f"another tickgate uses it (process {owner})") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def format_welcome(settings: Settings, base: str, program: str, *, simulated: bool) -> str:
    """List what to open and what to try."""
    lines = [
        "",
        f"  tickgate is up{f', with SIMULATED prices of seed {settings.sim.seed}' if simulated else ''}",
        "",
        f"    page       http://{base}/",
        f"    stream     ws://{base}/api/v1/ws",
        f"    watch      {program} watch BTCUSDT ETHUSDT --url ws://{base}/api/v1/ws",
        f"    a price    curl http://{base}/api/v1/symbols/BTCUSDT/price",
        f"    NATS       {show_value(settings.messaging.nats.url)}",
    ]
    if not settings.anybody_may_read:
        lines.append(f"    who may    {program} user add NAME --data {settings.data.folder}")
        lines.append("               nobody else sees anything, unless AUTH_ANONYMOUS=yes")
    if simulated:
        exchange = settings.exchange.rest_endpoint
        lines.append(f"    exchange   {exchange}/api/v3/exchangeInfo")
        lines.append(f"""    a fault    curl -d '{{"kind": "cut", "seconds": 2}}' {exchange}/sim/faults""")
    return "\n".join([*lines, "", "  Ctrl-C stops everything.", ""])


@contextlib.asynccontextmanager
async def _open_nats(settings: Settings, environ: Mapping[str, str]) -> AsyncIterator[Process]:
    port = int(settings.messaging.nats.url.rpartition(":")[2])
    async with nats_server(settings.data.folder / "nats", port, environ) as server:
        yield server.process


@contextlib.asynccontextmanager
async def _open_when_answering(role: Role, url: str) -> AsyncIterator[Process]:
    async with role.open() as process, httpx.AsyncClient() as http:
        while not await _is_ok(http, url):
            if process.returncode is not None:
                raise ChildFailed(role.name, describe_exit(process.returncode))
            await asyncio.sleep(_POLL_S)
        yield process


@contextlib.asynccontextmanager
async def _open_with_store(role: Role, folder: Path) -> AsyncIterator[Process]:
    """Open the recorder, and wait until it has its store: a damaged one is told before anything else runs."""
    async with role.open() as process:
        while not is_recorder(folder, process.pid):
            if process.returncode is not None:
                raise ChildFailed(role.name, describe_exit(process.returncode))
            await asyncio.sleep(_POLL_S)
        yield process


async def _announce(base: str, welcome: str, say: Callable[[str], None]) -> None:
    """Say what to open as soon as prices flow; complain once if they do not come."""
    complain_at_s = time.monotonic() + SLOW_START_S
    async with httpx.AsyncClient() as http:
        while not await _is_ok(http, f"http://{base}/readyz"):
            if time.monotonic() > complain_at_s:
                complain_at_s = float("inf")
                log.warning(
                    "supervisor.no_prices_yet",
                    waited_s=SLOW_START_S,
                    look=f"http://{base}/api/v1/health/detailed",
                )
            await asyncio.sleep(_POLL_S)
    say(welcome)


async def _is_ok(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(url, timeout=2.0)).status_code == HTTPStatus.OK
    except httpx.TransportError:  # not listening yet
        return False
