"""Keeps single trades, if that is wanted, for as long as it is wanted.

Trades wait here for at most `WAIT_S`. Full, at 100,000 (the store has refused for long): new ones are not
kept, and counted.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from gateway.store.history import HistoryStore, StoreDown
from protocol.events import Trade

WAIT_S: Final = 0.5
MAX_WAITING: Final = 100_000
DROP_EVERY_S: Final = 600.0
RETRY_S: Final = 1.0

log = structlog.get_logger()


class TickWriter:
    def __init__(self, store: HistoryStore, retention_s: float, now_us: Callable[[], int]) -> None:
        self.dropped = 0
        self._store = store
        self._retention_us = round(retention_s * 1e6)
        self._now_us = now_us
        self._waiting: dict[tuple[str, str], list[Trade]] = {}
        self._count = 0

    def add(self, venue: str, native: str, trades: Sequence[Trade]) -> None:
        """Keep trades soon."""
        if self._count >= MAX_WAITING:
            self.dropped += len(trades)
            return
        self._waiting.setdefault((venue, native), []).extend(trades)
        self._count += len(trades)

    async def run(self) -> None:
        """Write and forget until cancelled."""
        turns = 0
        while True:
            try:
                await self._write_waiting()
                if turns % round(DROP_EVERY_S / WAIT_S) == 0:
                    await self._store.drop_ticks(self._now_us() - self._retention_us)
                turns += 1
            except StoreDown as error:
                log.warning("recorder.ticks_not_written", waiting=self._count, reason=str(error))
                await asyncio.sleep(RETRY_S)
            await asyncio.sleep(WAIT_S)

    async def leave(self) -> None:
        """Write what waits. Raises nothing if the store is away."""
        try:
            await self._write_waiting()
        except StoreDown as error:
            log.warning("recorder.ticks_left_behind", ticks=self._count, reason=str(error))

    async def _write_waiting(self) -> None:
        for venue, native in tuple(self._waiting):
            trades = self._waiting[venue, native]
            some = trades.copy()
            await self._store.write_ticks(venue, native, some)
            del trades[: len(some)]  # more may have come meanwhile
            self._count -= len(some)
            if not trades:
                del self._waiting[venue, native]
