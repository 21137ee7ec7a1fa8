"""What it costs to push one frame to one WebSocket client: our gateway beside what people would use instead.

All contenders send the same frames (v1, 20 records, 366 bytes) at the same pace to as many clients. They are
all up, each with its clients connected; then windows are measured in turn, one contender after the other and
again from the first. The median of a contender's windows is its figure. A contender that waits costs nothing.
One that cannot keep the pace sends its rounds later, but the gateway leaves out what is no longer the newest:
fewer frames, which `frames_per_s` shows.

The peers have their payloads ready: their figure is the sending alone. The gateway's is everything: the batch
from the bus, its decoding, the tables, the frames of every watchlist with their CRC, the sending. What
nats-server and the publisher spend is beside it (`nats_cpu_us_per_frame`, `publisher_cpu_us_per_frame`).

Memory is what the server's resident set grows by, from its first client to its last, before anything is sent.
A peer's client is connected once its handshake is answered, the gateway's once it was told of its symbols.
"""

import asyncio
import resource
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.fanout.compiled import READER, compile_program
from bench.fanout.contenders import PEERS, NotHere, Order, Start
from bench.fanout.entrant import Entrant
from bench.fanout.reader import reader
from bench.fanout.table import format_table
from bench.fanout.tickgate import run_tickgate
from bench.fanout.watchlists import watchlists
from bench.result import Row, missing, result
from gateway.processes.lifetime import Failure

__all__ = ["CONTENDERS", "Params", "format_table", "run"]
CONTENDERS: Final[dict[str, Start]] = {"tickgate": run_tickgate, **PEERS}
WINDOWS: Final = 5
WARM_UP_S: Final = 0.3
SPARE_FILES: Final = 200
MOST_SYMBOLS: Final = 40_000
"""More are no single message on the bus."""
MOST_WATCHED: Final = 3_000
"""More make frames of 64 KiB and above, whose header is another."""


@dataclass(frozen=True, slots=True)
class Params:
    """How large, and for how long. Raises ValueError for what cannot be."""

    clients: int = 1_000
    watchlists: int = 50
    """How many different ones there are; 0: every client has its own."""
    seconds: float = 5.0
    """Of each contender, in windows."""
    rate: float = 20.0
    """Frames a second to each client."""
    symbols: int = 500
    watchlist: int = 20
    """Symbols of each client."""
    contenders: tuple[str, ...] = tuple(CONTENDERS)
    idle: bool = False
    """Connect and hold, send nothing: memory and connections a second alone."""

    def __post_init__(self) -> None:
        if min(self.clients, self.watchlist, self.symbols) < 1 or min(self.seconds, self.rate) <= 0:
            raise ValueError("clients, symbols, watchlist, seconds and rate are more than nothing")
        if self.watchlists < 0:
            raise ValueError("watchlists is a number of them, or 0 for one a client")
        if self.watchlist > self.symbols:
            raise ValueError(f"a watchlist of {self.watchlist} of only {self.symbols} symbols")
        if self.symbols > MOST_SYMBOLS:
            raise ValueError(f"at most {MOST_SYMBOLS} symbols")
        if self.watchlist > MOST_WATCHED:
            raise ValueError(f"at most {MOST_WATCHED} symbols on a watchlist")
        if unknown := [one for one in self.contenders if one not in CONTENDERS]:
            raise ValueError(f"no contender {', '.join(unknown)}; there are {', '.join(CONTENDERS)}")

    @property
    def distinct(self) -> int:
        """How many watchlists there are."""
        return min(self.watchlists or self.clients, self.clients)

    @property
    def rounds(self) -> int:
        """Of a window."""
        return max(round(self.rate * self.seconds / WINDOWS), 1)


class TooFewFiles(Failure):
    """This machine does not let one process have so many connections."""

    def __init__(self, wanted: int, allowed: int) -> None:
        super().__init__(f"{wanted} open files are needed and {allowed} allowed: raise `ulimit -Hn`")


async def run(params: Params) -> dict[str, Any]:
    """Measure all contenders and return the result. Raises CannotCompile or TooFewFiles."""
    allow_open_files(params.clients)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tickgate-fanout-")))
        binary = await asyncio.to_thread(compile_program, READER, folder)
        lists = watchlists(params.symbols, params.watchlist, params.distinct)
        order = Order(folder, params.clients, params.rate, params.symbols, lists)
        entrants = [await _enter(stack, name, order, binary) for name in params.contenders]
        if not params.idle:
            await _measure([one for one in entrants if isinstance(one, Entrant)], params)
        rows = [one.row() if isinstance(one, Entrant) else one for one in entrants]
    return result("fanout", params, rows, ratios=ratios(rows))


async def _enter(stack: AsyncExitStack, name: str, order: Order, binary: Path) -> Entrant | Row:
    """Start a contender and connect its clients; if it is not to be had, return the row that says so."""
    try:
        contender = await stack.enter_async_context(CONTENDERS[name](order))
    except NotHere as error:
        return missing(name, str(error))
    clients = await stack.enter_async_context(reader(name, binary, contender.conversations))
    entrant = Entrant(contender, clients, order.clients, order.rate)
    await entrant.connect()
    return entrant


async def _measure(entrants: Sequence[Entrant], params: Params) -> None:
    for one in entrants:
        await one.send(max(round(WARM_UP_S * params.rate), 1))
    for _ in range(WINDOWS):
        for one in entrants:
            one.windows.append(await one.send(params.rounds))


def allow_open_files(clients: int) -> None:
    """Let the processes that we start have a file for each client. Raises TooFewFiles."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = clients + SPARE_FILES
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise TooFewFiles(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def ratios(rows: Sequence[Row]) -> dict[str, float]:
    """Divide our CPU time per frame by that of each of the others."""
    cpu_us = {row["name"]: row["cpu_us_per_frame"] for row in rows if row.get("cpu_us_per_frame")}
    ours = cpu_us.pop("tickgate", None)
    return {name: round(ours / theirs, 2) for name, theirs in cpu_us.items()} if ours else {}
