"""What a feed worker says of itself: on request all of it, and in the log what went wrong.

`request.feed.<venue>.<shard>` is answered with JSON: the processor's and the hub's counters, the state
of every connection, and the newest messages that did not parse, with their bytes.
"""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

import msgspec
import structlog

from gateway.feeds.cached_prices import CachedPrices
from gateway.feeds.connections.pool import ConnectionPool
from gateway.feeds.hub import Hub, now_us
from gateway.feeds.trades.lane import STREAM
from processors.bus import Endpoint
from processors.price import PriceProcessor
from protocol import subjects
from protocol.events import GapCause, GapState
from protocol.ledger import LedgerEntry

LOOK_EVERY_S: Final = 1.0

log = structlog.get_logger()


class FeedReport:
    """One venue's share of a worker."""

    def __init__(
        self,
        processor: PriceProcessor,
        pool: ConnectionPool,
        hub: Hub,
        note: Callable[[LedgerEntry], None],
        prices: CachedPrices | None = None,
    ) -> None:
        """`note` takes an entry for the ledger, without waiting. Without `prices` none are kept in Redis."""
        self._processor = processor
        self._pool = pool
        self._hub = hub
        self._note = note
        self._prices = prices

    def endpoint(self) -> Endpoint:
        subject = subjects.request_feed(self._processor.venue, self._processor.shard)
        return Endpoint("feed", subject, lambda _subject, _payload: msgspec.json.encode(self.describe()))

    def describe(self) -> dict[str, Any]:
        return {
            "venue": self._processor.venue,
            "shard": self._processor.shard,
            "waiting": self._processor.waiting,
            "counters": asdict(self._processor.counters),
            "hub": self._hub.describe(),
            "cached_prices": self._prices.describe() if self._prices else {},
            "connections": [asdict(state) for state in self._pool.state()],
            "bad_payloads": self._pool.bad_payloads.count,
            "newest_bad_payloads": [
                {**asdict(bad), "data": bad.data.decode(errors="backslashreplace")}
                for bad in self._pool.bad_payloads
            ],
        }

    async def run(self) -> None:
        """Say once a second at most what happened since the last look: losses, gaps. Until cancelled."""
        losses, gaps = self._losses(), self._gaps()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            before, losses = losses, self._losses()
            self._say(log.warning, "feed.lost", before, losses)
            before, gaps = gaps, self._gaps()
            say = log.warning if gaps.get("lost", 0) > before.get("lost", 0) else log.info
            self._say(say, "feed.gaps", before, gaps)
            self._note_overflow()

    def _say(self, say: Callable[..., Any], event: str, before: dict[str, int], now: dict[str, int]) -> None:
        more = {what: count - before.get(what, 0) for what, count in now.items()}
        if any(more.values()):
            risen = {what: count for what, count in more.items() if count}
            say(event, venue=self._processor.venue, shard=self._processor.shard, **risen)

    def _losses(self) -> dict[str, int]:
        return {
            "dropped_trades": self._processor.counters.dropped_trades,
            "bad_payloads": self._pool.bad_payloads.count,
        }

    def _gaps(self) -> dict[str, int]:
        return dict(self._hub.written)

    def _note_overflow(self) -> None:
        """Write down which trades were left unsent because more waited than the queue holds.

        Gateways see the jump and ask for them, so they are not missing; who reads the bus can do the same.
        """
        for native, (first_id, last_id) in self._processor.take_overflow().items():
            venue, at_us = self._processor.venue, now_us()
            self._note(
                LedgerEntry(
                    id=f"{venue}-{native}-overflow-{first_id}-{at_us}",
                    venue=venue,
                    native=native,
                    symbol_id=self._processor.symbol_id(native),
                    stream=STREAM,
                    cause=GapCause.OVERFLOW,
                    state=GapState.FILLED,
                    missing=0,
                    first_id=first_id,
                    last_id=last_id,
                    noticed_us=at_us,
                    closed_us=at_us,
                    detail="left unsent between these ids; request.trades has them",
                )
            )
