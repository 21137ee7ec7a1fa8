"""The whole pipeline, from the exchange's send to the client's decode.

Real processes: the simulated exchange, feed workers, nats-server, a gateway, a recorder, and all clients in
one program in C (`clients.c`), so that little is measured of themselves. Every update carries the exchange's
microsecond; every client frame says how old its values are. `/stats` of the gateway splits the way into hops.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from bench.demo import ANSWER_TIMEOUT_S, WITHOUT_A_PAST, Demo, run_demo
from bench.fanout.compiled import CLIENTS, compile_program
from bench.fanout.reader import MOST_SHARE, Reader, reader
from bench.fanout.watchlists import conversation, draw
from bench.machine import cpu_by_role, tree
from bench.result import Row, result
from protocol.session import SUBPROTOCOL_V2

WARM_UP_S: Final = 2.0
HOPS: Final = ("exchange_to_feed", "feed", "bus", "gateway")
QUANTILES: Final = ("p50_us", "p99_us", "p999_us")


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
    """Measure once. Raises CannotCompile."""
    async with (
        run_gateway(params) as demo,
        httpx.AsyncClient(base_url=demo.http, timeout=ANSWER_TIMEOUT_S) as http,
        run_clients(params, demo) as clients,
    ):
        await demo.until_calm(params.symbols * params.rate)
        await asyncio.sleep(WARM_UP_S)
        trades = (await http.get("/stats", params={"reset": "hops"})).json()["trades_delivered"]
        before, started_s = tree(demo.process.pid) + tree(clients.pid), time.perf_counter()
        await clients.begin()
        await asyncio.sleep(params.seconds)
        seen = await clients.figures()
        after, took_s = tree(demo.process.pid) + tree(clients.pid), time.perf_counter() - started_s
        stats = (await http.get("/stats")).json()
    spent_s = cpu_by_role(before, after)
    updates = stats["trades_delivered"] - trades
    rows = [
        plan_headline(seen, stats, spent_s, updates, took_s),
        *[{"name": f"hop_{hop}", **_quantiles(stats["hops"][hop])} for hop in HOPS],
        {"name": "hop_client", **_quantiles(seen["last_hop"])},
        *plan_processes(spent_s, updates, took_s),
    ]
    return result("pipeline", params, rows)


def plan_headline(
    seen: dict[str, Any], stats: dict[str, Any], spent_s: dict[str, float], updates: int, took_s: float
) -> Row:
    """Say what the clients saw, and what the gateway spent on each frame of it."""
    return {
        "name": "tickgate",
        **_quantiles(seen["age"]),
        "cpu_us_per_frame": round(spent_s.get("gateway", 0.0) * 1e6 / max(seen["frames"], 1), 2),
        "messages_per_s": round(updates / took_s),
        "frames_per_s": round(seen["frames"] / took_s),
        "records_per_s": round(seen["records"] / took_s),
        "lost_clients": seen["lost"],
        "slow_clients": stats["slow_clients"],
        "load_limited": any(spent_s.get(load, 0.0) > MOST_SHARE * took_s for load in ("sim", "clients")),
    }


def plan_processes(spent_s: dict[str, float], updates: int, took_s: float) -> list[Row]:
    """Say of each process what it spent on one update of the exchange, and which share of a core."""
    return [
        {
            "name": f"process_{role}",
            "cpu_us_per_update": round(spent * 1e6 / max(updates, 1), 1),
            "core_share": round(spent / took_s, 3),
        }
        for role, spent in sorted(spent_s.items())
    ]


def _quantiles(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(figures[name], 1) for name in QUANTILES}


# The processes


@asynccontextmanager
async def run_gateway(params: Params) -> AsyncIterator[Demo]:
    arguments = ["--workers", str(params.workers), "--symbols", str(params.symbols)]
    arguments += ["--rate", str(params.rate)]
    with tempfile.TemporaryDirectory(prefix="tickgate-bench-") as data:
        settings = {"EXCHANGE_STREAMS": params.streams, **WITHOUT_A_PAST}
        async with run_demo(Path(data), *arguments, settings=settings) as demo:
            yield demo


@asynccontextmanager
async def run_clients(params: Params, demo: Demo) -> AsyncIterator[Reader]:
    """Connect all clients, each served, and disconnect them. Raises CannotCompile."""
    symbols = [one["symbol"] for one in await demo.symbols(params.symbols)]
    lists = draw(symbols, params.watchlist, params.watchlists or params.clients)
    with tempfile.TemporaryDirectory(prefix="tickgate-bench-") as name:
        folder = Path(name)
        program = await asyncio.to_thread(compile_program, CLIENTS, folder)
        conversations = folder / "conversations"
        conversations.write_bytes(b"".join(conversation(demo.port, one, SUBPROTOCOL_V2) for one in lists))
        async with reader("the pipeline", program, conversations) as clients:
            await clients.connect(demo.port, params.clients)
            yield clients


# For people


def format_table(result: dict[str, Any]) -> str:
    """Lay the result out for a terminal."""
    params, rows = result["params"], {row["name"]: row for row in result["results"]["rows"]}
    ours = rows["tickgate"]
    hops = [(name.removeprefix("hop_"), row) for name, row in rows.items() if name.startswith("hop_")]
    processes = [(name.removeprefix("process_"), row) for name, row in rows.items() if "core_share" in row]
    lines = [
        f"pipeline: {params['symbols']} symbols x {params['rate']:g}/s, {params['clients']} clients x"
        f" {params['watchlist']} symbols, {params['seconds']:g} s, {params['workers']} feed worker(s)",
        f"machine:  {result['machine']['cpu']}, {result['machine']['cores']} cores",
        "",
        f"{'from the exchange to the client':<34}{'p50':>9}{'p99':>9}{'p99.9':>9}  µs",
        _line_of("send to decode", ours),
        *[_line_of(f"  {hop.replace('_', ' ')}", row) for hop, row in hops],
        "",
        f"{'CPU per update of the exchange':<34}{'µs':>9}{'of a core':>12}",
        *[
            f"  {role:<32}{row['cpu_us_per_update']:>9.1f}{row['core_share']:>12.0%}"
            for role, row in processes
        ],
        "",
        f"{ours['messages_per_s']:,} of {params['symbols'] * params['rate']:,.0f} messages/s in,"
        f" {ours['frames_per_s']:,} frames/s and"
        f" {ours['records_per_s']:,} records/s to clients; gateway {ours['cpu_us_per_frame']} µs CPU a frame;"
        f" {ours['lost_clients']} clients lost, {ours['slow_clients']} slow",
    ]
    if ours["load_limited"]:
        lines.append("The exchange's or the clients' process was full: the gateway is better than this says.")
    return "\n".join(lines)


def _line_of(name: str, row: Row) -> str:
    return f"{name:<34}" + "".join(f"{row[key]:>9.0f}" for key in QUANTILES)
