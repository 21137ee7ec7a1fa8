"""Writes the gap ledger: every entry is stored by JetStream on `gaps.<venue>.<native>`, or tried again.

The stream keeps seven days, or 64 MiB, of which the oldest go. Nothing that carries prices waits for
it: entries queue here. Full, at 10,000 (the bus has been away for long): the oldest entry goes,
counted, and the log says so.
"""

from typing import Final

import structlog

from gateway.appender import Appender
from processors.bus import Bus
from protocol import subjects
from protocol.ledger import LedgerEntry, format_entry, parse_entry

STREAM: Final = "GAPS"
MAX_AGE_S: Final = 7 * 24 * 3_600
MAX_BYTES: Final = 64 * 1024 * 1024
MAX_WAITING: Final = 10_000
AT_ONCE: Final = 64

log = structlog.get_logger()


async def open_ledger(bus: Bus) -> None:
    """Make sure that the stream exists. Raises BusError."""
    await bus.open_rolling_stream(STREAM, subjects.ALL_GAPS, max_bytes=MAX_BYTES, max_age_s=MAX_AGE_S)


class LedgerWriter:
    """Takes entries without waiting and stores them in their order."""

    def __init__(self, bus: Bus, max_waiting: int = MAX_WAITING) -> None:
        self._queue = Appender(bus, "ledger", max_waiting=max_waiting, at_once=AT_ONCE)
        self.run = self._queue.run
        self.drain = self._queue.drain

    @property
    def written(self) -> int:
        return self._queue.written

    @property
    def dropped(self) -> int:
        return self._queue.dropped

    @property
    def waiting(self) -> int:
        return self._queue.waiting

    def note(self, entry: LedgerEntry) -> None:
        """Write an entry soon."""
        message_id = f"{entry.id}-{entry.state.name}-{entry.missing}"
        gone = self._queue.note(subjects.gaps(entry.venue, entry.native), format_entry(entry), message_id)
        if gone is not None:
            lost = parse_entry(gone.payload)
            log.warning("ledger.entry_dropped", id=lost.id, state=lost.state.name, dropped=self.dropped)
