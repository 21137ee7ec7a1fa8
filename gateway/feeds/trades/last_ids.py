"""The ids up to which a worker has handed on every trade, kept where they survive it.

One JSON message on `state.feed.<venue>.<shard>`, which replaces the one before it:

    {"at_us": 1780000000000000, "ids": {"BTCUSDT": 4711, …}}

It is written once a second, and names what had been handed on a second earlier, if all of that has
left the worker since. So after the worst of ends a successor fetches some trades again, and misses
none; who reads them drops what it knows.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import msgspec
import structlog

from gateway.feeds.hub import now_us
from processors.bus import Bus, BusError
from protocol import subjects

STREAM: Final = "FEEDSTATE"
MAX_BYTES: Final = 4 * 1024 * 1024
EVERY_S: Final = 1.0

log = structlog.get_logger()


class LastIds(msgspec.Struct, frozen=True):
    """What is kept of one shard."""

    at_us: int
    ids: dict[str, int]


class Sender(Protocol):
    """Whoever sends the trades: the price processor's shell."""

    def mark(self) -> int:
        """Return a mark behind all that has come so far."""

    def has_sent(self, mark: int) -> bool:
        """Say whether all that came before a mark has left."""


class LastIdsKeeper:
    """Reads and writes the last ids of one shard of a venue."""

    def __init__(self, bus: Bus, venue: str, shard: int) -> None:
        self._bus = bus
        self._subject = subjects.feed_state(venue, shard)
        self._holds_some = False
        """What is kept names ids: if they are not carried any more, that is to be written too."""

    async def read(self) -> LastIds:
        """Return what an earlier worker left; empty if there was none. Raises BusError."""
        await self._bus.open_rolling_stream(
            STREAM, subjects.ALL_FEED_STATES, max_bytes=MAX_BYTES, newest_only=True
        )
        payload = await self._bus.read_last(STREAM, self._subject)
        if payload is None:
            return LastIds(0, {})
        self._holds_some = True
        try:
            return msgspec.json.decode(payload, type=LastIds)
        except msgspec.DecodeError as error:
            log.warning("feed.last_ids_unreadable", subject=self._subject, error=str(error))
            return LastIds(0, {})

    async def write(self, ids: dict[str, int], at_us: int) -> None:
        """Replace what is kept. Raises BusError."""
        await self._bus.append(self._subject, msgspec.json.encode(LastIds(at_us, ids)))
        self._holds_some = bool(ids)

    async def run(self, safe_ids: Callable[[], dict[str, int]], sender: Sender) -> None:
        """Write what was handed on a moment ago, once a second, if it has been sent. Until cancelled."""
        while True:
            ids, mark, at_us = safe_ids(), sender.mark(), now_us()
            await asyncio.sleep(EVERY_S)
            if not (ids or self._holds_some) or not sender.has_sent(mark):
                continue
            try:
                await self.write(ids, at_us)
            except BusError as error:
                log.warning("feed.last_ids_not_written", error=str(error))
