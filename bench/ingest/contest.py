"""One feed worker, from the exchange's socket to the bus, beside what else could read that socket.

Each contender has a source to itself (source.py); REST is the simulated exchange's. All are up and
connected, and take turns: in a burst the source sends whatever is taken, paced one message after the other.
A window ends when its last message has been taken in, so CPU and messages are of the same work, and each
message is accounted for. `tickgate` has taken a trade in when it is heard on the bus, all checks on; what the
others take in stays in their process, unchecked.
"""

import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.demo import until
from bench.ingest.contender import Contender, Spent
from bench.ingest.exchange import START_TIMEOUT_S, Reader, run_exchange, run_reader, run_source
from bench.ingest.worker import Worker, run_worker
from bench.result import Row, missing, result

OURS: Final = "tickgate"
CONTENDERS: Final = {OURS: "picows", "websockets_json": "websockets", "cryptofeed": "cryptofeed"}
"""And the package that each needs."""
PACED: Final = "_paced"
ROUNDS: Final = 5
"""So many windows has each contender, of which the median counts."""
LIMIT_SHARE: Final = 0.9


@dataclass(frozen=True, slots=True)
class Params:
    symbols: int = 50
    seconds: float = 5.0
    """How long each contender is measured in a burst, and as long paced."""
    paced_rate: float = 5_000.0
    """Messages a second, of all symbols together."""
    seed: int = 7
    contenders: tuple[str, ...] = tuple(CONTENDERS)

    def __post_init__(self) -> None:
        if unknown := set(self.contenders) - CONTENDERS.keys():
            raise ValueError(f"no contender is called {', '.join(sorted(unknown))}: {', '.join(CONTENDERS)}")


async def run(params: Params) -> dict[str, Any]:
    """Measure once. Raises MessagesLost if a single trade does not reach the bus."""
    absent = [name for name in params.contenders if find_spec(CONTENDERS[name]) is None]
    names = [name for name in params.contenders if name not in absent]
    modes = {"": "burst", PACED: f"paced {params.paced_rate}"}
    windows: dict[str, list[Spent]] = {name + ending: [] for ending in modes for name in names}
    async with _contenders(params, names) as contenders:
        for _ in range(ROUNDS):
            for ending, mode in modes.items():
                for one in contenders:
                    windows[one.name + ending].append(await one.measure(mode, params.seconds / ROUNDS))
    rows = [_row(name, measured) for name, measured in windows.items()]
    ratios = _ratios({row["name"]: row["cpu_us_per_message"] for row in rows})
    rows += [missing(name, f"{CONTENDERS[name]} is not installed") for name in absent]
    return result("ingest", params, rows, ratios=ratios)


@contextlib.asynccontextmanager
async def _contenders(params: Params, names: list[str]) -> AsyncIterator[list[Contender]]:
    """Start them one after the other, each with a source, until it has heard that."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tickgate-ingest-")))
        exchange = await stack.enter_async_context(run_exchange(params.symbols))
        contenders = []
        for name in names:
            source = await stack.enter_async_context(run_source(exchange, params.seed))
            running: contextlib.AbstractAsyncContextManager[Worker | Reader] = (
                run_worker(folder, source.host, exchange.rest)
                if name == OURS
                else run_reader(name, exchange, source)
            )
            contenders.append(Contender(name, await stack.enter_async_context(running), source))
            await until(contenders[-1].has_begun, START_TIMEOUT_S)
        yield contenders


def _row(name: str, windows: list[Spent]) -> Row:
    source_share = _median((one.source_cpu_s / one.seconds for one in windows), 3)
    row: Row = {
        "name": name,
        "cpu_us_per_message": _median((1e6 * one.cpu_s / one.messages for one in windows), 2),
        "messages_per_s": _median((one.messages / one.seconds for one in windows), 0),
        "messages": sum(one.messages for one in windows),
        "bytes_per_message": _median((one.bytes / one.messages for one in windows), 0),
        "source_share": source_share,
        "load_limited": source_share > LIMIT_SHARE,
    }
    if name.startswith(OURS):
        row["bus_messages_per_message"] = _median((one.published / one.messages for one in windows), 3)
        row["nats_cpu_us_per_message"] = _median((1e6 * one.nats_cpu_s / one.messages for one in windows), 2)
    return row


def _median(values: Iterable[float], digits: int) -> float:
    return round(median(values), digits)


def _ratios(cpu_us: dict[str, float]) -> dict[str, float]:
    """Divide our CPU per message by each of theirs."""
    return {
        name: round(cpu_us[ours] / theirs, 3)
        for name, theirs in cpu_us.items()
        if (ours := OURS + PACED if name.endswith(PACED) else OURS) in cpu_us and name != ours
    }


def format_table(result: dict[str, Any]) -> str:
    """Lay the result out for a terminal."""
    params, results = result["params"], result["results"]
    lines = [
        f"ingest:  {params['symbols']} symbols, {params['seconds']:g} s in a burst,"
        f" and as long at {params['paced_rate']:g} messages/s",
        f"machine: {result['machine']['cpu']}, {result['machine']['cores']} cores",
        "",
        f"{'CPU of one message':<24}{'µs':>9}{'ours':>8}{'messages/s':>13}{'source':>9}{'on the bus':>12}",
        *(_line(row, results["ratios"]) for row in results["rows"]),
        "",
        "ours: tickgate's share of that; source: of a core, * where it was the limit;"
        " on the bus: messages, and nats-server's µs",
    ]
    return "\n".join(lines)


def _line(row: Row, ratios: dict[str, float]) -> str:
    if "missing" in row:
        return f"{row['name']:<24}  {row['missing']}"
    ratio = f"{ratios[row['name']]:.2f}" if row["name"] in ratios else ""
    limited = "*" if row["load_limited"] else ""
    bus = ""
    if "bus_messages_per_message" in row:
        bus = f"{row['bus_messages_per_message']:.2f}, {row['nats_cpu_us_per_message']:.1f}"
    return (
        f"{row['name']:<24}{row['cpu_us_per_message']:>9.2f}{ratio:>8}{row['messages_per_s']:>13,.0f}"
        f"{row['source_share']:>8.0%}{limited:<1}{bus:>12}"
    )
