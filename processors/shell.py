"""Runs a price processor on the bus: sends at once when idle, batches while the bus is busy.

What has arrived goes out when the turn is over in which it came (`end_turn`), or else on the next one.
Only while earlier batches have not left this process, or the server is gone, does a batch grow: for at
most `max_wait_ms` while connected, and until the server is back otherwise. Meanwhile prices and quotes
coalesce by symbol and trades wait in the processor's bounded queue; when that is half full, they go all
the same, into what the connection to the bus can hold.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import structlog

from processors.bus import Bus, BusError, Endpoint
from processors.price import PriceProcessor
from protocol import subjects
from protocol.events import Gap
from protocol.market import AggTrade, MarketEvent

BUSY_BYTES: Final = 64 * 1024
"""More than this unsent means that the server is slower than we are."""
POLL_S: Final = 0.001
HEARTBEAT_S: Final = 0.5

log = structlog.get_logger()


def now_us() -> int:
    return time.time_ns() // 1000


class PriceShell:
    """One shard's price processor between the exchange's sockets and the bus."""

    def __init__(self, processor: PriceProcessor, bus: Bus, max_wait_ms: int) -> None:
        self.processor = processor
        self._bus = bus
        self._max_wait_s = max_wait_ms / 1000
        self._wake = asyncio.Event()
        self._is_turn = False

    def on_event(self, event: MarketEvent, received_us: int) -> None:
        """Take one event in; it is sent on the next turn of the loop if the bus is free."""
        self.processor.on_event(event, received_us)
        self._send_soon()

    def on_run(self, native: str, run: Sequence[AggTrade], received_us: int) -> None:
        """Take in trades of one symbol, each id one above the one before."""
        self.processor.on_run(native, run, received_us)
        self._send_soon()

    def begin_turn(self) -> None:
        """What comes until `end_turn` comes together, and is sent together."""
        self._is_turn = True

    def end_turn(self) -> None:
        """Send what came, at once if nothing else is on its way to the bus, or too much waits."""
        self._is_turn = False
        if not self._bus.pending_bytes or not self.processor.has_room:
            self._publish_waiting()
        if self.processor.waiting:
            self._wake.set()

    # What the hub adds to that

    @property
    def has_room(self) -> bool:
        return self.processor.has_room

    def on_recovered(self, trade: AggTrade, received_us: int) -> None:
        """Take in a trade that was fetched afterwards."""
        self.processor.on_recovered(trade, received_us)
        self._send_soon()

    def glimpse(self, trade: AggTrade, received_us: int) -> None:
        """Show the price of a trade that itself comes later."""
        self.processor.glimpse(trade, received_us)
        self._send_soon()

    def on_gap(self, native: str, gap: Gap) -> None:
        """Tell the readers of a gap, behind the trades that have come so far."""
        self.processor.on_gap(native, gap, now_us())
        self._send_soon()

    def begin_anew(self, native: str) -> None:
        """Forget the ids of a symbol's trades."""
        self.processor.begin_anew(native)

    def endpoint(self) -> Endpoint:
        """Answer snapshot requests, by which a reader heals a loss on the bus."""
        subject = subjects.request_snapshot(self.processor.venue, self.processor.shard)
        return Endpoint("snapshot", subject, lambda _subject, _payload: self.processor.snapshot(now_us()))

    def mark(self) -> int:
        """Return a mark behind the trades that have come so far, for `has_sent`."""
        return self.processor.mark()

    def has_sent(self, mark: int) -> bool:
        """Say whether all trades before a mark have gone to the bus, and the bus keeps up."""
        keeps_up = self._bus.is_connected and self._bus.pending_bytes <= BUSY_BYTES
        return keeps_up and self.processor.is_past(mark)

    async def run(self) -> None:
        """Publish until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._publish_batches())
            tasks.create_task(self._publish_heartbeats())

    async def drain(self) -> None:
        """Publish what still waits. The last thing before leaving."""
        self._publish_waiting()
        while self._bus.is_connected and self.processor.waiting:  # nats-py says nothing
            await asyncio.sleep(POLL_S)
            self._publish_waiting()

    async def _publish_batches(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self.processor.waiting:
                await self._until_free()
                self._publish_waiting()

    def _send_soon(self) -> None:
        if not self._is_turn:
            self._wake.set()

    def _publish_waiting(self) -> None:
        while self.processor.waiting and self._bus.has_room:
            for subject, payload in self.processor.take_batch(now_us()):
                try:
                    self._bus.publish_now(subject, payload)
                except BusError as error:  # the sequence shows the loss; readers ask for a snapshot
                    log.warning("feed.publish_failed", subject=subject, error=str(error))

    async def _until_free(self) -> None:
        give_up = time.monotonic() + self._max_wait_s
        while not self._bus.is_connected or (  # noqa: ASYNC110  # nats-py has no event for "drained"
            self._bus.pending_bytes > BUSY_BYTES and time.monotonic() < give_up
        ):
            await asyncio.sleep(POLL_S if self._bus.is_connected else 0.02)

    async def _publish_heartbeats(self) -> None:
        while True:
            if self._bus.is_connected:
                subject, payload = self.processor.heartbeat(now_us())
                await self._bus.publish(subject, payload)
            await asyncio.sleep(HEARTBEAT_S)
