"""The recorder alone: whether it keeps up with so many trades a second, and what a trade costs it.

A real nats-server, a real recorder process on an empty store, and this process, which publishes batches of
trades as a feed worker does. Nobody answers for the venue, so bars are made of the trades alone.
"""

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.demo import until
from bench.machine import cpu_s, resident_kb
from bench.result import result
from gateway.config.flags import environ
from gateway.natsd import nats_server
from gateway.processes.child import child_process
from gateway.processes.ports import find_free_port
from gateway.registry import Registry
from processors.bus import Bus, BusAddress, BusError, connect
from processors.shell import now_us
from protocol import subjects
from protocol.batches import encode_batch
from protocol.events import Trade
from protocol.frames import encode_v2
from protocol.symbols import Instrument

VENUE: Final = "binance"
BATCH: Final = 100
NOBODY: Final = "http://127.0.0.1:9"
PATIENCE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Params:
    symbols: int = 500
    rate: float = 20_000.0
    """Trades a second, of all symbols together."""
    seconds: float = 20.0
    seed: int = 7


async def run(params: Params) -> dict[str, Any]:
    """Measure once."""
    async with _recorder() as (bus, process):
        registry = Registry(bus)
        await registry.open()
        listed = await registry.register(list(_instruments(params.symbols)))
        batches = _batches(params, [one.id for one in listed])
        before_s = cpu_s(process.pid)
        sent, behind_s = await _publish(bus, params, batches)
        caught_up_s = await _until_heard(bus, sent)
        spent_s = cpu_s(process.pid) - before_s
        trades = sent * BATCH
        row = {
            "name": "tickgate",
            "trades": trades,
            "trades_per_s": round(trades / params.seconds),
            "publisher_late_s": round(behind_s, 3),
            "caught_up_after_s": round(caught_up_s, 3),
            "cpu_us_per_trade": round(spent_s / trades * 1e6, 2),
            "cpu_share": round(spent_s / (params.seconds + behind_s + caught_up_s), 3),
            "resident_kb": resident_kb(process.pid),
        }
    return result("recorder", params, [row])


@asynccontextmanager
async def _recorder() -> AsyncIterator[tuple[Bus, asyncio.subprocess.Process]]:
    """Run a nats-server and a recorder, until it answers."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tickgate-recorder-")))
        server = await stack.enter_async_context(nats_server(folder / "nats", find_free_port(), environ))
        bus = await stack.enter_async_context(connect(BusAddress([server.url]), "bench"))
        settings = {
            **environ,
            "NATS_URL": server.url,
            "DATA_FOLDER": str(folder),
            "EXCHANGE_VENUES": VENUE,
            "EXCHANGE_REST_ENDPOINT": NOBODY,
            "HISTORY_BACKFILL_BARS": "0",
            "FEATURE_ENIGMA_ENABLED": "false",
            "LOG_LEVEL": "error",
        }
        argv = [sys.executable, "-P", "-m", "gateway.cli", "recorder", "--supervised"]
        process = await stack.enter_async_context(child_process("recorder", argv, settings))

        async def answers() -> bool:
            return await _heard(bus) is not None

        await until(answers)
        yield bus, process


def _instruments(count: int) -> Iterator[Instrument]:
    for number in range(count):
        name = f"S{number}USDT"
        yield Instrument(symbol=name, venue=VENUE, native=name, price_precision=2, simulated=True)


def _batches(params: Params, ids: list[int]) -> Iterator[bytes]:
    """Encode batches without end: trades of random symbols, each with the next id of its own."""
    draw, epoch_us, sequence = random.Random(params.seed), now_us(), 0
    last_ids, prices = dict.fromkeys(ids, 0), dict.fromkeys(ids, 100.0)
    while True:
        at_us, sequence, rows = now_us(), sequence + 1, []
        for symbol_id in draw.choices(ids, k=BATCH):
            last_ids[symbol_id] += 1
            prices[symbol_id] += draw.choice((-0.01, 0.0, 0.01))
            rows.append(Trade(symbol_id, 0, 1, last_ids[symbol_id], at_us, prices[symbol_id], 0.5))
        yield encode_batch(epoch_us, sequence, at_us, [encode_v2(rows, at_us)])


async def _publish(bus: Bus, params: Params, batches: Iterator[bytes]) -> tuple[int, float]:
    """Publish at the wanted rate; return how many batches, and how late the last one was."""
    subject, count = subjects.wire(VENUE, 0), round(params.rate * params.seconds / BATCH)
    started_s = time.monotonic()
    for number in range(count):
        await bus.publish(subject, next(batches))
        await asyncio.sleep(max(started_s + (number + 1) * BATCH / params.rate - time.monotonic(), 0))
    await bus.flush()
    return count, max(time.monotonic() - started_s - params.seconds, 0.0)


async def _until_heard(bus: Bus, sent: int) -> float:
    """Wait until the recorder has taken in all batches; return for how long."""
    started_s = time.monotonic()

    async def has_all() -> bool:
        return ((await _heard(bus)) or 0) >= sent

    await until(has_all, PATIENCE_S)
    return time.monotonic() - started_s


async def _heard(bus: Bus) -> int | None:
    """Ask how many batches it has taken in; None while it does not answer."""
    try:
        state = msgspec.json.decode(await bus.request(subjects.REQUEST_RECORDER))
    except BusError:
        return None
    return int(state["trades"]["batches"])


def format_table(result: dict[str, Any]) -> str:
    """Lay the result out for a terminal."""
    params, row = result["params"], result["results"]["rows"][0]
    return "\n".join(
        [
            f"recorder: {row['trades']:,} trades of {params['symbols']} symbols, {params['seconds']:g} s",
            f"machine:  {result['machine']['cpu']}, {result['machine']['cores']} cores",
            "",
            f"CPU a trade        {row['cpu_us_per_trade']:>8.1f} µs",
            f"share of a core    {row['cpu_share']:>8.0%}",
            f"had all of them    {row['caught_up_after_s']:>8.2f} s after the last was sent",
            f"memory             {row['resident_kb'] / 1024:>8.0f} MB",
        ]
    )
