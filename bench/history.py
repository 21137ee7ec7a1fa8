"""History over HTTP: how soon a chart's window is there, warm and cold, from a store of many bars.

Real processes: the simulated exchange, a feed worker, the recorder on a store that was filled before, a
gateway. The clients are plain sockets in this process, and ask at fixed times: an answer that comes late does
not delay the next question, and its own delay counts from when it should have been asked.

    warm    the newest 2,000 bars of any symbol, running bar included: what charts ask for all day
    same    one of a few windows of the past, again and again
    cold    windows of the past that nobody has asked for before
    pulse   the last two bars, as a chart asks every few seconds
"""

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx

from bench import store as market
from bench.demo import Demo, run_demo, until
from bench.machine import cpu_by_role, describe_machine, tree
from gateway.history.blocks import BLOCK_BARS, block_ms
from gateway.store.duck.store import DuckStore
from gateway.store.history import Change, Span
from protocol.bars import Series

MINUTE_MS: Final = 60_000
DAY_BARS: Final = 1_440
PAGES_A_WRITE: Final = 50
SAME: Final = 10
VENUE: Final = "binance"
QUIET: Final = {"HISTORY_BACKFILL_BARS": "0", "EXCHANGE_STREAMS": "aggTrade,kline_1m"}
"""Nothing but what is measured, and what keeps it current."""


@dataclass(frozen=True, slots=True)
class Params:
    symbols: int = 50
    days: float = 90.0
    window: int = 2_000
    """Bars of one answer."""
    rate: float = 100.0
    """Questions a second; cold ones come at a fifth of it."""
    seconds: float = 10.0
    trades: float = 1.0
    """A second and symbol, while it is measured."""
    seed: int = 7

    @property
    def pages(self) -> int:
        return max(1, round(self.days * DAY_BARS / BLOCK_BARS))


async def run(params: Params) -> dict[str, Any]:
    """Measure once and return `{"name", "params", "machine", "results"}`."""
    with tempfile.TemporaryDirectory(prefix="tickgate-bench-") as folder:
        data = Path(folder)
        natives = await _listed(params, data)
        filled = await fill(params, data, natives)
        async with _demo(params, data) as demo:
            await _until_recorded(demo, natives)
            loads = [await measure(demo, load) for load in plan_loads(params, natives, filled["end_ms"])]
    return {
        "name": "history",
        "params": asdict(params),
        "machine": describe_machine(),
        "results": {"bars": filled["bars"], "ingest_bars_per_s": filled["bars_per_s"], "loads": loads},
    }


# The store


async def fill(params: Params, data: Path, natives: list[str]) -> dict[str, int]:
    """Write the days before now of every symbol, and say that they are all there is."""
    path = data / "history" / "history.duckdb"
    page = market.Params(symbols=params.symbols, page=BLOCK_BARS, seed=params.seed)
    end_ms = time.time_ns() // 1_000_000 // MINUTE_MS * MINUTE_MS
    first_ms = end_ms - params.pages * BLOCK_BARS * MINUTE_MS
    started_s = time.perf_counter()
    async with DuckStore(path) as store:
        for number in range(params.pages):
            changes = []
            for symbol, native in enumerate(natives):
                bars = market.draw_page(page, symbol, number)
                bars["open_ms"] += first_ms - market.START_MS
                bars["version"] = bars["open_ms"] * 1_000 + MINUTE_MS * 1_000
                changes.append(Change(Series(VENUE, native, 1), bars))
            for start in range(0, len(changes), PAGES_A_WRITE):
                await store.write(changes[start : start + PAGES_A_WRITE])
        for native in natives:
            await store.cover(Series(VENUE, native, 1), Span(first_ms, end_ms))
    count = params.pages * BLOCK_BARS * len(natives)
    return {"bars": count, "bars_per_s": round(count / (time.perf_counter() - started_s)), "end_ms": end_ms}


# The processes


@asynccontextmanager
async def _demo(params: Params, data: Path) -> AsyncIterator[Demo]:
    arguments = ["--workers", "1", "--symbols", str(params.symbols), "--rate", str(params.trades)]
    async with run_demo(data, *arguments, settings=QUIET) as demo:
        yield demo


async def _listed(params: Params, data: Path) -> list[str]:
    """Return what the exchange calls its symbols."""
    async with _demo(params, data) as demo:
        natives: list[str] = []

        async def are_all_there() -> bool:
            natives[:] = [one["symbol"] for one in await demo.get("/api/v1/symbols")]
            return len(natives) >= params.symbols

        await until(are_all_there)
    return natives


