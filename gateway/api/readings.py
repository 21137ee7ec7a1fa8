"""What the metrics are at this moment, read off the parts of a gateway. Nothing is counted here.

A reading is plain data, so that gateways can hand theirs to each other as JSON: for each metric by name the
values with those of its labels. A histogram's value is a list: the sum in seconds, how many lie below each
of its bounds, and how many there are.
"""

import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from gateway.addresses import TrustedProxies
from gateway.api.measures import MEASURES
from gateway.api.traffic import Traffic
from gateway.feed_watch import FeedHealth, FeedReport, FeedWatch
from gateway.health import Part, State
from gateway.history.windows import History
from gateway.http.entrance import Entrance, HttpLimits
from gateway.logs import complaints
from gateway.metrics import Histogram
from gateway.recorded import RecordedReader
from gateway.recorder_report import RecorderReport
from gateway.repair import Repair
from gateway.wire import WireReader
from gateway.ws.endpoint import Clients
from gateway.ws.fanout import now_us
from processors.bus import Bus
from protocol.errors import CloseCode

Value: TypeAlias = float | list[float]
Labels: TypeAlias = tuple[str, ...]
Reading: TypeAlias = dict[str, list[tuple[Labels, Value]]]

NO_CODE: Final = (1000, 1005, 1006)
"""How connections end of which nobody says why."""
CODES: Final = frozenset((*CloseCode, *NO_CODE))
BOUNDS_US: Final = {one.name: one.bounds_us for one in MEASURES if one.bounds_us}


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayParts:
    """What a gateway consists of, for those who say how it is."""

    clients: Clients
    reader: WireReader
    recorded: RecordedReader
    repair: Repair
    history: History
    watch: FeedWatch
    traffic: Traffic
    bus: Bus
    version: str
    entrance: Entrance = field(default_factory=lambda: Entrance(HttpLimits(), TrustedProxies(())))
    cache_is_down: Callable[[], bool] = lambda: False
    """Redis does not answer; memory does."""
    metadata: Callable[[], Part] = lambda: Part("metadata", State.OK)


def read_gateway(parts: GatewayParts) -> Reading:
    """Read what this gateway says of itself."""
    return {
        "tickgate_build_info": [((parts.version, platform.python_version()), 1)],
        **_read_streams(parts.clients),
        **_read_wire(parts),
        **_read_traffic(parts.traffic),
        "tickgate_connections": _one(parts.entrance.connections),
        "tickgate_http_rejections_total": [
            ((reason,), float(count)) for reason, count in sorted(parts.entrance.rejected.items())
        ],
        "tickgate_history_questions_total": _one(parts.history.questions.asked),
        "tickgate_history_clearings_total": _one(parts.history.clearings),
        "tickgate_history_cache_bytes": _one(parts.history.cache.size_bytes),
        "tickgate_cache_up": _one(not parts.cache_is_down()),
        "tickgate_metadata_up": _one(parts.metadata().state is State.OK),
        "tickgate_log_complaints_total": [(of, float(count)) for of, count in sorted(complaints.items())],
    }


def _read_streams(clients: Clients) -> Reading:
    fanout = clients.fanout
    last_us = fanout.last_price_us
    return {
        "tickgate_latency_seconds": _histograms("tickgate_latency_seconds", fanout.hops),
        "tickgate_last_price_age_seconds": _one((now_us() - last_us) / 1e6) if last_us else [],
        "tickgate_symbols": _one(len(clients.symbols)),
        "tickgate_clients": _one(len(clients.connected)),
        "tickgate_slow_clients": _one(sum(client.outbox.is_full for client in clients.connected)),
        "tickgate_audiences": _one(len(fanout.audiences)),
        "tickgate_client_closes_total": _closes(clients.closed_by_code),
        "tickgate_frames_total": _one(fanout.frames_written),
        "tickgate_sent_bytes_total": _one(fanout.bytes_written),
        "tickgate_flushes_total": _one(fanout.flushes),
        "tickgate_coalesced_values_total": _one(clients.coalesced),
        "tickgate_delivered_trades_total": _one(fanout.trades.delivered),
        "tickgate_doubled_trades_total": _one(fanout.trades.duplicates),
        "tickgate_waiting_trades": _one(fanout.trades.waiting),
        "tickgate_replays_total": [
            (("trade",), clients.replays.started),
            (("candle",), clients.candle_replays.asked),
        ],
    }


def _closes(by_code: Mapping[int, int]) -> list[tuple[Labels, Value]]:
    """Clients may close with any of thousands of codes: those that mean nothing here are one."""
    known: dict[str, int] = {}
    for code, count in by_code.items():
        name = str(int(code)) if code in CODES else "other"
        known[name] = known.get(name, 0) + count
    return [((name,), count) for name, count in sorted(known.items())]


def _read_wire(parts: GatewayParts) -> Reading:
    lanes: dict[str, WireReader | RecordedReader] = {"wire": parts.reader, "recorded": parts.recorded}
    return {
        "tickgate_bus_connected": _one(parts.bus.is_connected),
        "tickgate_bus_pending_bytes": _one(parts.bus.pending_bytes),
        "tickgate_bus_batches_total": [((lane,), one.batches) for lane, one in lanes.items()],
        "tickgate_bus_missed_batches_total": [((lane,), one.missed_batches) for lane, one in lanes.items()],
        "tickgate_bus_unreadable_batches_total": [((lane,), one.bad_batches) for lane, one in lanes.items()],
        "tickgate_bus_snapshots_total": _one(parts.reader.snapshots),
        "tickgate_holes_total": _one(parts.repair.holes),
        "tickgate_lost_trades_total": _one(parts.repair.lost_trades),
    }


