"""What the whole of it costs a machine: memory and CPU of every process of a demo, at rest and at work.

    rest_<process>    a demo of 20 symbols whose exchange makes no past, nobody connected
    load_<process>    100 symbols x 10 trades a second, 100 clients with 20 symbols each
    …_total           all of them together; the clients are not ours, and not in it

Memory is looked at again and again, and a line laid through the looks of the last two thirds of the time:
in the first one caches and tapes still fill. Its slope is what a process grows by. A short time says little
about that. `noise_mb_per_h` is how steep the line would be if all that lies off it had been growth: a slope
below it is no finding.
"""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.demo import WITHOUT_A_PAST, Demo, run_demo
from bench.machine import cpu_by_role, resident_kb, tree
from bench.pipeline import WARM_UP_S, run_clients, run_gateway
from bench.pipeline import Params as Load
from bench.result import Row, result

MOST_LOOKS: Final = 240
"""However long it takes: what a plot can show."""
SHORTEST_S: Final = 0.5
SETTLING: Final = 3
"""The first of so many parts of the time is left out of the line."""
SLOPES: Final = ("slope_mb_per_h", "noise_mb_per_h")

Looks = list[tuple[float, dict[str, int]]]
"""Seconds since the first look, and the resident memory of each role, in KB."""


@dataclass(frozen=True, slots=True)
class Params:
    symbols: int = 100
    rate: float = 10.0
    """Trades a second and symbol."""
    clients: int = 100
    watchlist: int = 20
    minutes: float = 1.0
    """How long memory is watched at work; at rest a tenth of it."""
    rest_symbols: int = 20
    """At rest; a demo has 20 unless it is told."""


async def run(params: Params) -> dict[str, Any]:
    """Measure once."""
    with tempfile.TemporaryDirectory(prefix="tickgate-bench-") as data:
        symbols = ("--symbols", str(params.rest_symbols))
        async with run_demo(Path(data), *symbols, settings=WITHOUT_A_PAST) as demo:
            await demo.until_calm()
            rest, _ = await watch(demo, "rest", params.minutes * 6)
    load = Load(params.symbols, params.rate, params.clients, params.watchlist)
    async with run_gateway(load) as demo, run_clients(load, demo):
        await demo.until_calm(params.symbols * params.rate)
        await asyncio.sleep(WARM_UP_S)
        work, looks = await watch(demo, "load", params.minutes * 60)
    samples = {
        "at_s": [round(at_s, 1) for at_s, _ in looks],
        "resident_mb": {role: [round(held[role] / 1024, 2) for _, held in looks] for role in looks[0][1]},
    }
    return result("footprint", params, [*rest, *work], samples=samples)


async def watch(demo: Demo, when: str, seconds: float) -> tuple[list[Row], Looks]:
    """Look at all processes again and again, and say what each of them costs."""
    every_s = max(seconds / MOST_LOOKS, SHORTEST_S)
    before, started_s = tree(demo.process.pid), time.perf_counter()
    looks: Looks = []
    while not looks or looks[-1][0] < seconds:
        looks.append((time.perf_counter() - started_s, held_kb(demo)))
        await asyncio.sleep(every_s)
    spent_s, took_s = cpu_by_role(before, tree(demo.process.pid)), time.perf_counter() - started_s
    at_s = [at for at, _ in looks]
    rows = [
        plan_row(f"{when}_{role}", at_s, [held[role] for _, held in looks], spent_s.get(role, 0.0) / took_s)
        for role in looks[0][1]
    ]
    totals = [sum(held.values()) for _, held in looks]
    return [*rows, plan_row(f"{when}_total", at_s, totals, sum(spent_s.values()) / took_s)], looks


def held_kb(demo: Demo) -> dict[str, int]:
    """Return what the processes of each role hold together."""
    held: dict[str, int] = {}
    for one in sorted(tree(demo.process.pid), key=lambda one: one.role):
        held[one.role] = held.get(one.role, 0) + resident_kb(one.pid)
    return held


def plan_row(name: str, at_s: Sequence[float], held: Sequence[int], core_share: float) -> Row:
    row: Row = {
        "name": name,
        "resident_mb": round(float(np.median(held)) / 1024, 1),
        "core_share": round(core_share, 4),
    }
    first = len(held) // SETTLING
    if len(held) - first > 2:
        slope, noise = fit(at_s[first:], held[first:])
        row |= {
            "slope_mb_per_h": round(slope * 3600 / 1024, 1) + 0.0,  # no -0.0
            "noise_mb_per_h": round(noise * 3600 / 1024, 1),
        }
    return row


def fit(at_s: Sequence[float], held: Sequence[float]) -> tuple[float, float]:
    """Lay a line through the looks. Return its slope, and the slope of all that lies off it."""
    times, values = np.asarray(at_s, float), np.asarray(held, float)
    slope, start = np.polyfit(times, values, 1)
    off = values - (start + slope * times)
    return float(slope), float(np.ptp(off) / np.ptp(times))


# For people


def format_table(result: dict[str, Any]) -> str:
    """Lay the result out for a terminal."""
    params = result["params"]
    lines = [
        f"footprint: at rest; then {params['symbols']} symbols x {params['rate']:g}/s, {params['clients']}"
        f" clients x {params['watchlist']} symbols, watched for {params['minutes']:g} min",
        f"machine:   {result['machine']['cpu']}, {result['machine']['cores']} cores",
        "",
        f"{'':<22}{'MB':>9}{'of a core':>12}{'MB/h':>10}{'noise':>10}",
    ]
    for row in result["results"]["rows"]:
        slope = "".join(
            f"{row.get(key, float('nan')):>10.1f}" for key in ("slope_mb_per_h", "noise_mb_per_h")
        )
        lines.append(
            f"{row['name'].replace('_', ' '):<22}{row['resident_mb']:>9.1f}{row['core_share']:>12.1%}{slope}"
        )
    return "\n".join(lines)
