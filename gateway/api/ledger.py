"""A gateway's copy of the gap ledger: the newest state of every entry.

Entries come live on `gaps.>`; what was written before is read from the JetStream stream GAPS. Bounded:
the entries that were noticed first go when there are more than `MAX_ENTRIES`.
"""

import asyncio
from typing import Final

import structlog

from gateway.ledger import STREAM
from processors.bus import Bus, BusError
from protocol import subjects
from protocol.errors import BadMessage
from protocol.events import GapState
from protocol.ledger import LedgerEntry, parse_entry

MAX_ENTRIES: Final = 10_000
READ_AT_ONCE: Final = 64
RETRY_S: Final = 0.5

log = structlog.get_logger()


class LedgerTable:
    """Entries by id."""

    def __init__(self) -> None:
        self._entries: dict[str, LedgerEntry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: LedgerEntry) -> None:
        """Take in an entry, unless a later state of it is known: old and new ones may cross."""
        known = self._entries.get(entry.id)
        if known is not None and _stage(known) > _stage(entry):
            return
        self._entries[entry.id] = entry
        if len(self._entries) > MAX_ENTRIES:
            oldest = sorted(self._entries.values(), key=lambda one: one.noticed_us)
            for one in oldest[: MAX_ENTRIES // 10]:
                del self._entries[one.id]

    def newest_first(self) -> list[LedgerEntry]:
        return sorted(self._entries.values(), key=lambda one: (one.noticed_us, one.id), reverse=True)


def _stage(entry: LedgerEntry) -> tuple[bool, int]:
    return entry.state is not GapState.OPEN, entry.closed_us


class Ledger:
    """Keeps a table current from the bus."""

    def __init__(self, bus: Bus) -> None:
        self.table = LedgerTable()
        self._bus = bus
        self._unread = asyncio.Event()
        self._read_to = 0

    async def start(self) -> None:
        """Subscribe; from here on entries arrive."""
        await self._bus.subscribe(subjects.ALL_GAPS, self._on_entry)
        self._bus.on_reconnect(self._unread.set)
        self._unread.set()

    async def run(self) -> None:
        """Read what was written before, now and after every time that the bus was away. Until cancelled."""
        while True:
            await self._unread.wait()
            self._unread.clear()
            try:
                await self._read()
            except BusError as error:
                log.warning("ledger.not_read", error=str(error))
                await asyncio.sleep(RETRY_S)
                self._unread.set()

    async def _read(self) -> None:
        last = await self._bus.last_sequence(STREAM)
        if last < self._read_to:  # the stream was made anew
            self._read_to = 0
        first = max(self._read_to, last - MAX_ENTRIES) + 1
        for start in range(first, last + 1, READ_AT_ONCE):
            upto = min(start + READ_AT_ONCE - 1, last)
            messages = [self._bus.read_message(STREAM, one) for one in range(start, upto + 1)]
            for payload in await asyncio.gather(*messages):
                if payload is not None:
                    self._on_entry(STREAM, payload)
            self._read_to = upto

    def _on_entry(self, subject: str, payload: bytes) -> None:
        try:
            self.table.add(parse_entry(payload))
        except BadMessage as error:
            log.warning("ledger.bad_entry", subject=subject, error=str(error))
