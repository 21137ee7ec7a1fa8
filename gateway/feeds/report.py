"""What a feed worker says of itself: on request all of it, and in the log what went wrong.

`request.feed.<venue>.<shard>` is answered with JSON: the processor's counters, the state of every
connection, and the newest messages that did not parse, with their bytes.
"""

import asyncio
from dataclasses import asdict
from typing import Any, Final

import msgspec
import structlog

from gateway.feeds.pool import ConnectionPool
from processors.bus import Endpoint
from processors.price import PriceProcessor
from protocol import subjects

LOOK_EVERY_S: Final = 1.0

log = structlog.get_logger()


class FeedReport:
    """One venue's share of a worker."""

    def __init__(self, processor: PriceProcessor, pool: ConnectionPool) -> None:
        self._processor = processor
        self._pool = pool

    def endpoint(self) -> Endpoint:
        subject = subjects.request_feed(self._processor.venue, self._processor.shard)
        return Endpoint("feed", subject, lambda _subject, _payload: msgspec.json.encode(self.describe()))

    def describe(self) -> dict[str, Any]:
        return {
            "venue": self._processor.venue,
            "shard": self._processor.shard,
            "waiting": self._processor.waiting,
            "counters": asdict(self._processor.counters),
            "connections": [asdict(state) for state in self._pool.state()],
            "bad_payloads": self._pool.bad_payloads.count,
            "newest_bad_payloads": [
                {**asdict(bad), "data": bad.data.decode(errors="backslashreplace")}
                for bad in self._pool.bad_payloads
            ],
        }

    async def log_losses(self) -> None:
        """Say in the log, once a second at most, what was lost since the last look. Until cancelled."""
        before = self._losses()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = self._losses()
            lost = {what: count - before[what] for what, count in now.items() if count > before[what]}
            if lost:
                where = {"venue": self._processor.venue, "shard": self._processor.shard}
                log.warning("feed.lost", **where, **lost)
            before = now

    def _losses(self) -> dict[str, int]:
        return {
            "dropped_trades": self._processor.counters.dropped_trades,
            "bad_payloads": self._pool.bad_payloads.count,
        }
