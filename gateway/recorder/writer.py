"""Brings what waits in memory into the store: 100 bars at once, or what came in 100 ms.

The rules of this file:
- A bar leaves memory when the store has it. While the store refuses, the same bars are tried again.
- Coverage goes into the store after the bars that it speaks of, once in `SAVE_S` and at the end.
"""

import asyncio
import time
from typing import Final

import structlog

from gateway.recorder.coverage import Coverage
from gateway.recorder.memory import Memory
from gateway.store.history import HistoryStore, StoreDown

MAX_BATCH: Final = 5_000
ENOUGH: Final = 100
WAIT_S: Final = 0.1
POLL_S: Final = 0.02
SAVE_S: Final = 30.0
RETRY_S: Final = 1.0

log = structlog.get_logger()


class Writer:
    """The only one that writes what is recorded live."""

    def __init__(
        self,
        store: HistoryStore,
        memory: Memory,
        coverage: Coverage,
    ) -> None:
        self.written = 0
        self.refused_for = ""
        """Why the store does not write; empty while it does."""
        self._store = store
        self._memory = memory
        self._coverage = coverage

    async def run(self) -> None:
        """Write until cancelled."""
        save_s = time.monotonic() + SAVE_S
        while True:
            await self._until_enough()
            try:
                await self._write_waiting()
                if time.monotonic() >= save_s:
                    await self._save()
                    save_s = time.monotonic() + SAVE_S
            except StoreDown as error:
                self._on_refused(error)
                await asyncio.sleep(RETRY_S)

    async def drain(self) -> None:
        """Write what waits, and what is covered. Raises nothing if the store is away."""
        try:
            await self._write_waiting()
            await self._save()
        except StoreDown as error:
            log.warning("recorder.left_behind", bars=self._memory.waiting, reason=str(error))

    async def _until_enough(self) -> None:
        give_up_s = time.monotonic() + WAIT_S
        while self._memory.waiting < ENOUGH and time.monotonic() < give_up_s:  # noqa: ASYNC110  # 10 a second
            await asyncio.sleep(POLL_S)

    async def _write_waiting(self) -> None:
        """Write what waits now; what comes meanwhile is for the next time. Raises StoreDown."""
        left = self._memory.waiting
        while left > 0 and (changes := self._memory.changes(MAX_BATCH)):
            await self._store.write(changes)
            self.refused_for = ""
            self._memory.written(changes)
            count = sum(len(change.bars) for change in changes)
            self.written += count
            left -= count

    async def _save(self) -> None:
        unsaved = self._coverage.take_unsaved()
        try:
            await self._write_waiting()
        except StoreDown:
            self._coverage.note_again(unsaved)
            raise
        await self._coverage.save(unsaved)

    def _on_refused(self, error: StoreDown) -> None:
        if str(error) != self.refused_for:
            log.warning("recorder.not_written", bars=self._memory.waiting, reason=str(error))
        self.refused_for = str(error)
