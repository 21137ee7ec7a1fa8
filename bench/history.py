"""History over HTTP: how soon a chart's window is there, warm and cold, from a store of many bars.

Real processes: the simulated exchange, a feed worker, the recorder on a store that was filled before, a
gateway. What is asked, and how, is in `questions.py`.
"""

import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from bench import store as market
from bench.demo import WITHOUT_A_PAST, Demo, run_demo, until, until_ok
from bench.questions import MINUTE_MS, Stored, measure, plan_loads, udf_path
from bench.result import Row, result
from gateway.config.flags import environ
from gateway.history.blocks import BLOCK_BARS
from gateway.processes.child import child_process
from gateway.processes.ports import find_free_port
from gateway.store.duck.store import DuckStore
from gateway.store.history import Change, Span
from protocol.bars import Series

DAY_BARS: Final = 1_440
PAGES_A_WRITE: Final = 50
START_TIMEOUT_S: Final = 60.0
VENUE: Final = "binance"
QUIET: Final = WITHOUT_A_PAST | {"EXCHANGE_STREAMS": "aggTrade,kline_1m"}
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
    """Measure once."""
    natives = await list_natives(params)
    with tempfile.TemporaryDirectory(prefix="tickgate-bench-") as folder:
        stored, ingest = await fill(params, Path(folder), natives)
        arguments = ["--workers", "1", "--symbols", str(params.symbols), "--rate", str(params.trades)]
        async with run_demo(Path(folder), *arguments, settings=QUIET) as demo:
            await _until_recorded(demo, natives)
            loads = plan_loads(stored, params.window, params.rate, params.seed)
            rows = [await measure(demo, load, params.seconds) for load in loads]
    return result("history", params, [ingest, *rows])


# The store


async def list_natives(params: Params) -> list[str]:
    """Ask the simulated exchange, alone, for what it calls its symbols."""
    async with _exchange(params) as sim:
        answer = await sim.get("/api/v3/exchangeInfo")
        return [one["symbol"] for one in answer.raise_for_status().json()["symbols"]]


@asynccontextmanager
async def _exchange(params: Params) -> AsyncIterator[httpx.AsyncClient]:
    port = find_free_port()
    url = f"http://127.0.0.1:{port}"
    argv = [sys.executable, "-P", "-m", "gateway.cli", "sim", "--supervised", "--port", str(port)]
    argv += ["--symbols", str(params.symbols), "--log-level", "error"]
    async with child_process("sim", argv, environ) as process, httpx.AsyncClient(base_url=url) as sim:
        await until_ok(f"{url}/api/v3/ping", process, START_TIMEOUT_S)
        yield sim


async def fill(params: Params, data: Path, natives: list[str]) -> tuple[Stored, Row]:
    """Write the days before now of every symbol, and say that they are all there is."""
    path = data / "history" / "history.duckdb"
    page = market.Params(symbols=params.symbols, page=BLOCK_BARS, seed=params.seed)
    end_ms = time.time_ns() // 1_000_000 // MINUTE_MS * MINUTE_MS
    first_ms = end_ms - params.pages * BLOCK_BARS * MINUTE_MS
    spent_s = 0.0
    async with DuckStore(path) as store:
        for number in range(params.pages):
            changes = []
            for symbol, native in enumerate(natives):
                bars = market.draw_page(page, symbol, number)
                bars["open_ms"] += first_ms - market.START_MS
                bars["version"] = bars["open_ms"] * 1_000 + MINUTE_MS * 1_000
                changes.append(Change(Series(VENUE, native, 1), bars))
            started_s = time.perf_counter()
            for start in range(0, len(changes), PAGES_A_WRITE):
                await store.write(changes[start : start + PAGES_A_WRITE])
            spent_s += time.perf_counter() - started_s
        for native in natives:
            await store.cover(Series(VENUE, native, 1), Span(first_ms, end_ms))
    count = params.pages * BLOCK_BARS * len(natives)
    ingest = {
        "name": "store_ingest",
        "bars": count,
        "bars_per_s": round(count / spent_s),
        "bytes_per_bar": round(path.stat().st_size / count, 1),
    }
    return Stored(natives, first_ms, end_ms), ingest


async def _until_recorded(demo: Demo, natives: list[str]) -> None:
    """Wait until the running bar of every symbol is to be had."""
    async with httpx.AsyncClient(base_url=demo.http, timeout=30) as http:
        for native in natives:

            async def is_there(native: str = native) -> bool:
                with suppress(httpx.TransportError):
                    to_ms = time.time_ns() // 1_000_000 + MINUTE_MS
                    answer = await http.get(udf_path(native, to_ms, 2))
                    return answer.status_code == 200 and answer.headers["cache-control"] == "no-cache"
                return False

            await until(is_there, 60)


# For people


def format_table(result: dict[str, Any]) -> str:
    """Lay the result out for a terminal."""
    params, (ingest, *loads) = result["params"], result["results"]["rows"]
    lines = [
        f"history: {params['symbols']} symbols x {params['days']:g} days, {ingest['bars']:,} bars, written"
        f" at {ingest['bars_per_s']:,}/s, {ingest['bytes_per_bar']} bytes each; windows of"
        f" {params['window']:,}, {params['rate']:g} questions/s",
        f"machine: {result['machine']['cpu']}, {result['machine']['cores']} cores",
        "",
        f"{'':<16}{'asked':>7}{'failed':>8}{'p50':>8}{'p95':>8}{'p99':>8}{'max':>8}  ms{'kB':>8}"
        f"{'gateway':>10}{'recorder':>10}  ms CPU each",
    ]
    for load in loads:
        times = "".join(f"{load[name]:>8.2f}" for name in ("p50_ms", "p95_ms", "p99_ms", "max_ms"))
        cpu = f"{load['gateway_cpu_ms']:>10.2f}{load['recorder_cpu_ms']:>10.2f}"
        lines.append(
            f"{load['name']:<16}{load['asked']:>7}{load['failed']:>8}{times}    {load['kb']:>8.1f}{cpu}"
        )
    return "\n".join(lines)
