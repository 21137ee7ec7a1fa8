"""The contenders but ours: how each is started, and what all of them are to the contest."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final, TypeAlias

from bench.fanout.compiled import KERNEL_LIMIT, compile_program
from bench.fanout.lines import Program, program
from bench.fanout.watchlists import handshakes, payloads
from gateway.processes.ports import find_free_port

PYTHON: Final = (sys.executable, "-P", "-m")
NODE: Final = Path(__file__).parent / "node"
INSTALL_TIMEOUT_S: Final = 120.0


class NotHere(Exception):
    """A contender cannot be had on this machine; the message says why."""


@dataclass(frozen=True, slots=True)
class Order:
    """What all contenders are to do."""

    folder: Path
    clients: int
    rate: float
    symbols: int
    lists: Sequence[Sequence[int]]
    """The watchlists; client number C has the list C modulo their number."""

    def write(self, name: str, data: bytes) -> Path:
        """Write a file for a process."""
        path = self.folder / name
        path.write_bytes(data)
        return path


@dataclass(frozen=True, slots=True)
class Contender:
    """One that runs."""

    name: str
    port: int
    pid: int
    """The server, whose CPU time and memory count."""
    sender: Program
    """Who is told to send: the server itself, or who publishes for it."""
    conversations: Path
    """What its clients send."""
    beside: Mapping[str, int] = field(default_factory=dict)
    """Processes that work for it, by their role."""

    async def send(self, rounds: int, timeout_s: float) -> None:
        await self.sender.ask(f"go {rounds}", timeout_s)


Start: TypeAlias = Callable[[Order], AbstractAsyncContextManager[Contender]]


def peer(name: str, command: Callable[[Order], Sequence[str]]) -> Start:
    """Return how a peer is started. `command`, which raises NotHere, may compile or install something."""

    @asynccontextmanager
    async def start(order: Order) -> AsyncIterator[Contender]:
        port, data = find_free_port(), payloads(order.lists)
        argv = [
            *await asyncio.to_thread(command, order),
            str(port),
            str(order.rate),
            str(len(data) // len(order.lists)),
            str(order.write(f"{name}.payloads", data)),
        ]
        async with program(name, argv) as server:
            await server.answer()
            conversations = order.write(f"{name}.conversations", handshakes(port, len(order.lists)))
            yield Contender(name, port, server.pid, server, conversations)

    return start


def kernel_limit(order: Order) -> Sequence[str]:
    return [str(compile_program(KERNEL_LIMIT, order.folder))]


def starlette(_: Order) -> Sequence[str]:
    return [*PYTHON, "bench.fanout.peers.starlette_send"]


def websockets_broadcast(_: Order) -> Sequence[str]:
    return [*PYTHON, "bench.fanout.peers.websockets_broadcast"]


def uwebsockets(_: Order) -> Sequence[str]:
    if find_spec("socketify") is None:
        raise NotHere("it is in the package socketify, which is not installed")
    return [*PYTHON, "bench.fanout.peers.uwebsockets_publish"]


def node_ws(_: Order) -> Sequence[str]:
    node = shutil.which("node")
    if node is None:
        raise NotHere("there is no node here")
    _install_ws()
    return [node, str(NODE / "send.js")]


def _install_ws() -> None:
    """Have npm install `ws` beside the program, unless it has."""
    if (NODE / "node_modules" / "ws").exists():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise NotHere("there is no npm here to install ws")
    try:
        subprocess.run([npm, "ci"], cwd=NODE, check=True, capture_output=True, timeout=INSTALL_TIMEOUT_S)
    except (subprocess.SubprocessError, OSError) as error:
        raise NotHere(f"npm cannot install ws: {error}") from error


PEERS: Final[dict[str, Start]] = {
    make.__name__: peer(make.__name__, make)
    for make in (kernel_limit, starlette, websockets_broadcast, node_ws, uwebsockets)
}
