"""How the feed workers and the recorder are, as they say themselves: asked on the bus every few seconds.

Each shard that was ever heard on the bus is asked (`request.feed.<venue>.<shard>`), and the recorder
(`request.recorder`). What a worker says is cut down to what an operator wants to know: how many of its
connections deliver, and for each that does not, which address and why. Its figures are kept for the metrics.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

import msgspec
import structlog

from gateway.health import Part, State
from gateway.recorder_report import RecorderReport, decode_report
from processors.bus import Bus, BusError
from protocol import subjects

EVERY_S: Final = 2.0
FIRST_S: Final = 0.2
"""Until the first worker has been heard."""
TIMEOUT_S: Final = 1.0
LIVE: Final = "live"
FEW_SILENT: Final = "silent after data"
"""How a worker begins what it says where single symbols are silent: a quiet market is no trouble."""

log = structlog.get_logger()


class ConnectionReport(msgspec.Struct, frozen=True):
    """What is read of a connection's state; the rest of it is for those who ask the worker themselves."""

    name: str
    url: str
    phase: str
    last_message_us: int = 0
    last_error: str | None = None
    mute: str = ""
    rejected: dict[str, str] = {}
    messages: int = 0
    bytes: int = 0
    reconnects: int = 0


class ProcessorReport(msgspec.Struct, frozen=True):
    events: int = 0
    duplicates: int = 0
    unknown_symbols: int = 0
    dropped_trades: int = 0
    batches: int = 0
    records: int = 0


class HubReport(msgspec.Struct, frozen=True):
    symbols: int = 0
    open_gaps: int = 0
    held_back: int = 0
    duplicates: int = 0
    stale_books: int = 0
    recovered: int = 0
    lost: int = 0


class FeedReport(msgspec.Struct, frozen=True):
    """One venue's share of one worker, in its own words."""

    venue: str
    shard: int
    connections: list[ConnectionReport]
    waiting: int = 0
    counters: ProcessorReport = ProcessorReport()
    hub: HubReport = HubReport()
    bad_payloads: int = 0


_decode_feed: Final = msgspec.json.Decoder(FeedReport).decode


@dataclass(frozen=True, slots=True)
class Trouble:
    """A connection that does not deliver what it should."""

    connection: str
    url: str
    phase: str
    cause: str


@dataclass(frozen=True, slots=True)
class FeedHealth:
    """One venue's share of one worker."""

    venue: str
    shard: int
    answers: bool
    connections: int = 0
    live: int = 0
    last_message_age_ms: int | None = None
    """None: nothing has come yet."""
    troubles: tuple[Trouble, ...] = ()
    report: FeedReport | None = field(default=None, compare=False, repr=False)
    """What all this is taken from."""

    @property
    def is_well(self) -> bool:
        return self.answers and not self.troubles


class FeedWatch:
    """The newest word of every feed worker, and of the recorder."""

    def __init__(self, bus: Bus, sources: Callable[[], Collection[str]]) -> None:
        """`sources` names the `wire.` subjects that have been heard."""
        self.feeds: list[FeedHealth] = []
        self.recorder: RecorderReport | None = None
        """None: it does not answer, or has not been asked yet."""
        self._bus = bus
        self._sources = sources

    async def run(self) -> None:
        """Ask all of them, again and again. Until cancelled."""
        while True:
            asking = asyncio.gather(*map(self._ask, sorted(self._sources())))
            self.recorder = await self._ask_recorder()
            self.feeds = list(await asking)
            await asyncio.sleep(EVERY_S if self.feeds else FIRST_S)

    async def _ask(self, source: str) -> FeedHealth:
        venue, shard = subjects.parse_wire(source)
        try:
            payload = await self._bus.request(subjects.request_feed(venue, shard), timeout_s=TIMEOUT_S)
            return summarize(_decode_feed(payload), time.time_ns() // 1_000)
        except BusError:
            return FeedHealth(venue, shard, answers=False)
        except (msgspec.DecodeError, UnicodeError) as error:
            log.warning("feeds.report_unreadable", source=source, error=str(error))
            return FeedHealth(venue, shard, answers=False)

    async def _ask_recorder(self) -> RecorderReport | None:
        try:
            return decode_report(await self._bus.request(subjects.REQUEST_RECORDER, timeout_s=TIMEOUT_S))
        except BusError:
            return None
        except (msgspec.DecodeError, UnicodeError) as error:
            log.warning("feeds.report_unreadable", source=subjects.REQUEST_RECORDER, error=str(error))
            return None


def summarize(report: FeedReport, now_us: int) -> FeedHealth:
    """Cut a worker's report down to what matters."""
    newest_us = max((one.last_message_us for one in report.connections), default=0)
    return FeedHealth(
        report.venue,
        report.shard,
        True,
        len(report.connections),
        sum(one.phase == LIVE for one in report.connections),
        max(now_us - newest_us, 0) // 1_000 if newest_us else None,
        tuple(trouble for one in report.connections for trouble in _troubles(one)),
        report,
    )


def _troubles(one: ConnectionReport) -> list[Trouble]:
    causes = [f"{stream} is refused: {reason}" for stream, reason in one.rejected.items()]
    if one.mute and not one.mute.startswith(FEW_SILENT):
        causes.append(one.mute)
    elif one.phase != LIVE:
        causes.append(one.last_error or "not connected yet")
    return [Trouble(one.name, one.url, one.phase, cause) for cause in causes]


def feeds_part(feeds: Collection[FeedHealth]) -> Part:
    """Say in one line how all feed workers are."""
    silent = [f"{feed.venue} shard {feed.shard} does not answer" for feed in feeds if not feed.answers]
    troubles = [f"{one.url}: {one.cause}" for feed in feeds for one in feed.troubles]
    reason = "; ".join(silent + list(dict.fromkeys(troubles)))
    if not feeds:
        return Part("feeds", State.UNKNOWN, "none has been heard yet")
    if not any(feed.live for feed in feeds):
        return Part("feeds", State.DOWN, reason or "they have no connections")
    return Part("feeds", State.DEGRADED if reason else State.OK, reason)
