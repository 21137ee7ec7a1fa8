"""Chaos: everything that can go wrong does, on real processes, and at the end every trade is there.

For as long as asked, faults come every few seconds, drawn from a seed: connections cut, muted,
slow, messages lost, doubled, reordered, broken, REST refusing, and a feed worker, nats-server or a
gateway killed. Clients hold the trade lane of all symbols. Afterwards each client's trades are
compared, id by id, with what the exchange itself says it traded, what it was told is lost with the
ledger, and the bars that the gateway serves with the exchange's. Memory is watched all the while.
"""

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from bench.demo import ANSWER_TIMEOUT_S, WITHOUT_A_PAST, Demo, run_demo, until
from bench.machine import resident_kb
from bench.result import Row, result
from bench.truth import Trades, compare_bars, newest_ids, traded
from clients.stream import Stream
from clients.updates import StreamGap, StreamTrade
from protocol.events import GapState

FAULTS: Final[tuple[dict[str, Any], ...]] = (
    {"kind": "cut", "share": 0.5},
    {"kind": "cut"},
    {"kind": "mute", "seconds": 3},
    {"kind": "lose", "seconds": 2, "share": 0.05},
    {"kind": "duplicate", "seconds": 2, "share": 0.1},
    {"kind": "reorder", "seconds": 2, "share": 0.1},
    {"kind": "malformed", "seconds": 1, "share": 0.02},
    {"kind": "slow", "seconds": 2, "delay_ms": 200},
    {"kind": "rate_limit", "seconds": 3, "retry_after": 1},
    {"kind": "shutdown"},
)
VICTIMS: Final = ("feed", "nats-server", "gateway", "recorder")
QUIET_S: Final = 90.0
"""How long everything may take to be whole again after the last fault."""
ROLES: Final = ("feed", "gateway", "recorder")
LOOK_EVERY_S: Final = 2.0
THIRDS: Final = ("first_kb", "second_kb", "third_kb")
LONG_S: Final = 120.0
"""In a shorter run memory is still filling."""
FLAT: Final = 1.25
"""In the last third of a run a role holds at most so many times what it held in the second."""


@dataclass(frozen=True, slots=True)
class Params:
    seconds: float = 300.0
    symbols: int = 50
    rate: float = 50.0
    """Trades a second and symbol; each brings a quote, so 50 x 50 is 5,000 messages a second."""
    clients: int = 3
    workers: int = 2
    every_s: float = 4.0
    """A fault comes about this often."""
    seed: int = 1
    redundancy: int = 1
    """Connections that carry each stream."""
    past: bool = True
    """Years of bars are fetched at the start and when the recorder comes back: much work for the exchange."""


