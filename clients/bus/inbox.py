"""What core NATS brings for one reader: frames become updates, and wait for it.

The rules of this file:
- Prices, quotes and levels: the newest of a symbol waits, and says for how many changes it stands.
- Trades and gaps all wait, in the order of arrival, up to `MAX_TRADES` of them. Full: nothing more is taken
  until all of it has been read. How many messages that were is an `Overrun`, where they would have been.
- How the connection is stands between the updates: `Disconnected`; then `Connected`, with how long nothing
  could arrive. What changed meanwhile was not heard.
- A payload that breaks the protocol is counted and logged, and left out.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from nats.aio.msg import Msg

from clients.backlog import Backlog
from clients.bus.connection import RECONNECT_WAIT_S, Bus
from clients.stats import ServicesStats
from clients.updates import Connected, Disconnected, Event, Item, Overrun
from protocol.errors import ProtocolError

NO_CODE: Final = 1006
"""What stands where a WebSocket would have a close code."""

log = logging.getLogger(__name__)


class Inbox:
    """Between the subscriptions of one reader and the reader."""

    def __init__(self, bus: Bus, stats: ServicesStats) -> None:
        self.backlog = Backlog()
        self._bus = bus
        self._stats = stats
        self._arrived = asyncio.Event()
        self._lost_at_s: float | None = None
        self._not_taken = 0
        self._is_full = False

    async def items(self) -> AsyncGenerator[Item, None]:
        """Yield what arrives, until the bus is closed by us. Raises BusClosed if it is by the other side."""
        while True:
            while self.backlog:
                yield self.backlog.pop()
            self._take_again()
            if self._bus.is_closed:
                break
            if not self.backlog:
                await self._arrived.wait()
                self._arrived.clear()
        if self._bus.failure is not None:
            raise self._bus.failure

    @contextmanager
    def told(self) -> Iterator[None]:
        """Hear how the connection is."""
        self._bus.listeners.append(self._on_connection)
        try:
            yield
        finally:
            self._bus.listeners.remove(self._on_connection)

    def tell(self, event: Event) -> None:
        self.backlog.put_event(event)
        self._arrived.set()

    # What comes

    def on_message(self, message: Msg, take: Callable[[Msg, "Inbox"], None]) -> None:
        """Let a message be taken in; `take` raises ProtocolError for one that is not as it should be."""
        if self._is_full or self.backlog.is_full:
            self._is_full = True
            self.on_dropped()
            return
        self._stats.messages += 1
        self._stats.bytes += len(message.data)
        try:
            take(message, self)
        except ProtocolError as error:
            self._stats.bad_messages += 1
            log.warning("%s: %s", message.subject, error)
        self._arrived.set()

    def on_dropped(self) -> None:
        """Count a message that could not be kept."""
        self._stats.overrun += 1
        self._not_taken += 1
        self._arrived.set()

    def _take_again(self) -> None:
        self._is_full = False
        if self._not_taken:
            self.tell(Overrun(self._not_taken))
            self._not_taken = 0

    def _on_connection(self, is_connected: bool) -> None:
        now_s = time.monotonic()
        if is_connected:
            away_s = now_s - (self._lost_at_s or now_s)
            self._lost_at_s = None
            self.tell(Connected(self._bus.url, max(round(away_s * 1_000), 1)))
        elif self._lost_at_s is None:
            self._lost_at_s = now_s
            self.tell(Disconnected(NO_CODE, "the bus is away", round(RECONNECT_WAIT_S * 1_000)))
