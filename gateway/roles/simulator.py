"""The simulated exchange as a process of its own: `tickgate sim`, and part of a demo."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import structlog

from gateway.config.load import BadSettings, Settings
from gateway.processes.ports import find_free_port
from gateway.sim.faults import BadFault, Fault, parse_fault
from gateway.sim.server import OtherMarket, SimOptions, SimulatedExchange

SWITCH_S: Final = 0.0005
"""How long a thread that makes the past may hold up the streams; Python's own is 5 ms."""

log = structlog.get_logger()


async def run(
    settings: Settings,
    stop: asyncio.Event,
    *,
    data: Path | None,
    replay: Path | None,
    replay_speed: float,
    faults: Sequence[str],
) -> None:
    """Serve until `stop` is set. Raises BadSettings or PortTaken."""
    sys.setswitchinterval(SWITCH_S)
    wanted = settings.sim
    options = SimOptions(
        port=find_free_port(port=wanted.port),
        seed=wanted.seed,
        symbols=wanted.symbols,
        rate=wanted.rate,
        quotes_per_trade=wanted.quotes_per_trade,
        data=data,
        replay=replay,
        replay_speed=replay_speed,
        faults=tuple(parse_fault_flag(text) for text in faults),
    )
    async with _exchange(options) as exchange:
        log.info("sim.listening", url=exchange.url, symbols=options.symbols, rate=options.rate)
        await stop.wait()
    log.info("sim.stopped")


def parse_fault_flag(text: str) -> Fault:
    """Read `mute,seconds=2,symbols=BTCUSDT+ETHUSDT`. Raises BadSettings."""
    kind, *pairs = text.split(",")
    said: dict[str, Any] = {"kind": kind.strip()}
    for pair in pairs:
        name, _, value = pair.partition("=")
        said[name.strip()] = _value(name.strip(), value.strip())
    try:
        return parse_fault(json.dumps(said))
    except BadFault as error:
        raise BadSettings([f"{text!r}: {error} (--fault)"]) from None


def _value(name: str, text: str) -> Any:
    if name in {"symbols", "streams", "markets"}:
        return text.split("+")
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _exchange(options: SimOptions) -> SimulatedExchange:
    try:
        return SimulatedExchange(options)
    except OtherMarket as error:
        raise BadSettings([str(error)]) from None