async def _until_recorded(demo: Demo, natives: list[str]) -> None:
    """Wait until the running bar of every symbol is to be had."""
    async with httpx.AsyncClient(base_url=demo.http, timeout=30) as http:
        for native in natives:

            async def is_there(native: str = native) -> bool:
                with suppress(httpx.TransportError):
                    to_ms = time.time_ns() // 1_000_000 + MINUTE_MS
                    answer = await http.get(history_path(native, to_ms, 2))
                    return answer.status_code == 200 and answer.headers["cache-control"] == "no-cache"
                return False

            await until(is_there, 60)


# The questions


@dataclass(frozen=True, slots=True)
class Load:
    name: str
    rate: float
    seconds: float
    paths: Iterator[str]
    packed: bool
    warm_up: tuple[str, ...] = ()


def plan_loads(params: Params, natives: list[str], end_ms: int) -> list[Load]:
    """Say what is asked, in this order; the cold windows are drawn without repetition."""
    draw = random.Random(params.seed)
    cold = draw_cold(params, natives, end_ms, draw)
    past = [next(cold) for _ in range(SAME)]

    def newest(count: int, native: str | None = None) -> str:
        return history_path(native or draw.choice(natives), time.time_ns() // 1_000_000 + MINUTE_MS, count)

    def for_ever(make: Callable[[], str]) -> Iterator[str]:
        while True:
            yield make()

    all_newest = tuple(newest(params.window, native) for native in natives)
    window = params.window
    return [
        Load("warm", params.rate, params.seconds, for_ever(lambda: newest(window)), False, all_newest),
        Load("warm, gzip", params.rate, params.seconds, for_ever(lambda: newest(window)), True, all_newest),
        Load(
            "same, gzip", params.rate, params.seconds, for_ever(lambda: draw.choice(past)), True, tuple(past)
        ),
        Load("pulse", params.rate, params.seconds, for_ever(lambda: newest(2)), False, all_newest),
        Load("cold", params.rate / 5, params.seconds, cold, False),
    ]


def draw_cold(params: Params, natives: list[str], end_ms: int, draw: random.Random) -> Iterator[str]:
    """Yield windows of which no two touch the same block, in random order."""
    blocks = -(-params.window // BLOCK_BARS) + 1
    length_ms = block_ms(1)
    last = end_ms // length_ms - 6  # what is newer is asked for by the others
    first = (end_ms - params.pages * length_ms) // length_ms + 1
    slots = [(native, upto) for native in natives for upto in range(last, first + blocks, -blocks)]
    draw.shuffle(slots)
    for native, upto in slots:
        yield history_path(native, upto * length_ms - draw.randrange(100) * MINUTE_MS, params.window)


def history_path(native: str, to_ms: int, count: int) -> str:
    to_s = to_ms // 1_000
    window = {"resolution": "1", "from": to_s - count * 60, "to": to_s, "countback": count}
    return "/udf/history?" + urlencode({"symbol": f"BINANCE:{native}", **window})


async def measure(demo: Demo, load: Load) -> dict[str, Any]:
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
        questions = range(max(1, round(load.rate * load.seconds)))
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
        "gateway_ms": round(spent.get("gateway", 0.0) * 1_000 / len(took_ms), 2),
        "recorder_ms": round(spent.get("recorder", 0.0) * 1_000 / len(took_ms), 2),
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


# For people


def format_table(result: dict[str, Any]) -> str:
    """Lay the result out for a terminal."""
    params, results = result["params"], result["results"]
    lines = [
        f"history: {params['symbols']} symbols x {params['days']:g} days, {results['bars']:,} bars, written"
        f" at {results['ingest_bars_per_s']:,}/s; windows of {params['window']:,},"
        f" {params['rate']:g} questions/s",
        f"machine: {result['machine']['cpu']}, {result['machine']['cores']} cores",
        "",
        f"{'':<12}{'asked':>7}{'failed':>8}{'p50':>8}{'p95':>8}{'p99':>8}{'max':>8}  ms{'kB':>8}"
        f"{'gateway':>10}{'recorder':>10}  ms CPU each",
    ]
    for load in results["loads"]:
        times = "".join(f"{load[name]:>8.2f}" for name in ("p50_ms", "p95_ms", "p99_ms", "max_ms"))
        cpu = f"{load['gateway_ms']:>10.2f}{load['recorder_ms']:>10.2f}"
        lines.append(
            f"{load['name']:<12}{load['asked']:>7}{load['failed']:>8}{times}    {load['kb']:>8.1f}{cpu}"
        )
    return "\n".join(lines)
