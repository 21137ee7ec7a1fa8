"""A process that is told by lines on its standard input and answers each by a line."""

import asyncio
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from gateway.processes.lifetime import Failure

ANSWER_TIMEOUT_S: Final = 60.0


class ProgramEnded(Failure):
    """It should have answered and has ended; what it said about that is on stderr."""

    def __init__(self, name: str, returncode: int) -> None:
        self.name = name
        self.returncode = returncode
        super().__init__(f"{name} ended with {returncode} instead of answering")


class Program:
    """A running one."""

    def __init__(self, name: str, process: Process) -> None:
        self.name: Final = name
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, line: str, timeout_s: float = ANSWER_TIMEOUT_S) -> str:
        """Tell it something and return its answer. Raises ProgramEnded or TimeoutError."""
        assert self._process.stdin is not None  # it is a pipe
        with suppress(ConnectionError):  # that it has ended shows below
            self._process.stdin.write(line.encode() + b"\n")
            await self._process.stdin.drain()
        return await self.answer(timeout_s)

    async def answer(self, timeout_s: float = ANSWER_TIMEOUT_S) -> str:
        """Return what it says next."""
        assert self._process.stdout is not None  # it is a pipe
        async with asyncio.timeout(timeout_s):
            line = await self._process.stdout.readline()
            if not line:
                raise ProgramEnded(self.name, await self._process.wait())
        return line.decode().strip()


@asynccontextmanager
async def program(name: str, argv: Sequence[str]) -> AsyncIterator[Program]:
    """Run a program; leave nothing of it behind."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=PIPE,
        stdout=PIPE,
        process_group=0,  # the terminal's Ctrl-C is for us; they end with their standard input
    )
    try:
        yield Program(name, process)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
