"""`/healthz`, `/readyz`, `/stats`, `/version`: is it alive, do prices flow, how fast, which build.

Anybody may ask whether it is well. What is wrong, with reasons that may name addresses, and how busy it is,
is for whoever may operate it; for everybody where anybody may read.
"""

import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.accounts.identity import Scope
from gateway.api.answers import json_response
from gateway.api.operations import STATE, Answer, Operation, Values
from gateway.api.params import Choice, Param
from gateway.api.readings import GatewayParts
from gateway.api.traffic import Traffic
from gateway.feed_watch import FeedHealth, feeds_part
from gateway.health import Part, State, overall
from gateway.recorder_report import recorder_parts
from gateway.ws.endpoint import Clients

PRICES_FLOW_WITHIN_S: Final = 10.0
"""The quietest default symbol list has a price well within this on a living venue."""


def _open(path: str, name: str, summary: str, answers: dict[int, Answer]) -> Operation:
    """Declare what anybody may ask as often as they like: load balancers do."""
    return Operation(
        path=path, name=name, summary=summary, answers=answers, needs=None, limit=None, tag="state"
    )


HEALTH: Final = tuple(
    _open(path, name, "How this gateway is, in a few words", {200: Answer("It is alive.", STATE)})
    for path, name in (("/healthz", "health"), ("/api/v1/health", "health_v1"))
)
READY: Final = _open(
    "/readyz",
    "ready",
    "Whether prices flow",
    {200: Answer("They do.", STATE), 503: Answer("They do not, or not yet.", STATE)},
)
VERSION: Final = _open(
    "/version", "version", "Which build this is", {200: Answer("Name and version.", STATE)}
)
DETAILS: Final = Operation(
    path="/api/v1/health/detailed",
    name="health_detailed",
    summary="How each part is, and why",
    answers={200: Answer("Bus, feeds, recorder, store, cache, metadata.", STATE)},
    needs=Scope.OPERATE,
    limit=None,
    tag="state",
)
STATS: Final = Operation(
    path="/stats",
    name="stats",
    summary="The counters of this process",
    params=(Param("reset", Choice({"hops": "hops"}), "begin to measure the latencies anew"),),
    answers={200: Answer("Since it started.", STATE)},
    needs=Scope.OPERATE,
    limit=None,
    refuses=(400,),
    tag="state",
)
OPERATIONS: Final = (*HEALTH, DETAILS, READY, STATS, VERSION)


def routes(parts: GatewayParts, needs: Scope) -> list[Route]:
    """Build the routes; `needs` is what whoever asks for details must be allowed to do."""
    started_s = time.monotonic()

    def uptime_s() -> float:
        return round(time.monotonic() - started_s, 3)

    async def show_ready(_: Request, __: Values) -> Response:
        state = readiness(parts)
        return json_response(state, 200 if state["ready"] else 503)

    async def show_health(_: Request, __: Values) -> Response:
        return json_response(brief(parts) | {"uptime_s": uptime_s()})

    async def show_details(_: Request, __: Values) -> Response:
        return json_response(detailed(parts) | {"uptime_s": uptime_s()})

    async def show_stats(_: Request, given: Values) -> Response:
        body = stats(parts) | {"uptime_s": uptime_s()}
        if given["reset"]:
            for histogram in parts.clients.fanout.hops.values():
                histogram.clear()
        return json_response(body)

    async def show_version(_: Request, __: Values) -> Response:
        return json_response({"name": "tickgate", "version": parts.version})

    return [
        *(one.route(show_health) for one in HEALTH),
        replace(DETAILS, needs=needs).route(show_details),
        READY.route(show_ready),
        replace(STATS, needs=needs).route(show_stats),
        VERSION.route(show_version),
    ]


def readiness(parts: GatewayParts) -> dict[str, Any]:
    """Say whether prices flow here. What else may be away takes nothing from that."""
    age_s = price_age_s(parts.clients)
    prices_flow = age_s is not None and age_s < PRICES_FLOW_WITHIN_S
    return {
        "ready": parts.bus.is_connected and parts.reader.is_current and prices_flow,
        "bus_connected": parts.bus.is_connected,
        "last_price_age_ms": None if age_s is None else round(age_s * 1000),
    }


def brief(parts: GatewayParts) -> dict[str, Any]:
    """Say how the whole is and which part is how: no reasons, and no names."""
    ready, known = readiness(parts), list_parts(parts)
    return {
        "status": overall(serves=ready["ready"], parts=known),
        **ready,
        "last_msg_age_ms": last_message_age_ms(parts.watch.feeds),
        "symbols": len(parts.clients.symbols),
        "parts": {part.name: part.state for part in known},
    }


