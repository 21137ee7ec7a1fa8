"""Many clients in one process: a program with `connections.h` in it, told what to do, asked what it saw."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.fanout.lines import ANSWER_TIMEOUT_S, Program, program
from gateway.processes.lifetime import Failure

MOST_SHARE: Final = 0.9
"""Of a core. A reader that takes more may be what limits the figures."""
SLOWEST_PER_S: Final = 100
"""Who lets in fewer clients a second is given up."""


class ReaderFailed(Failure):
    """The clients cannot do what they are told; says why."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What all clients of one contender have seen of one window."""

    frames: int
    bytes: int
    """Of the payloads."""
    strange: int
    """Frames whose first price is no time of the last minutes."""
    fewest: int
    """Frames of the client that got fewest."""
    lost: int
    """Clients whose connection has ended, ever."""
    seconds: float
    """From the beginning to the last frame."""
    share: float
    """What the reader took of a core."""
    p50_us: int
    p99_us: int


class Reader:
    """All clients of one server, in a process of their own."""

    def __init__(self, name: str, running: Program) -> None:
        self._name = name
        self._program = running

    @property
    def pid(self) -> int:
        return self._program.pid

    async def connect(self, port: int, count: int) -> float:
        """Connect more clients, wait until all are served, and return how long that took, in seconds."""
        timeout_s = ANSWER_TIMEOUT_S + count / SLOWEST_PER_S
        return float((await self._ask(f"connect {port} {count}", timeout_s))["seconds"])

    async def begin(self) -> None:
        await self._ask("begin")

    async def end(self, frames: int) -> Seen:
        """Return what was seen since the beginning, once there were so many frames or no more come."""
        return Seen(**await self.figures(frames))

    async def figures(self, frames: int = 0) -> dict[str, Any]:
        """Return the same as the program says it: each of them has figures of its own."""
        return await self._ask(f"end {frames}")

    async def _ask(self, line: str, timeout_s: float = ANSWER_TIMEOUT_S) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(await self._program.ask(line, timeout_s))
        if "error" in answer:
            raise ReaderFailed(f"the clients of {self._name}: {answer['error']}")
        return answer


@asynccontextmanager
async def reader(name: str, binary: Path, conversations: Path) -> AsyncIterator[Reader]:
    """Run the clients of a server, which send what is in the file."""
    async with program(f"the reader of {name}", [str(binary), str(conversations)]) as running:
        yield Reader(name, running)
