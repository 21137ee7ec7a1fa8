"""Processes of this benchmark that are told what to do by lines on their stdin, and answer on their stdout.

`Child` is the one end; `read_order` and `say` are the other, in the process itself.
"""

import asyncio
import contextlib
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from typing import Any, Final

from bench.ingest.errors import Ended

ANSWER_TIMEOUT_S: Final = 30.0


class Child:
    """A running one."""

    def __init__(self, name: str, process: Process) -> None:
        self.pid = process.pid
        self._name = name
        self._process = process

    async def tell(self, line: str) -> None:
        assert self._process.stdin is not None  # it is a pipe
        self._process.stdin.write(line.encode() + b"\n")
        await self._process.stdin.drain()

    async def ask(self, line: str) -> str:
        """Raises TimeoutError or Ended."""
        await self.tell(line)
        assert self._process.stdout is not None  # it is a pipe
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            answer = await self._process.stdout.readline()
        if not answer:
            raise Ended(self._name, await self._process.wait())
        return answer.decode().strip()

    async def order(self, **what: Any) -> str:
        """Give it its order, and return what it answers to that."""
        return await self.ask(json.dumps(what))


@contextlib.asynccontextmanager
async def run_module(name: str) -> AsyncIterator[Process]:
    """Run a module of this folder, and kill it at the end: it has nothing to save."""
    argv = [sys.executable, "-m", f"bench.ingest.{name}"]
    process = await asyncio.create_subprocess_exec(*argv, stdin=PIPE, stdout=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


# In the process itself


def read_order() -> dict[str, Any]:
    """Read the first line of stdin. Nothing must follow before it is answered: it could be read along."""
    return dict(json.loads(sys.stdin.readline()))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
