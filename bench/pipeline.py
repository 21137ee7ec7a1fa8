"""The whole pipeline, from the exchange's send to the client's decode.

Real processes: the simulated exchange, feed workers, nats-server, a gateway, and one process
with all the clients. Every update carries the exchange's microsecond; every client frame says
how old its values are. `/stats` of the gateway splits the way into hops.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from bench.demo import Demo, run_demo
from bench.machine import cpu_by_role, describe_machine, tree

READY_TIMEOUT_S: Final = 60.0
WARM_UP_S: Final = 2.0
RECORDS_ONLY: Final = {"HISTORY_BACKFILL_BARS": "0", "FEATURE_ENIGMA_ENABLED": "false"}
"""The recorder keeps what it hears; the first minutes of a demo, in which it loads the past of all symbols
and the simulated exchange makes it, are another matter."""
HOPS: Final = ("exchange_to_feed", "feed", "bus", "gateway")


@dataclass(frozen=True, slots=True)
class Params:
    """How large, and for how long."""

    symbols: int = 100
    rate: float = 10.0
    """Trades a second and symbol."""
    clients: int = 100
    watchlist: int = 20
    watchlists: int = 0
    """How many different ones there are; 0: every client has its own."""
    seconds: float = 10.0
    workers: int = 1
    streams: str = "aggTrade"
    """What is carried: `aggTrade`, or `aggTrade,bookTicker,miniTicker` as a gateway does by default."""


async def run(params: Params) -> dict[str, Any]:
    """Measure once and return `{"name", "params", "machine", "results"}`."""
    async with (
        _gateway(params) as demo,
        httpx.AsyncClient(base_url=demo.http) as http,
        _listeners(params, demo.port, await demo.symbols(params.symbols)) as listeners,
    ):
        await demo.until_calm()
        await asyncio.sleep(WARM_UP_S)
        await http.get("/stats", params={"reset": "hops"})
        before = tree(demo.process.pid) + tree(listeners.pid)
        await _tell(listeners, "start")
        await asyncio.sleep(params.seconds)
        await _tell(listeners, "stop")
        seen = json.loads(await _line(listeners))
        after = tree(demo.process.pid) + tree(listeners.pid)
        stats = (await http.get("/stats")).json()
    return {
        "name": "pipeline",
        "params": asdict(params),
        "machine": describe_machine(),
        "results": _results(params, seen, stats, cpu_by_role(before, after)),
    }


def _results(
    params: Params, seen: dict[str, Any], stats: dict[str, Any], cpu_s: dict[str, float]
) -> dict[str, Any]:
    updates = params.symbols * params.rate * params.seconds
    hops = {hop: stats["hops"][hop] for hop in HOPS} | {"client": seen["last_hop"]}
    return {
        **seen["age"],
        "hops": {
            hop: {name: round(value, 1) for name, value in figures.items() if name.startswith("p")}
            for hop, figures in hops.items()
        },
        "cpu_us_per_update": {role: round(spent * 1e6 / updates, 1) for role, spent in cpu_s.items()},
        "cpu_us_per_frame": round(cpu_s.get("gateway", 0.0) * 1e6 / max(seen["frames"], 1), 2),
        "updates_per_s": params.symbols * params.rate,
        "frames_per_s": round(seen["frames"] / params.seconds),
        "records_per_s": round(seen["records"] / params.seconds),
        "lost_clients": seen["lost_clients"],
        "slow_clients": stats["slow_clients"],
    }


# The processes


@asynccontextmanager
async def _gateway(params: Params) -> AsyncIterator[Demo]:
    arguments = ["--workers", str(params.workers), "--symbols", str(params.symbols)]
    arguments += ["--rate", str(params.rate)]
    with tempfile.TemporaryDirectory(prefix="tickgate-bench-") as data:
        settings = {"EXCHANGE_STREAMS": params.streams, **RECORDS_ONLY}
        async with run_demo(Path(data), *arguments, settings=settings) as demo:
            yield demo


@asynccontextmanager
async def _listeners(
    params: Params, port: int, listed: list[dict[str, Any]]
) -> AsyncIterator[asyncio.subprocess.Process]:
    symbols = [one["symbol"] for one in listed]
    order = {
        "host": "127.0.0.1",
        "port": port,
        "symbols": symbols,
        "clients": params.clients,
        "watchlist": params.watchlist,
        "watchlists": params.watchlists or params.clients,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.listeners",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        await _tell(process, json.dumps(order))
        answer = await asyncio.wait_for(_line(process), READY_TIMEOUT_S)
        if answer != "ready":
            raise RuntimeError(f"the clients could not connect: {answer}")
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _tell(process: asyncio.subprocess.Process, line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line.encode() + b"\n")
    await process.stdin.drain()


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


# For people


def format_table(result: dict[str, Any]) -> str:
    """Lay the result out for a terminal."""
    params, results = result["params"], result["results"]
    lines = [
        f"pipeline: {params['symbols']} symbols x {params['rate']:g}/s, {params['clients']} clients x"
        f" {params['watchlist']} symbols, {params['seconds']:g} s, {params['workers']} feed worker(s)",
        f"machine:  {result['machine']['cpu']}, {result['machine']['cores']} cores",
        "",
        f"{'from the exchange to the client':<34}{'p50':>9}{'p99':>9}{'p99.9':>9}  µs",
        _row("send to decode", results),
        *[_row(f"  {hop.replace('_', ' ')}", figures) for hop, figures in results["hops"].items()],
        "",
        f"{'CPU per update of the exchange':<34}{'µs':>9}",
        *[f"  {role:<32}{spent:>9.1f}" for role, spent in sorted(results["cpu_us_per_update"].items())],
        "",
        f"{results['frames_per_s']} frames/s, {results['records_per_s']} records/s to clients;"
        f" gateway {results['cpu_us_per_frame']} µs CPU a frame;"
        f" {results['lost_clients']} clients lost, {results['slow_clients']} slow",
    ]
    return "\n".join(lines)


def _row(name: str, figures: dict[str, float]) -> str:
    return f"{name:<34}{figures['p50_us']:>9.0f}{figures['p99_us']:>9.0f}{figures['p999_us']:>9.0f}"
