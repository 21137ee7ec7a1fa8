"""`/healthz`, `/readyz`, `/stats`, `/version`: is it alive, do prices flow, how fast, which build."""

import time
from dataclasses import asdict
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.answers import json_response
from gateway.api.operations import STATE, Answer, Operation, Values
from gateway.api.params import Choice, Param
from gateway.feed_watch import FeedWatch
from gateway.repair import Repair
from gateway.wire import WireReader
from gateway.ws.endpoint import Clients
from processors.bus import Bus

PRICES_FLOW_WITHIN_S: Final = 10.0
"""The quietest default symbol list has a price well within this on a living venue."""
STATS: Final = Operation(
    path="/stats",
    name="stats",
    summary="The counters of this process",
    params=(Param("reset", Choice({"hops": "hops"}), "begin to measure the latencies anew"),),
    answers={200: Answer("Since it started.", STATE)},
    refuses=(400,),
    tag="state",
)
OPERATIONS: Final = (
    Operation(
        path="/healthz",
        name="health",
        summary="How this gateway is, in a few words",
        answers={200: Answer("It is alive.", STATE)},
        tag="state",
    ),
    Operation(
        path="/readyz",
        name="ready",
        summary="Whether prices flow",
        answers={200: Answer("They do.", STATE), 503: Answer("They do not, or not yet.", STATE)},
        tag="state",
    ),
    STATS,
    Operation(
        path="/version",
        name="version",
        summary="Which build this is",
        answers={200: Answer("Name and version.", STATE)},
        tag="state",
    ),
)


def routes(
    clients: Clients, reader: WireReader, repair: Repair, watch: FeedWatch, bus: Bus, version: str
) -> list[Route]:
    """Build the routes on this gateway's state."""
    started_s = time.monotonic()

    def readiness() -> dict[str, Any]:
        age_s = price_age_s(clients)
        prices_flow = age_s is not None and age_s < PRICES_FLOW_WITHIN_S
        return {
            "ready": bus.is_connected and reader.is_current and prices_flow,
            "bus_connected": bus.is_connected,
            "last_price_age_ms": None if age_s is None else round(age_s * 1000),
        }

    async def show_ready(_: Request) -> Response:
        state = readiness()
        return json_response(state, 200 if state["ready"] else 503)

    async def show_health(_: Request) -> Response:
        feeds_are_well = bool(watch.feeds) and all(feed.is_well for feed in watch.feeds)
        return json_response(
            {
                "status": "ok" if readiness()["ready"] and feeds_are_well else "degraded",
                **readiness(),
                "uptime_s": round(time.monotonic() - started_s, 3),
                "symbols": len(clients.symbols),
                "feeds": [asdict(feed) for feed in watch.feeds],
            }
        )

    async def show_stats(_: Request, given: Values) -> Response:
        body = stats(clients, reader, repair)
        if given["reset"]:
            for histogram in clients.fanout.hops.values():
                histogram.clear()
        return json_response(body)

    async def show_version(_: Request) -> Response:
        return json_response({"name": "tickgate", "version": version})

    return [
        Route("/healthz", show_health),
        Route("/readyz", show_ready),
        STATS.route(show_stats),
        Route("/version", show_version),
    ]


def price_age_s(clients: Clients) -> float | None:
    """How long ago the newest price came off the bus; None before the first."""
    last_us = clients.fanout.last_price_us
    return (time.time_ns() // 1000 - last_us) / 1e6 if last_us else None


def stats(clients: Clients, reader: WireReader, repair: Repair) -> dict[str, Any]:
    """The counters of this gateway process since it started, and its latencies per hop."""
    fanout = clients.fanout
    return {
        "clients": len(clients.connected),
        "audiences": len(fanout.audiences),
        "slow_clients": sum(client.outbox.is_full for client in clients.connected),
        "frames_written": fanout.frames_written,
        "bytes_written": fanout.bytes_written,
        "flushes": fanout.flushes,
        "values_coalesced": clients.coalesced,
        "batches": reader.batches,
        "batches_missed": reader.missed_batches,
        "batches_bad": reader.bad_batches,
        "snapshots": reader.snapshots,
        "trades_delivered": fanout.trades.delivered,
        "trades_doubled": fanout.trades.duplicates,
        "trades_waiting": fanout.trades.waiting,
        "trades_lost": repair.lost_trades,
        "holes": repair.holes,
        "replays": clients.replays.started,
        "closed_by_code": {str(code): count for code, count in sorted(clients.closed_by_code.items())},
        "hops": {hop: histogram.summary() for hop, histogram in fanout.hops.items()},
        "cpu_s": time.process_time(),
    }