def detailed(parts: GatewayParts) -> dict[str, Any]:
    """Say how each part is and why, and each feed worker with its troubles."""
    known = {part.name: {"state": part.state, "reason": part.reason} for part in list_parts(parts)}
    return brief(parts) | {"parts": known, "feeds": [_describe(feed) for feed in parts.watch.feeds]}


def list_parts(parts: GatewayParts) -> list[Part]:
    """Say how everything is that this gateway needs for something."""
    has_bus = parts.bus.is_connected
    is_down = parts.cache_is_down()
    return [
        Part("bus", State.OK) if has_bus else Part("bus", State.DOWN, "NATS is not connected"),
        feeds_part(parts.watch.feeds),
        *recorder_parts(parts.watch.recorder),
        Part("cache", State.DEGRADED, "Redis does not answer; memory does")
        if is_down
        else Part("cache", State.OK),
        parts.metadata(),
    ]


def _describe(feed: FeedHealth) -> dict[str, Any]:
    return {
        "venue": feed.venue,
        "shard": feed.shard,
        "answers": feed.answers,
        "connections": feed.connections,
        "live": feed.live,
        "last_message_age_ms": feed.last_message_age_ms,
        "troubles": [asdict(one) for one in feed.troubles],
    }


def price_age_s(clients: Clients) -> float | None:
    """How long ago the newest price came off the bus; None before the first."""
    last_us = clients.fanout.last_price_us
    return (time.time_ns() // 1000 - last_us) / 1e6 if last_us else None


def last_message_age_ms(feeds: Iterable[FeedHealth]) -> int | None:
    """How long ago any exchange was heard last; None before the first."""
    ages_ms = [feed.last_message_age_ms for feed in feeds if feed.last_message_age_ms is not None]
    return min(ages_ms, default=None)


def stats(parts: GatewayParts) -> dict[str, Any]:
    """The counters of this gateway process since it started, and its latencies per hop."""
    clients, reader, recorded, repair = parts.clients, parts.reader, parts.recorded, parts.repair
    fanout = clients.fanout
    return {
        "clients": len(clients.connected),
        "audiences": len(fanout.audiences),
        "slow_clients": sum(client.outbox.is_full for client in clients.connected),
        "send": fanout.sender.way,
        "frames_written": fanout.frames_written,
        "bytes_written": fanout.bytes_written,
        "flushes": fanout.flushes,
        "values_coalesced": clients.coalesced,
        "batches": reader.batches,
        "batches_missed": reader.missed_batches,
        "batches_bad": reader.bad_batches,
        "snapshots": reader.snapshots,
        "recorded": {
            "batches": recorded.batches,
            "batches_missed": recorded.missed_batches,
            "batches_bad": recorded.bad_batches,
        },
        "trades_delivered": fanout.trades.delivered,
        "trades_doubled": fanout.trades.duplicates,
        "trades_waiting": fanout.trades.waiting,
        "trades_lost": repair.lost_trades,
        "holes": repair.holes,
        "replays": clients.replays.started,
        "candle_replays": clients.candle_replays.asked,
        "closed_by_code": {str(code): count for code, count in sorted(clients.closed_by_code.items())},
        "hops": {hop: histogram.summary() for hop, histogram in fanout.hops.items()},
        "cpu_s": time.process_time(),
        **_stats_of_feeds(parts),
        "route_latencies": _route_latencies(parts.traffic),
    }


def _stats_of_feeds(parts: GatewayParts) -> dict[str, Any]:
    """What is counted outside this process, under the names that dashboards of TradingChart's have."""
    feeds, recorder = parts.watch.feeds, parts.watch.recorder
    reports = [feed.report for feed in feeds if feed.report is not None]
    return {
        "ws_state": int(any(feed.live for feed in feeds)),
        "last_msg_age_ms": last_message_age_ms(feeds),
        "reconnect_attempts_total": sum(one.reconnects for report in reports for one in report.connections),
        "rest_catchup_candles_total": recorder.bars.fetched if recorder else 0,
    }


def _route_latencies(traffic: Traffic) -> dict[str, Any]:
    return {
        route: {"count": one.count, "p50_us": one.quantile_us(0.50), "p99_us": one.quantile_us(0.99)}
        for route, one in sorted(traffic.latencies.items())
    }
