"""How the feed workers are, as they say themselves: `request.feed.<venue>.<shard>`, every few seconds.

Each shard that was ever heard on the bus is asked. What it says is cut down to what an operator wants to
know: how many of its connections deliver, and for each that does not, which address and why.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog

from processors.bus import Bus, BusError
from protocol import subjects

EVERY_S: Final = 2.0
TIMEOUT_S: Final = 1.0
LIVE: Final = "live"
FEW_SILENT: Final = "silent after data"
"""How a worker begins what it says where single symbols are silent: a quiet market is no trouble."""

log = structlog.get_logger()


class _Connection(msgspec.Struct, frozen=True):
    """What is read of a connection's state; the rest of it is for those who ask the worker themselves."""

    name: str
    url: str
    phase: str
    last_message_us: int = 0
    last_error: str | None = None
    mute: str = ""
    rejected: dict[str, str] = {}


class _Report(msgspec.Struct, frozen=True):
    venue: str
    shard: int
    connections: list[_Connection]


_decoder: Final = msgspec.json.Decoder(_Report)


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

    @property
    def is_well(self) -> bool:
        return self.answers and not self.troubles


class FeedWatch:
    """The newest word of every feed worker."""

    def __init__(self, bus: Bus, sources: Callable[[], Collection[str]]) -> None:
        """`sources` names the `wire.` subjects that have been heard."""
        self.feeds: list[FeedHealth] = []
        self._bus = bus
        self._sources = sources

    async def run(self) -> None:
        """Ask all of them, again and again. Until cancelled."""
        while True:
            self.feeds = list(await asyncio.gather(*map(self._ask, sorted(self._sources()))))
            await asyncio.sleep(EVERY_S)

    async def _ask(self, source: str) -> FeedHealth:
        venue, shard = subjects.parse_wire(source)
        try:
            payload = await self._bus.request(subjects.request_feed(venue, shard), timeout_s=TIMEOUT_S)
            return summarize(_decoder.decode(payload), time.time_ns() // 1_000)
        except BusError:
            return FeedHealth(venue, shard, answers=False)
        except msgspec.DecodeError as error:
            log.warning("feeds.report_unreadable", source=source, error=str(error))
            return FeedHealth(venue, shard, answers=False)


def summarize(report: _Report, now_us: int) -> FeedHealth:
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
    )


def _troubles(one: _Connection) -> list[Trouble]:
    causes = [f"{stream} is refused: {reason}" for stream, reason in one.rejected.items()]
    if one.mute and not one.mute.startswith(FEW_SILENT):
        causes.append(one.mute)
    elif one.phase != LIVE:
        causes.append(one.last_error or "not connected yet")
    return [Trouble(one.name, one.url, one.phase, cause) for cause in causes]
