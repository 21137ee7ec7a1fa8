"""What `tickgate up` needs from its machine and its network, looked at one by one.

Each check says ok, warn (it works, worse) or fail (it will not work), and what to do. A venue's
socket must deliver and not only open: an address can be dead and still shake hands.
"""

import asyncio
import platform
import shutil
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

from gateway.config.load import Settings
from gateway.exchanges.venue import Venue
from gateway.feeds.connections.rhythm import Mute
from gateway.feeds.connections.socket import open_socket
from gateway.feeds.connections.turn import read_turn
from gateway.feeds.errors import VenueError
from gateway.feeds.rest import Rest
from gateway.natsd import NatsFailed, find_nats_server
from gateway.processes.ports import PortTaken, find_free_port
from protocol.market import Ack, Shutdown

ENOUGH_BYTES: Final = 1 << 30
LEAST_BYTES: Final = 100 << 20
MAX_CLOCK_OFFSET_MS: Final = 1_000
"""Above it the ages that clients see say more about this clock than about the prices."""
CONNECT_TIMEOUT_S: Final = 5.0
DELIVERY_TIMEOUT_S: Final = 10.0
BUSY: Final = {"binance": "BTCUSDT", "binance-usdm": "BTCUSDT", "binance-coinm": "BTCUSD_PERP"}
"""A symbol of each venue that trades every second."""


class Verdict(Enum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(NamedTuple):
    verdict: Verdict
    text: str


async def examine(settings: Settings, venues: Sequence[Venue]) -> AsyncIterator[Finding]:
    """Check everything, the machine first, each venue's network after it."""
    yield check_python(sys.version_info[:2])
    yield await check_nats(settings.messaging.nats.url)
    yield check_port(settings.server.host, settings.server.port)
    yield check_folder(settings.data.folder)
    for venue in venues:
        rest = await check_rest(venue)
        yield rest
        if rest.verdict is not Verdict.FAIL:
            for kind in one_kind_per_address(venue, settings.exchange.streams):
                yield await check_socket(venue, kind)


def check_python(version: tuple[int, ...]) -> Finding:
    text = f"Python {'.'.join(str(part) for part in version)} on {platform.system()}"
    if version < (3, 11):
        return Finding(Verdict.FAIL, f"{text}: 3.11 or newer is needed")
    return Finding(Verdict.OK, text)


async def check_nats(url: str) -> Finding:
    """Say whether our own nats-server runs, or that an outside one is used."""
    if url:
        return Finding(Verdict.OK, "NATS: NATS_URL names servers, none of our own is started")
    try:
        program = find_nats_server()
        process = await asyncio.create_subprocess_exec(program, "--version", stdout=PIPE, stderr=STDOUT)
        said, _ = await process.communicate()
    except (NatsFailed, OSError) as error:
        return Finding(Verdict.FAIL, f"nats-server does not run: {error}")
    if process.returncode:
        return Finding(Verdict.FAIL, f"nats-server does not run: {said.decode(errors='replace').strip()}")
    return Finding(Verdict.OK, said.decode(errors="replace").strip())


def check_port(host: str, port: int) -> Finding:
    try:
        find_free_port(host, port)
    except PortTaken as error:
        return Finding(Verdict.FAIL, str(error))
    return Finding(Verdict.OK, f"port {port} on {host} is free")


def check_folder(folder: Path) -> Finding:
    """Write a file there, or where it would be made, and look at the room that is left."""
    absolute = folder.resolve()
    place = next(one for one in (absolute, *absolute.parents) if one.exists())
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"tickgate")
    except OSError as error:
        return Finding(Verdict.FAIL, f"cannot write to {place}: {error.strerror}; try another --data")
    return judge_room(folder, shutil.disk_usage(place).free)


def judge_room(folder: Path, free_bytes: int) -> Finding:
    text = f"data folder {folder}: writable, {free_bytes / (1 << 30):.1f} GiB free"
    if free_bytes < LEAST_BYTES:
        return Finding(Verdict.FAIL, f"{text}; make room or choose another with --data")
    return Finding(Verdict.WARN if free_bytes < ENOUGH_BYTES else Verdict.OK, text)


async def check_rest(venue: Venue) -> Finding:
    """Ask the venue for its time, and compare it with ours."""
    asked_s = time.time()
    try:
        async with Rest(venue, timeout_s=CONNECT_TIMEOUT_S, first_backoff_ms=100) as rest:
            venue_ms = await rest.server_time()
    except VenueError as error:
        return Finding(Verdict.FAIL, f"{venue.name}: {error}")
    answered_s = time.time()
    return judge_clock(
        venue.name, venue_ms - (asked_s + answered_s) / 2 * 1000, (answered_s - asked_s) * 1000
    )


def judge_clock(name: str, offset_ms: float, round_trip_ms: float) -> Finding:
    """Judge the difference of the clocks, known to half a round trip."""
    if abs(offset_ms) - round_trip_ms / 2 > MAX_CLOCK_OFFSET_MS:
        apart = f"{name}: its clock is {offset_ms / 1000:+.1f} s from ours"
        return Finding(Verdict.WARN, f"{apart}; synchronise this machine's, by NTP")
    return Finding(
        Verdict.OK, f"{name}: REST answers in {round_trip_ms:.0f} ms, clocks {offset_ms:+.0f} ms apart"
    )


def one_kind_per_address(venue: Venue, kinds: Sequence[str]) -> list[str]:
    """Choose one of the wanted kinds of stream for each address that serves them."""
    by_category = {venue.categories[kind]: kind for kind in reversed(kinds)}
    return sorted(by_category.values(), key=list(kinds).index)


async def check_socket(venue: Venue, kind: str) -> Finding:
    """Subscribe to a busy symbol and wait for its first price."""
    url = venue.url(kind)
    stream = venue.dialect.stream_name(BUSY[venue.name], kind)
    came, acknowledged = asyncio.Event(), asyncio.Event()

    def on_notice(notice: Ack | Shutdown) -> None:
        if isinstance(notice, Ack):
            acknowledged.set()

    def on_messages(messages: list[bytes], received_us: int) -> None:  # noqa: ARG001  # open_socket's signature
        # Nothing that we can read is nothing that came.
        if read_turn(messages, venue.dialect.parse, on_notice, lambda _data, _error: None):
            came.set()

    started_s = time.monotonic()
    try:
        async with open_socket(url, on_messages, _nothing, came.set, CONNECT_TIMEOUT_S) as socket:
            socket.send(venue.dialect.subscribe([stream], 1))
            async with asyncio.timeout(DELIVERY_TIMEOUT_S):
                await came.wait()
            if socket.end is not None:
                return Finding(Verdict.FAIL, f"{venue.name}: {url} ended the connection: {socket.end}")
    except VenueError as error:
        return Finding(Verdict.FAIL, f"{venue.name}: {error}")
    except TimeoutError:
        mute = Mute.NO_DATA if acknowledged.is_set() else Mute.NO_ACK
        text = f"{url} connects and delivers nothing ({mute}: {stream}, {DELIVERY_TIMEOUT_S:g} s)"
        advice = "the address is dead; leave the endpoint unset to use the venue's own"
        return Finding(Verdict.FAIL, f"{venue.name}: {text}: {advice}")
    took_ms = (time.monotonic() - started_s) * 1000
    return Finding(Verdict.OK, f"{venue.name}: {url} delivers, first {kind} after {took_ms:.0f} ms")


def _nothing() -> None:
    """Hear of a ping; it needs no answer of ours."""
