"""A line in the log every minute that says how this gateway does, for those who have nothing but logs."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import structlog

from gateway.api.health import brief, stats
from gateway.api.readings import GatewayParts
from gateway.health import State

EVERY_S: Final = 60.0
COUNTED: Final = {"frames": "frames_written", "trades": "trades_delivered", "coalesced": "values_coalesced"}
"""Field of the line -> counter of `/stats`, of which the line says what was added."""

log = structlog.get_logger()


async def run_state_log(parts: GatewayParts) -> None:
    """Say it again and again. Until cancelled."""
    before = stats(parts)
    while True:
        await asyncio.sleep(EVERY_S)
        after = stats(parts)
        log.info("gateway.state", **describe_turn(before, after, brief(parts)))
        before = after


def describe_turn(
    before: Mapping[str, Any], after: Mapping[str, Any], health: Mapping[str, Any]
) -> dict[str, Any]:
    """Say what happened between two looks at `/stats`, and how it stands."""
    return {
        "status": health["status"],
        "amiss": [name for name, state in health["parts"].items() if state is not State.OK],
        "clients": after["clients"],
        **{field: after[counter] - before[counter] for field, counter in COUNTED.items()},
        "requests": _requests(after) - _requests(before),
        "p99_us": {hop: round(figures["p99_us"]) for hop, figures in after["hops"].items()},
    }


def _requests(stats: Mapping[str, Any]) -> int:
    return sum(route["count"] for route in stats["route_latencies"].values())
