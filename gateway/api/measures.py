"""What `/metrics` shows: every metric once, with its unit in its name, its labels, and what it means.

What a gateway says of itself gets the label `gateway`; what it has heard of the feed workers and the recorder
does not, because every gateway hears the same. A label's values come from us and are few: routes, not paths.
"""

from enum import Enum, auto
from typing import Final, NamedTuple

from gateway.metrics import bounds


class Kind(Enum):
    COUNTER = auto()
    GAUGE = auto()
    HISTOGRAM = auto()
    """Seconds."""


class Measure(NamedTuple):
    """One metric."""

    name: str
    meaning: str
    kind: Kind
    labels: tuple[str, ...] = ()
    bounds_us: tuple[int, ...] = ()
    """Of a histogram: where its buckets end."""


def _count(name: str, meaning: str, *labels: str) -> Measure:
    return Measure(f"tickgate_{name}_total", meaning, Kind.COUNTER, labels)


def _gauge(name: str, meaning: str, *labels: str) -> Measure:
    return Measure(f"tickgate_{name}", meaning, Kind.GAUGE, labels)


def _seconds(name: str, meaning: str, label: str, bounds_us: tuple[int, ...]) -> Measure:
    return Measure(f"tickgate_{name}_seconds", meaning, Kind.HISTOGRAM, (label,), bounds_us)


FEED: Final = ("venue", "shard")
GATEWAY: Final = (
    _gauge("build_info", "1, with the build in the labels", "version", "python"),
    _seconds(
        "latency",
        "Age of prices by hop: exchange_to_feed, feed, bus, gateway; client: from a ping to its answer",
        "hop",
        bounds(1 << 4, 1 << 23, per_doubling=2),
    ),
    _gauge("last_price_age_seconds", "How long ago the newest price came off the bus"),
    _gauge("symbols", "Symbols that are known"),
    _gauge("clients", "WebSocket clients that are connected"),
    _gauge("slow_clients", "Of those, clients whose socket is full"),
    _gauge("audiences", "Different watchlists that are served"),
    _count("client_closes", "WebSocket connections that ended, by close code; other: one of theirs", "code"),
    _count("frames", "Frames written to clients"),
    _count("sent_bytes", "Bytes of frames written to clients"),
    _count("flushes", "Turns in which something was written to clients"),
    _count("coalesced_values", "Values that slow clients got only as a newer one"),
    _count("delivered_trades", "Trades taken in to be delivered"),
    _count("doubled_trades", "Trades that came again and were left out"),
    _count("lost_trades", "Trades that no feed worker had any more"),
    _gauge("waiting_trades", "Trades that wait behind a hole"),
    _count("holes", "Holes in the trades that came off the bus"),
    _count("replays", "Replays asked for by clients; candle: those that needed the recorder", "kind"),
    _gauge("bus_connected", "1 while NATS is connected"),
    _gauge("bus_pending_bytes", "Published and not yet with NATS"),
    _count("bus_batches", "Batches off the bus: of feed workers (wire), of the recorder (recorded)", "lane"),
    _count("bus_missed_batches", "Batches that did not come", "lane"),
    _count("bus_unreadable_batches", "Batches that made no sense", "lane"),
    _count("bus_snapshots", "Snapshots that healed what was missed"),
    _count("history_questions", "Questions to the recorder"),
    _count("history_clearings", "How often all cached bars were dropped, as some may have been missed"),
    _gauge("history_cache_bytes", "Size of the cached bars"),
    _gauge("cache_up", "1 while Redis answers, or none is used"),
    _gauge("metadata_up", "1 while the database of users and watchlists answers"),
    _gauge("connections", "TCP connections that are open, streams among them"),
    _count("http_rejections", "What was no request, too much or too slow, by what it was told", "reason"),
    _count("http_requests", "HTTP requests by route and status; 0: not answered", "route", "status"),
    _seconds("http_request", "Time to answer HTTP requests", "route", bounds(1 << 8, 1 << 23)),
    _count("log_complaints", "Warnings and errors in the log, also those held back", "level", "event"),
    Measure("process_cpu_seconds_total", "CPU time of the process, user and system", Kind.COUNTER),
    Measure("process_resident_memory_bytes", "Memory of the process", Kind.GAUGE),
    Measure("process_virtual_memory_bytes", "Address space of the process", Kind.GAUGE),
    Measure("process_open_fds", "Open files and sockets", Kind.GAUGE),
    Measure("process_max_fds", "How many may be open", Kind.GAUGE),
    Measure("process_start_time_seconds", "When the process started, since 1970", Kind.GAUGE),
)
FLEET: Final = (
    _gauge("gateways", "Gateways that have answered"),
    _gauge("feed_up", "1 while the feed worker answers", *FEED),
    _gauge("feed_connections", "Connections to the exchange by state", *FEED, "state"),
    _gauge("feed_last_message_age_seconds", "How long ago the exchange was heard last", *FEED),
    _gauge("feed_symbols", "Symbols that are carried", *FEED),
    _count("feed_messages", "Messages of the exchange", *FEED, "connection"),
    _count("feed_received_bytes", "Their size", *FEED, "connection"),
    _count("feed_reconnects", "Connections to the exchange that were opened again", *FEED, "connection"),
    _count("feed_events", "Events that went into the price processor", *FEED),
    _count("feed_batches", "Batches that were published", *FEED),
    _count("feed_records", "Records in them", *FEED),
    _count("feed_drops", "Left out: queue_full, unreadable, unknown_symbol, stale_book", *FEED, "reason"),
    _gauge("feed_waiting_trades", "Trades that wait to be published", *FEED),
    _gauge("feed_held_back_trades", "Trades that wait behind a hole", *FEED),
    _gauge("feed_open_gaps", "Holes that are being filled", *FEED),
    _count("feed_doubled_trades", "Trades that the exchange sent again", *FEED),
    _count("feed_recovered_trades", "Trades that were missing and fetched by REST", *FEED),
    _count("feed_lost_trades", "Trades that the exchange no longer had", *FEED),
    _gauge("recorder_up", "1 while the recorder answers"),
    _gauge("recorder_symbols", "Symbols that are recorded", "venue"),
    _count("recorder_differences", "Bars that the exchange's own did not agree with", "venue"),
    _count("recorder_written_bars", "Bars that the store has taken"),
    _gauge("recorder_waiting_bars", "Bars that wait to be written"),
    _gauge("recorder_waiting_candles", "Final candles that wait for JetStream"),
    _count("recorder_drops", "What a full queue left out: bars, ticks, candles, spooled", "reason"),
    _count("recorder_answers", "Questions for bars that were answered"),
    _count("recorder_fetched_bars", "Bars that came over the exchange's REST"),
    _gauge("recorder_fetches", "Fetches that are under way"),
    _gauge("recorder_bars_in_doubt", "Bars about which the exchange will be asked"),
    _count("recorder_doubts_settled", "Bars about which it was"),
    _count("recorder_batches", "Batches off the bus"),
    _count("recorder_missed_batches", "Batches that did not come"),
    _count("recorder_unreadable_messages", "Messages that made no sense"),
    _count("recorder_filled_trades", "Trades that were missing and came from a feed worker"),
    _count("recorder_lost_trades", "Trades that no feed worker had any more"),
    _gauge("store_up", "1 while the history store takes what is written"),
    _gauge("store_waiting_bytes", "Bytes on disk that wait for the store"),
)
MEASURES: Final = GATEWAY + FLEET