def _read_traffic(traffic: Traffic) -> Reading:
    return {
        "tickgate_http_requests_total": [
            ((route, str(status)), count) for (route, status), count in sorted(traffic.answers.items())
        ],
        "tickgate_http_request_seconds": _histograms("tickgate_http_request_seconds", traffic.latencies),
    }


def read_fleet(watch: FeedWatch) -> Reading:
    """Read what is known of the feed workers and the recorder."""
    return read_feeds(watch.feeds) | read_recorder(watch.recorder)


def read_feeds(feeds: Iterable[FeedHealth]) -> Reading:
    reading: Reading = {}
    for feed in feeds:
        place = (feed.venue, str(feed.shard))
        _add(reading, "feed_up", place, feed.answers)
        if feed.last_message_age_ms is not None:
            _add(reading, "feed_last_message_age_seconds", place, feed.last_message_age_ms / 1_000)
        if feed.report is not None:
            _add_feed(reading, place, feed.report)
    return reading


def _add_feed(reading: Reading, place: Labels, report: FeedReport) -> None:
    counters, hub = report.counters, report.hub
    for one in report.connections:
        _add(reading, "feed_messages_total", (*place, one.name), one.messages)
        _add(reading, "feed_received_bytes_total", (*place, one.name), one.bytes)
        _add(reading, "feed_reconnects_total", (*place, one.name), one.reconnects)
    for state in sorted({"live", *(one.phase for one in report.connections)}):
        count = sum(one.phase == state for one in report.connections)
        _add(reading, "feed_connections", (*place, state), count)
    drops = {
        "queue_full": counters.dropped_trades,
        "unreadable": report.bad_payloads,
        "unknown_symbol": counters.unknown_symbols,
        "stale_book": hub.stale_books,
    }
    for reason, count in drops.items():
        _add(reading, "feed_drops_total", (*place, reason), count)
    _add(reading, "feed_symbols", place, hub.symbols)
    _add(reading, "feed_events_total", place, counters.events)
    _add(reading, "feed_batches_total", place, counters.batches)
    _add(reading, "feed_records_total", place, counters.records)
    _add(reading, "feed_waiting_trades", place, report.waiting)
    _add(reading, "feed_held_back_trades", place, hub.held_back)
    _add(reading, "feed_open_gaps", place, hub.open_gaps)
    _add(reading, "feed_doubled_trades_total", place, hub.duplicates + counters.duplicates)
    _add(reading, "feed_recovered_trades_total", place, hub.recovered)
    _add(reading, "feed_lost_trades_total", place, hub.lost)


def read_recorder(report: RecorderReport | None) -> Reading:
    if report is None:
        return {"tickgate_recorder_up": _one(0)}
    bars, trades, announced, store = report.bars, report.trades, report.announced, report.store
    venues = report.venues.items()
    return {
        "tickgate_recorder_up": _one(1),
        "tickgate_recorder_symbols": [((venue,), one.symbols) for venue, one in venues],
        "tickgate_recorder_differences_total": [((venue,), one.differences) for venue, one in venues],
        "tickgate_recorder_written_bars_total": _one(bars.written),
        "tickgate_recorder_waiting_bars": _one(bars.waiting),
        "tickgate_recorder_waiting_candles": _one(announced.candles_waiting),
        "tickgate_recorder_drops_total": [
            (("bars",), bars.dropped),
            (("ticks",), trades.ticks_dropped),
            (("candles",), announced.candles_dropped),
            (("spooled",), store.dropped),
        ],
        "tickgate_recorder_answers_total": _one(bars.answers),
        "tickgate_recorder_fetched_bars_total": _one(bars.fetched),
        "tickgate_recorder_fetches": _one(bars.fetches_under_way),
        "tickgate_recorder_bars_in_doubt": _one(bars.in_doubt),
        "tickgate_recorder_doubts_settled_total": _one(bars.doubts_settled),
        "tickgate_recorder_batches_total": _one(trades.batches),
        "tickgate_recorder_missed_batches_total": _one(trades.missed_batches),
        "tickgate_recorder_unreadable_messages_total": _one(trades.bad_messages),
        "tickgate_recorder_filled_trades_total": _one(trades.filled),
        "tickgate_recorder_lost_trades_total": _one(trades.lost),
        "tickgate_store_up": _one(not report.store_trouble),
        "tickgate_store_waiting_bytes": _one(store.waiting_bytes),
    }


def _one(value: float) -> list[tuple[Labels, Value]]:
    """Return the value of a metric without labels."""
    return [((), float(value))]


def _add(reading: Reading, name: str, labels: Labels, value: float) -> None:
    reading.setdefault(f"tickgate_{name}", []).append((labels, float(value)))


def _histograms(name: str, histograms: Mapping[str, Histogram]) -> list[tuple[Labels, Value]]:
    """Return the values of a metric with one label."""
    bounds_us = BOUNDS_US[name]
    return [
        ((label,), [one.sum_us / 1e6, *one.below(bounds_us), one.count]) for label, one in histograms.items()
    ]
