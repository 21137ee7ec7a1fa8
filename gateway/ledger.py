"""Writes the gap ledger: every entry is stored by JetStream on `gaps.<venue>.<native>`, or tried again.

The stream keeps seven days, or 64 MiB, of which the oldest go. Nothing that carries prices waits for
it: entries queue here. Full, at 10,000 (the bus has been away for long): the oldest entry goes,
counted, and the log says so.
"""

import asyncio
from collections import deque
from typing import Final

import structlog

from processors.bus import Bus, BusError
from protocol import subjects
from protocol.ledger import LedgerEntry, format_entry

STREAM: Final = "GAPS"
MAX_AGE_S: Final = 7 * 24 * 3_600
MAX_BYTES: Final = 64 * 1024 * 1024
MAX_WAITING: Final = 10_000
AT_ONCE: Final = 64
"""Entries that wait for their acknowledgement together."""
RETRY_S: Final = 0.5

log = structlog.get_logger()


async def open_ledger(bus: Bus) -> None:
    """Make sure that the stream exists. Raises BusError."""
    await bus.open_rolling_stream(STREAM, subjects.ALL_GAPS, max_bytes=MAX_BYTES, max_age_s=MAX_AGE_S)


class LedgerWriter:
    """Takes entries without waiting and stores them in their order."""

    def __init__(self, bus: Bus, max_waiting: int = MAX_WAITING) -> None:
        self.written = 0
        self.dropped = 0
        self._bus = bus
        self._max_waiting = max_waiting
        self._waiting: deque[LedgerEntry] = deque()
        self._wake = asyncio.Event()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def note(self, entry: LedgerEntry) -> None:
        """Write an entry soon."""
        if len(self._waiting) >= self._max_waiting:
            gone = self._waiting.popleft()
            self.dropped += 1
            log.warning("ledger.entry_dropped", id=gone.id, state=gone.state.name, dropped=self.dropped)
        self._waiting.append(entry)
        self._wake.set()

    async def run(self) -> None:
        """Store what was noted, for as long as it takes. Until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                try:
                    await self._write_some()
                except BusError as error:
                    log.warning("ledger.not_written", waiting=self.waiting, error=str(error))
                    await asyncio.sleep(RETRY_S)

    async def drain(self) -> None:
        """Store what still waits. The last thing before leaving; raises nothing if the bus is away."""
        try:
            while self._waiting and self._bus.is_connected:
                await self._write_some()
        except BusError as error:
            log.warning("ledger.left_behind", entries=self.waiting, error=str(error))

    async def _write_some(self) -> None:
        """Store the oldest entries. Raises BusError, and keeps all of them, if one was not stored."""
        some = list(self._waiting)[:AT_ONCE]
        results = await asyncio.gather(*(self._append(entry) for entry in some), return_exceptions=True)
        for error in results:
            if isinstance(error, BaseException):
                raise error
        for entry in some:
            if self._waiting and self._waiting[0] is entry:  # it may have had to make room meanwhile
                self._waiting.popleft()
        self.written += len(some)

    async def _append(self, entry: LedgerEntry) -> None:
        subject = subjects.gaps(entry.venue, entry.native)
        # With an id of its own, an entry that was stored and not acknowledged is not stored twice.
        message_id = f"{entry.id}-{entry.state.name}-{entry.missing}"
        await self._bus.append(subject, format_entry(entry), message_id)
