"""The market watches of those who are here: read, and told to their sockets.

The rules of this file:
- A list is read when a socket of its user opens, and whenever somebody says that it may have changed. Each
  socket finds out for itself what is new to it: so notices may be lost, doubled or late.
- Lists are read by `READERS` at once, one user's by one reader. A change during the reading brings another.
- A list that cannot be read is tried again in `RETRY_S`. Until then a socket that knows of none yet gets the
  copy in the cache.
"""

import asyncio
from typing import Final

import structlog

from gateway.accounts.market_watch import MarketWatch
from gateway.metadata.errors import MetadataDown
from gateway.ws.present import Present, Sockets

READERS: Final = 4
RETRY_S: Final = 5.0

log = structlog.get_logger()


class Watchlists:
    """Reads lists. What waits is bounded by the users who are here."""

    def __init__(self, market_watch: MarketWatch, present: Present) -> None:
        self._market_watch = market_watch
        self._present = present
        self._due: dict[int, None] = {}
        self._in_work: set[int] = set()
        self._failed: dict[int, None] = {}
        self._wake = asyncio.Event()
        market_watch.on_changed = self.read
        market_watch.on_missed = self.read_all

    def read(self, user_id: int) -> None:
        """Have a user's list read soon, if that user is here."""
        if self._present.of_user(user_id):
            self._due[user_id] = None
            self._wake.set()

    def read_all(self) -> None:
        """Have every list read soon."""
        for user_id in self._present.users:
            self.read(user_id)

    async def run(self) -> None:
        """Read what is due. Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(READERS):
                tasks.create_task(self._read_on())
            while True:
                await asyncio.sleep(RETRY_S)
                failed, self._failed = self._failed, {}
                for user_id in failed:
                    self.read(user_id)

    async def _read_on(self) -> None:
        while True:
            user_id = next((one for one in self._due if one not in self._in_work), None)
            if user_id is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            del self._due[user_id]
            self._in_work.add(user_id)
            try:
                await self._read(user_id)
            finally:
                self._in_work.discard(user_id)
                self._wake.set()

    async def _read(self, user_id: int) -> None:
        sessions = _sessions(self._present.of_user(user_id))
        try:
            names = await self._market_watch.symbols(user_id)
        except MetadataDown as error:
            log.warning("market_watch.unread", user=user_id, error=str(error))
            self._failed[user_id] = None
            copied = await self._market_watch.copied(sessions)
            if copied is not None:
                self._tell(user_id, copied, is_copy=True)
            return
        self._tell(user_id, names)
        await self._market_watch.copy(names, sessions)

    def _tell(self, user_id: int, names: list[str], *, is_copy: bool = False) -> None:
        for socket in self._present.of_user(user_id):
            socket.on_market_watch(names, is_copy=is_copy)


def _sessions(sockets: Sockets) -> dict[str, int]:
    """Return the sessions behind some sockets, with when they end."""
    return {one.session_id: one.expires_ms for one in sockets.values() if one.session_id}
