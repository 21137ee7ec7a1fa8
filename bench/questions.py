"""What charts ask a gateway for, how it is asked, and how long the answers take.

    warm    the newest bars of any symbol, running bar included: what charts ask for all day
    same    one of a few windows of the past, again and again
    pulse   the last two bars, as a chart asks every few seconds
    cold    windows of the past that nobody has asked for before

The clients are plain sockets in this process, and ask at fixed times: an answer that comes late does not
delay the next question, and its own delay counts from when it should have been asked.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from bench.demo import Demo
from bench.machine import cpu_by_role, tree
from bench.result import Row
from gateway.history.blocks import BLOCK_BARS, block_ms

MINUTE_MS: Final = 60_000
SAME: Final = 10
COLD_SHARE: Final = 0.2
"""Cold questions come at this share of the rate: each of them is work for the store."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store was filled with: 1m bars of these symbols, in [first_ms, end_ms)."""

    natives: list[str]
    first_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Load:
    """Questions of one kind, so many a second."""

    name: str
    rate: float
    paths: Iterator[str]
    packed: bool = False
    """Whether answers may come as gzip."""
    warm_up: tuple[str, ...] = ()


Path = Callable[[str, int, int], str]
"""Of a symbol, the time before which the window ends, and how many bars it has."""


def udf_path(native: str, to_ms: int, count: int) -> str:
    to_s = to_ms // 1_000
    window = {"resolution": "1", "from": to_s - count * 60, "to": to_s, "countback": count}
    return "/udf/history?" + urlencode({"symbol": f"BINANCE:{native}", **window})


def candles_path(native: str, to_ms: int, count: int) -> str:
    window = {"interval": "1m", "limit": count, "end": to_ms - 1}
    return "/api/v1/candles?" + urlencode({"symbol": f"BINANCE:{native}", **window})


def plan_loads(stored: Stored, window: int, rate: float, seed: int) -> list[Load]:
    """Say what is asked, in this order; no cold window is drawn twice, at whichever address."""
    draw = random.Random(seed)
    cold = draw_cold(stored, window, draw)
    past = [udf_path(*next(cold), window) for _ in range(SAME)]

    def newest(path: Path, count: int, native: str | None = None) -> str:
        return path(native or draw.choice(stored.natives), time.time_ns() // 1_000_000 + MINUTE_MS, count)

    def for_ever(make: Callable[[], str]) -> Iterator[str]:
        while True:
            yield make()

    all_udf, all_candles = (
        tuple(newest(path, window, native) for native in stored.natives) for path in (udf_path, candles_path)
    )
    warm = for_ever(lambda: newest(udf_path, window))
    return [
        Load("udf_warm", rate, warm, warm_up=all_udf),
        Load("udf_warm_gzip", rate, warm, packed=True, warm_up=all_udf),
        Load("udf_same_gzip", rate, for_ever(lambda: draw.choice(past)), packed=True, warm_up=tuple(past)),
        Load("udf_pulse", rate, for_ever(lambda: newest(udf_path, 2)), warm_up=all_udf),
        Load("udf_cold", rate * COLD_SHARE, (udf_path(*one, window) for one in cold)),
        Load("candles_warm", rate, for_ever(lambda: newest(candles_path, window)), warm_up=all_candles),
        Load("candles_cold", rate * COLD_SHARE, (candles_path(*one, window) for one in cold)),
    ]


def draw_cold(stored: Stored, window: int, draw: random.Random) -> Iterator[tuple[str, int]]:
    """Yield symbols and ends of windows of which no two touch the same block, in random order."""
    blocks = -(-window // BLOCK_BARS) + 1
    length_ms = block_ms(1)
    last = stored.end_ms // length_ms - 6  # what is newer is asked for by the others
    first = stored.first_ms // length_ms + 1
    slots = [(native, upto) for native in stored.natives for upto in range(last, first + blocks, -blocks)]
    draw.shuffle(slots)
    for native, upto in slots:
        yield native, upto * length_ms - draw.randrange(100) * MINUTE_MS


# Asking


async def measure(demo: Demo, load: Load, seconds: float) -> Row:
    """Ask at the load's rate, and return how long the answers took."""
    line = Lines(demo.port, load.packed)
    for path in load.warm_up:
        await line.get(path)
    before = tree(demo.process.pid)
    took_ms: list[float] = []
    sizes: list[int] = []
    failed = 0

    async def ask(path: str, due_s: float) -> None:
        nonlocal failed
        status, size = await line.get(path)
        took_ms.append((time.perf_counter() - due_s) * 1_000)
        sizes.append(size)
        failed += status != 200

    started_s = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        questions = range(max(1, round(load.rate * seconds)))
        for number, path in zip(questions, load.paths, strict=False):  # there may be fewer cold ones
            due_s = started_s + number / load.rate
            await asyncio.sleep(due_s - time.perf_counter())
            tasks.create_task(ask(path, due_s))
    spent = cpu_by_role(before, tree(demo.process.pid))
    line.close()
    took_ms.sort()
    return {
        "name": load.name,
        "asked": len(took_ms),
        "failed": failed,
        **{f"p{share}_ms": round(took_ms[(len(took_ms) - 1) * share // 100], 2) for share in (50, 95, 99)},
        "max_ms": round(took_ms[-1], 2),
        "kb": round(sum(sizes) / len(sizes) / 1_024, 1),
        "gateway_cpu_ms": round(spent.get("gateway", 0.0) * 1_000 / len(took_ms), 2),
        "recorder_cpu_ms": round(spent.get("recorder", 0.0) * 1_000 / len(took_ms), 2),
    }


class Lines:
    """Connections that are kept open, as many as are needed at once."""

    def __init__(self, port: int, packed: bool) -> None:
        self._port = port
        self._headers = "Host: gateway\r\n" + ("Accept-Encoding: gzip\r\n" if packed else "")
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def get(self, path: str) -> tuple[int, int]:
        """Return status and size of the answer."""
        reader, writer = await self._open()
        writer.write(f"GET {path} HTTP/1.1\r\n{self._headers}\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        size = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(size)
        self._idle.append((reader, writer))
        return int(head.split(maxsplit=2)[1]), size

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()  # nothing was asked on it for so long that the gateway has closed it
        return await asyncio.open_connection("127.0.0.1", self._port)

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()
