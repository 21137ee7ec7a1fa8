"""`tickgate bench all`: every benchmark that fits into six minutes, one after the other.

Each is the command that anybody can give, in a process of its own: none finds what another left in memory,
and one that fails or hangs stops nobody else. Results and plots are written to `data/bench`, and compared
with those in `bench/results`, which change only by `--save`.
"""

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from bench.compare import RESULTS, Comparison, compare, find_before, format_comparison
from bench.plots import draw
from bench.reach import Outcome, judge
from bench.result import Row, encode, missing, result

SUITE: Final[Mapping[str, str]] = {
    "codec": "codec --records 50",
    "fanout": "fanout --clients 1000 --watchlists 50 --seconds 5",
    "fanout_shared": "fanout --clients 1000 --watchlists 1 --seconds 2 --contenders tickgate,kernel_limit",
    "fanout_own": "fanout --clients 1000 --watchlists 0 --seconds 2 --contenders tickgate,kernel_limit",
    "fanout_200": "fanout --clients 200 --seconds 2 --contenders tickgate,kernel_limit,starlette",
    "fanout_2000": "fanout --clients 2000 --seconds 2 --contenders tickgate,kernel_limit,starlette",
    "fanout_idle": "fanout --clients 10000 --idle --contenders tickgate",
    "ingest": "ingest --seconds 5",
    "pipeline_1000": "pipeline --rate 10 --seconds 8",
    "pipeline_5000": "pipeline --rate 50 --seconds 6",
    "pipeline_20000": "pipeline --rate 200 --seconds 5",
    "pipeline_clients": "pipeline --clients 1000 --seconds 6",
    "history": "history --symbols 20 --days 30 --seconds 3",
    "store": "store --symbols 10 --days 30 --reads 200",
    "recorder": "recorder --seconds 5",
    "mute": "mute --cuts 50 --hours 1",
    "footprint": "footprint --minutes 0.4",
}
"""What each result is called, and the command that makes it."""
SCRATCH: Final = Path("data/bench")
BUSY: Final = 0.5
"""Of each core, by what others do."""
TIMEOUT_S: Final = 240.0
STOP_TIMEOUT_S: Final = 30.0
LAST_WORDS: Final = 20
"""Lines of its errors that are shown of a bench that failed."""


class UnknownBench(ValueError):
    """There is no result of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no {name!r}: it is one of {', '.join(SUITE)}")


@dataclass(frozen=True, slots=True)
class Params:
    suite: Mapping[str, str]
    save: bool = False
    """Write to `bench/results`: what later runs are compared with."""


def choose(names: str | None) -> dict[str, str]:
    """Return the part of the suite that is named, or all of it. Raises UnknownBench."""
    wanted = names.split(",") if names else list(SUITE)
    for name in wanted:
        if name not in SUITE:
            raise UnknownBench(name)
    return {name: SUITE[name] for name in wanted}


@dataclass(frozen=True, slots=True)
class Measured:
    """One bench that has ended."""

    command: str
    seconds: float
    table: str
    result: dict[str, Any] | None
    """None: it failed, and `trouble` says how."""
    trouble: str = ""


async def run(params: Params, console: Console) -> dict[str, Any]:
    """Run the suite, show the progress and each table, and return everything as one result."""
    results: dict[str, dict[str, Any]] = {}
    changes: dict[str, Comparison] = {}
    rows: list[Row] = []
    load = os.getloadavg()[0]
    if load > BUSY * (os.cpu_count() or 1):
        console.print(f"This machine is busy (load {load:.1f}): what is measured now is worth little.\n")
    with _progress(console) as progress:
        task = progress.add_task("", total=len(params.suite))
        for name, command in params.suite.items():
            progress.update(task, description=name)
            measured = await measure(command)
            if measured.result is not None:
                results[name] = measured.result
                before = find_before(measured.result)
                if before is not None:
                    changes[name] = compare(before, measured.result)
            show(console, name, measured, changes.get(name))
            rows.append(_row(name, measured))
            progress.advance(task)
    outcomes = list(judge(results))
    files = write(results, RESULTS if params.save else SCRATCH, console)
    show_outcomes(console, outcomes)
    return result(
        "all",
        params,
        rows,
        benches=results,
        wanted=[asdict(one) for one in outcomes],
        changes={name: one.to_json() for name, one in changes.items()},
        files=[str(path) for path in files],
        load_before=load,
    )


def _row(name: str, measured: Measured) -> Row:
    if measured.result is None:
        return missing(name, measured.trouble.rpartition("\n")[2] or "it failed")
    return {"name": name, "took_s": round(measured.seconds, 1)}


def has_failed(result: dict[str, Any]) -> bool:
    """Say whether any bench has not come to its end."""
    return any("missing" in row for row in result["results"]["rows"])


def write(results: Mapping[str, dict[str, Any]], folder: Path, console: Console) -> list[Path]:
    """Write every result, and the plots of all that are there, and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / f"{name}.json" for name in results]
    for path, one in zip(written, results.values(), strict=True):
        path.write_bytes(encode(one))
    there = {path.stem: msgspec.json.decode(path.read_bytes()) for path in sorted(folder.glob("*.json"))}
    try:
        return written + draw(there, folder)
    except ModuleNotFoundError as error:
        console.print(f"No plots: {error}. The dependency group `bench` has it.", highlight=False)
        return written


# One bench in a process of its own


async def measure(command: str) -> Measured:
    """Run one, and stop it if it takes too long."""
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tickgate-bench-") as folder:
        path = Path(folder) / "result.json"
        argv = [sys.executable, "-m", "gateway.cli", "bench", *command.split(), "--to", str(path)]
        table, said = b"", b""
        async with _started(argv) as process:
            with suppress(TimeoutError):
                async with asyncio.timeout(TIMEOUT_S):
                    table, said = await process.communicate()
        took_s = time.monotonic() - started_s
        if process.returncode == 0 and path.exists():
            return Measured(command, took_s, table.decode().rstrip(), msgspec.json.decode(path.read_bytes()))
    if took_s >= TIMEOUT_S:
        return Measured(command, took_s, "", None, f"not done after {TIMEOUT_S:g} s")
    return Measured(command, took_s, "", None, "\n".join(said.decode().splitlines()[-LAST_WORDS:]))


@asynccontextmanager
async def _started(argv: list[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a bench, and on the way out have it end what it has started, in its own order."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await process.communicate()
        if process.returncode is None:
            process.kill()
            await process.wait()


# For people


def _progress(console: Console) -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description:<18}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeElapsedColumn(), console=console, transient=True)


def show(console: Console, name: str, measured: Measured, changes: Comparison | None) -> None:
    """Show what one bench has found, and what is different from the committed result."""
    console.rule(name, align="left")
    _say(console, f"tickgate bench {measured.command}\n")
    _say(console, measured.table if measured.result else f"It failed:\n{measured.trouble}")
    if changes:
        _say(console, "\nBeside the committed result:\n" + format_comparison(changes, only_marked=True))
    console.print()


def show_outcomes(console: Console, outcomes: list[Outcome]) -> None:
    """Show what is wanted of the benchmarks, and what has come of it."""
    table = Table("what", "wanted", "is", "", title="What is wanted", title_justify="left")
    for one in outcomes:
        said = {True: "met", False: "NOT MET", None: "not measured"}[one.is_met]
        table.add_row(one.what, one.wanted, _figure(one.value), said)
    console.print(table)


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if value < 1_000 else f"{value:,.0f}"


def _say(console: Console, text: str) -> None:
    """Show text as it is: no markup in it, and no line cut."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)