@dataclass(slots=True)
class Memory:
    """What the processes of each role held together, look by look."""

    looks: list[dict[str, int]] = field(default_factory=list)

    async def watch(self, demo: Demo) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.looks.append(
                {role: sum(resident_kb(one.pid) for one in demo.children(role)) for role in ROLES}
            )

    def rows(self) -> list[Row]:
        """Say of each role what it held at most in each third of the time."""
        third = max(len(self.looks) // 3, 1)
        parts = [self.looks[:third], self.looks[third : 2 * third], self.looks[2 * third :]]
        peaks = {role: [max((look[role] for look in part), default=0) for part in parts] for role in ROLES}
        return [
            {"name": f"memory_{role}", **dict(zip(THIRDS, held, strict=True))} for role, held in peaks.items()
        ]


@dataclass(slots=True)
class Holder:
    """What one client of the trade lane has."""

    trades: Trades = field(default_factory=dict)
    doubled: int = 0
    recovered: int = 0
    lost: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """Ranges that it was told cannot be had."""

    async def follow(self, stream: Stream) -> None:
        async for item in stream.items():
            match item:
                case StreamTrade():
                    self._take(item)
                case StreamGap(symbol=symbol, state=GapState.LOST, first_id=first, last_id=last):
                    self.lost.setdefault(symbol, []).append((first, last))

    def _take(self, trade: StreamTrade) -> None:
        held = self.trades.setdefault(trade.symbol, {})
        self.doubled += trade.id in held
        self.recovered += trade.recovered
        held[trade.id] = (trade.price, trade.quantity)


async def run(params: Params) -> dict[str, Any]:
    """Hurt it for a while, let it heal, and compare."""
    arguments = ["--symbols", str(params.symbols), "--rate", str(params.rate)]
    arguments += ["--workers", str(params.workers)]
    settings = {"EXCHANGE_REDUNDANCY": str(params.redundancy)} | ({} if params.past else WITHOUT_A_PAST)
    with tempfile.TemporaryDirectory(prefix="tickgate-chaos-") as data:
        async with (
            run_demo(Path(data), *arguments, settings=settings) as demo,
            asyncio.TaskGroup() as tasks,
        ):
            symbols = [one["symbol"] for one in await demo.symbols(params.symbols)]
            holders = [Holder() for _ in range(params.clients)]
            following = [
                tasks.create_task(holder.follow(Stream(demo.ws, symbols, kinds=("trade",))))
                for holder in holders
            ]
            memory = Memory()
            watching = tasks.create_task(memory.watch(demo))
            done = await _hurt(demo, params)
            watching.cancel()
            done_ms = time.time_ns() // 1_000_000
            newest = await newest_ids(demo, symbols)
            await _heal(holders, newest)
            truth = await traded(demo, [holder.trades for holder in holders], newest)
            bars = await compare_bars(demo, symbols, done_ms, QUIET_S)
            ledger = await demo.get("/api/v1/gaps?state=lost&limit=1000")
            for task in following:
                task.cancel()
    compared = _compare(holders, truth, newest) | bars | {"ledger_lost": len(_symbols_lost(ledger))}
    rows = [{"name": "tickgate", **compared}, {"name": "faults", **done}, *memory.rows()]
    return result("chaos", params, rows)


# Hurting


async def _hurt(demo: Demo, params: Params) -> dict[str, int]:
    """Give faults until the time is over, then none; say how many of each."""
    draw = random.Random(params.seed)
    done: Counter[str] = Counter()
    exchange = httpx.AsyncClient(base_url=demo.sim, timeout=ANSWER_TIMEOUT_S)
    async with exchange as sim, asyncio.timeout(params.seconds + QUIET_S):
        for kind in _schedule(draw, params):
            await asyncio.sleep(params.every_s * draw.uniform(0.5, 1.5))
            done[str(kind if isinstance(kind, str) else kind["kind"])] += 1
            if isinstance(kind, str):
                with suppress(IndexError):  # it is being restarted already
                    demo.kill(kind)
            else:
                (await sim.post("/sim/faults", json=kind)).raise_for_status()
        await asyncio.sleep(params.every_s)
        (await sim.delete("/sim/faults")).raise_for_status()
    return dict(done)


def _schedule(draw: random.Random, params: Params) -> Iterator[dict[str, Any] | str]:
    """Deal all faults and victims in random order, again and again, for as long as there is time."""
    pack: list[dict[str, Any] | str] = []
    for _ in range(int(params.seconds / params.every_s)):
        if not pack:
            pack = [*FAULTS, *VICTIMS]
            draw.shuffle(pack)
        yield pack.pop()


# Healing


async def _heal(holders: list[Holder], newest: dict[str, int]) -> None:
    """Wait until no client misses a trade that it was not told is lost, or the patience is over."""

    async def is_whole() -> bool:
        return not any(_missing(holder, newest) for holder in holders)

    with suppress(TimeoutError):  # what is still missing then is the result
        await until(is_whole, QUIET_S)


def _missing(holder: Holder, newest: dict[str, int]) -> dict[str, list[int]]:
    """List the ids that a client has not, between its first one and the exchange's newest."""
    missing = {}
    for symbol, last in newest.items():
        held = holder.trades.get(symbol, {})
        told = holder.lost.get(symbol, [])
        ids = [
            one
            for one in range(min(held, default=last), last + 1)
            if one not in held and not any(first <= one <= end for first, end in told)
        ]
        if ids:
            missing[symbol] = ids
    return missing


# Comparing


def _compare(holders: list[Holder], truth: Trades, newest: dict[str, int]) -> Row:
    missing = [sum(map(len, _missing(holder, newest).values())) for holder in holders]
    return {
        "trades_held": sum(len(held) for holder in holders for held in holder.trades.values()),
        "trades_missing": sum(missing),
        "doubled": sum(holder.doubled for holder in holders),
        "different": sum(
            trade != truth[symbol].get(trade_id, trade)
            for holder in holders
            for symbol, held in holder.trades.items()
            for trade_id, trade in held.items()
        ),
        "recovered": sum(holder.recovered for holder in holders),
        "told_lost": sum(
            last - first + 1 for holder in holders for told in holder.lost.values() for first, last in told
        ),
        "exchange_traded": sum(len(one) for one in truth.values()),
    }


def _symbols_lost(ledger: list[dict[str, Any]]) -> set[str]:
    """Name the symbols of which the ledger says that trades are lost."""
    return {entry["native"] for entry in ledger if entry["stream"] == "aggTrade" and entry["missing"]}


# For people

SHOWN: Final = (
    "exchange_traded", "trades_held", "trades_missing", "doubled", "different",
    "recovered", "told_lost", "ledger_lost", "bars", "bars_different",
)  # fmt: skip


def format_table(result: dict[str, Any]) -> str:
    """Lay the result out for a terminal."""
    params, (compared, faults, *memory) = result["params"], result["results"]["rows"]
    lines = [
        f"chaos: {params['seconds']:g} s, {params['symbols']} symbols x {params['rate']:g} trades/s,"
        f" {params['clients']} clients, redundancy {params['redundancy']}",
        "faults: " + ", ".join(f"{count} {kind}" for kind, count in sorted(faults.items()) if kind != "name"),
        "",
        *[f"{name.replace('_', ' '):<18}{compared[name]:>12,}" for name in SHOWN],
        "",
        "memory, the most in each third of the time:",
        *[
            f"{row['name'].removeprefix('memory_'):<18}"
            + "".join(f"{row[third] / 1024:>9.0f} MB" for third in THIRDS)
            for row in memory
        ],
    ]
    return "\n".join(lines)


def is_whole(result: dict[str, Any]) -> bool:
    """Say whether every client had every trade once, as the exchange traded it, or both it and the ledger
    were told that some are lost; and whether memory stayed as it was."""
    compared = result["results"]["rows"][0]
    is_on_record = bool(compared["told_lost"]) == bool(compared["ledger_lost"])
    wrong = ("trades_missing", "doubled", "different", "bars_different")
    is_complete = not any(compared[name] for name in wrong)
    return is_on_record and is_complete and is_flat(result)


def is_flat(result: dict[str, Any]) -> bool:
    """Say whether memory had stopped to grow by the second third of a run that is long enough to tell."""
    _, _, *memory = result["results"]["rows"]
    is_short = result["params"]["seconds"] < LONG_S
    return is_short or all(row["third_kb"] <= FLAT * row["second_kb"] for row in memory)
