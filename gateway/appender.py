"""Messages on their way into a JetStream stream: whoever has one waits for nothing.

They are stored in their order, some at a time. What was not acknowledged is stored again under the same
message id, which the stream keeps once. While the bus is away they wait here. Full: the oldest goes, counted;
its owner says what that means.
"""

import asyncio
from collections import deque
from itertools import islice
from typing import Final, NamedTuple

import structlog

from processors.bus import Bus, BusError

RETRY_S: Final = 0.5

log = structlog.get_logger()


class Waiting(NamedTuple):
    subject: str
    payload: bytes
    message_id: str


class Appender:
    """One stream's queue."""

    def __init__(self, bus: Bus, name: str, *, max_waiting: int, at_once: int) -> None:
        """`name` is what the log calls it; `at_once` messages wait for their acknowledgement together."""
        self.written = 0
        self.dropped = 0
        self._bus = bus
        self._name = name
        self._max_waiting = max_waiting
        self._at_once = at_once
        self._waiting: deque[Waiting] = deque()
        self._wake = asyncio.Event()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def note(self, subject: str, payload: bytes, message_id: str) -> Waiting | None:
        """Store a message soon; return the one that had to go for it, if any."""
        gone = None
        if len(self._waiting) >= self._max_waiting:
            gone = self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(Waiting(subject, payload, message_id))
        self._wake.set()
        return gone

    async def run(self) -> None:
        """Store what was noted, for as long as it takes. Until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                try:
                    await self._store_some()
                except BusError as error:
                    log.warning("stream.not_stored", what=self._name, waiting=self.waiting, error=str(error))
                    await asyncio.sleep(RETRY_S)

    async def drain(self) -> None:
        """Store what still waits. The last thing before leaving; raises nothing if the bus is away."""
        try:
            while self._waiting and self._bus.is_connected:
                await self._store_some()
        except BusError as error:
            log.warning("stream.left_behind", what=self._name, waiting=self.waiting, error=str(error))

    async def _store_some(self) -> None:
        """Store the oldest messages. Raises BusError, and keeps all of them, if one was not stored."""
        some = list(islice(self._waiting, self._at_once))
        results = await asyncio.gather(*(self._bus.append(*one) for one in some), return_exceptions=True)
        for error in results:
            if isinstance(error, BaseException):
                raise error
        for one in some:
            if self._waiting and self._waiting[0] is one:  # it may have had to make room meanwhile
                self._waiting.popleft()
        self.written += len(some)
