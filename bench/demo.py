"""The whole of tickgate as a user starts it: `tickgate demo`, real processes on free ports."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from bench.machine import Process, tree
from gateway.processes.ports import find_free_port

LOOK_S: Final = 1.0
MESSAGE_S: Final = 100e-6
"""What exchange and recorder spend together on a message, at most."""
CALM_SHARE: Final = 0.3
"""Of a core, beside the messages: what is done at the start needs a whole one."""
CALM_LOOKS: Final = 2
"""One after the other: the recorder waits now and then for what it may ask of the exchange."""
CALM_TIMEOUT_S: Final = 120.0
WITHOUT_A_PAST: Final = {"FEATURE_ENIGMA_ENABLED": "false", "HISTORY_BACKFILL_BARS": "0"}
"""Settings for whoever looks at none: the simulated exchange works for seconds to make years of bars."""
START_TIMEOUT_S: Final = 60.0
ANSWER_TIMEOUT_S: Final = 30.0
"""Both on a machine that has much else to do."""


class DemoEnded(Exception):
    """It stopped by itself; what it said about that is on stderr."""

    def __init__(self, returncode: int) -> None:
        self.returncode = returncode
        super().__init__(f"tickgate demo ended with {returncode} before it was ready")


@dataclass
class Demo:
    """A running `tickgate demo`."""

    process: asyncio.subprocess.Process
    port: int
    sim_port: int
    data: Path

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/api/v1/ws"

    @property
    def sim(self) -> str:
        return f"http://127.0.0.1:{self.sim_port}"

    def children(self, role: str) -> list[Process]:
        return [one for one in tree(self.process.pid) if one.role == role]

    def kill(self, role: str) -> int:
        """Kill one child of a role without warning, and return its process id."""
        victim = self.children(role)[0].pid
        os.kill(victim, signal.SIGKILL)
        return victim

    async def get(self, path: str) -> Any:
        async with httpx.AsyncClient(base_url=self.http, timeout=ANSWER_TIMEOUT_S) as http:
            return (await http.get(path)).json()

    async def until_ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        await until_ok(f"{self.http}/readyz", self.process, timeout_s)

    async def symbols(self, count: int) -> list[dict[str, Any]]:
        """Return what can be watched, once all of it is carried: a gateway is ready before that."""
        listed: list[dict[str, Any]] = []

        async def are_carried() -> bool:
            listed[:] = await self.get("/api/v1/symbols")
            return len([one for one in listed if one["carried"]]) >= count

        await until(are_carried, START_TIMEOUT_S)
        return listed

    async def until_calm(self, messages_per_s: float = 0) -> None:
        """Wait until the recorder has what it fetches at its start, and the exchange has made it."""
        limit_s = LOOK_S * (CALM_SHARE + messages_per_s * MESSAGE_S)

        def spent_s() -> float:
            return sum(one.cpu_s for one in tree(self.process.pid) if one.role in ("recorder", "sim"))

        calm_looks = 0

        async def is_calm() -> bool:
            nonlocal calm_looks
            before_s = spent_s()
            await asyncio.sleep(LOOK_S)
            calm_looks = calm_looks + 1 if spent_s() - before_s < limit_s else 0
            return calm_looks == CALM_LOOKS

        await until(is_calm, CALM_TIMEOUT_S)

    async def stop(self, with_signal: signal.Signals = signal.SIGINT) -> int:
        with suppress(ProcessLookupError):
            self.process.send_signal(with_signal)
        return await asyncio.wait_for(self.process.wait(), 30)


async def until(condition: Callable[[], Awaitable[bool]], timeout_s: float = 30.0) -> None:
    """Look at other processes again and again until something about them is true: they send no event."""
    async with asyncio.timeout(timeout_s):
        while not await condition():  # noqa: ASYNC110  # what we look at has no event
            await asyncio.sleep(0.05)


async def until_ok(url: str, process: asyncio.subprocess.Process, timeout_s: float) -> None:
    async with httpx.AsyncClient() as http:

        async def is_ok() -> bool:
            if process.returncode is not None:
                raise DemoEnded(process.returncode)
            with suppress(httpx.TransportError):
                return (await http.get(url)).status_code == 200
            return False

        await until(is_ok, timeout_s)


async def until_gone(pids: list[int]) -> None:
    """Wait until none of these processes runs any more."""

    async def are_gone() -> bool:
        return not any(_runs(pid) for pid in pids)

    await until(are_gone)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@asynccontextmanager
async def run_demo(
    data: Path, *arguments: str, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Demo]:
    """Start a demo, with more settings if wanted, and wait until prices flow; leave none of it behind."""
    port, sim_port = find_free_port(), find_free_port()
    command = [sys.executable, "-m", "gateway.cli", "demo", "--data", str(data), *arguments]
    process = await asyncio.create_subprocess_exec(
        *command,
        "--port",
        str(port),
        "--sim-port",
        str(sim_port),
        stdout=asyncio.subprocess.DEVNULL,
        env=os.environ | (settings or {}),
    )
    demo = Demo(process, port, sim_port, data)
    try:
        await demo.until_ready()
        yield demo
    finally:
        family = [one.pid for one in tree(process.pid)]
        if process.returncode is None:
            await demo.stop()
        await until_gone(family)
