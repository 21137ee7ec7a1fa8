"""Market watches: what is on each user's list, who is told of a change, and the copies in the cache.

The rules of this file:
- SQL holds the list, in its order, by full names in capitals. All else follows from it.
- A change is told to this process at once, and to all others by a notice. What counts of it is whose list it
  was: that is read again, so it does not matter which notice came twice, late or never.
- Every live session has a copy, a set of plain names (`marketwatch:{session_id}`): for feed workers, and to
  go on from while SQL does not answer. Copies are written later, one user after the other.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import structlog

from gateway.accounts.notices import BadNotice, Watched, format_notice, parse_notice
from gateway.cache import keys
from gateway.cache.cache import Cache
from gateway.metadata.errors import MetadataDown
from gateway.metadata.sessions import Sessions
from gateway.metadata.watchlists import Watchlists
from processors.bus import Bus, BusError
from protocol import subjects
from protocol.market_watch import plain
from protocol.symbols import full_name

SHORTEST_LIFE_S: Final = 60.0
"""Of a copy."""

log = structlog.get_logger()


class MarketWatch:
    """The lists of all users."""

    def __init__(
        self,
        watchlists: Watchlists,
        sessions: Sessions,
        cache: Cache,
        bus: Bus,
        most: int,
        now_ms: Callable[[], int],
    ) -> None:
        """`most` symbols may be on one list."""
        self.on_changed: Callable[[int], None] = lambda _user_id: None
        """Called when a user's list is another than before, or may be."""
        self.on_missed: Callable[[], None] = lambda: None
        """Called when any list may be another: notices may have been lost."""
        self._watchlists = watchlists
        self._sessions = sessions
        self._cache = cache
        self._bus = bus
        self._most = most
        self._now_ms = now_ms
        self._to_copy: dict[int, None] = {}
        """Users; bounded by how many there are, like the sessions that have ended."""
        self._ended: dict[str, None] = {}
        self._wake = asyncio.Event()

    async def start(self) -> None:
        """Listen to what other processes say."""
        await self._bus.subscribe(subjects.CONTROL_ACCOUNTS, self._on_message)
        self._bus.on_reconnect(lambda: self.on_missed())

    async def run(self) -> None:
        """Write the copies. Until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._to_copy:
                user_id = next(iter(self._to_copy))
                del self._to_copy[user_id]
                await self._copy_to_all(user_id)
            ended, self._ended = self._ended, {}
            if ended:
                await self._cache.forget(*map(keys.market_watch, ended))

    # The list

    async def symbols(self, user_id: int) -> list[str]:
        """Return a user's list. Raises MetadataDown."""
        return await self._watchlists.of(user_id)

    async def copied(self, sessions: Collection[str]) -> list[str] | None:
        """Return the copy of one of these sessions, in no order of the user's; None: there is none.

        For as long as SQL does not answer.
        """
        for session_id in sessions:
            copy = await self._cache.set_of(keys.market_watch(session_id))
            if copy:
                return sorted(map(full_name, copy))
        return None

    async def add(self, user_id: int, symbols: Sequence[str]) -> None:
        """Put symbols at the end of the list, as many as fit. Raises WatchlistFull, and MetadataError."""
        there = set(await self._watchlists.of(user_id))
        added = []
        try:
            for symbol in symbols:
                if symbol not in there and await self._watchlists.add(user_id, symbol, self._most):
                    added.append(symbol)  # noqa: PERF401  # what was done counts if the next fails
        finally:  # some may be there now, whatever happened to the others
            if added:
                await self._tell(Watched(user_id, added=tuple(added)))

    async def remove(self, user_id: int, symbols: Sequence[str]) -> None:
        """Take symbols off the list. Raises MetadataError."""
        there = set(await self._watchlists.of(user_id))
        removed = []
        try:
            for symbol in symbols:
                if symbol in there and await self._watchlists.remove(user_id, symbol):
                    removed.append(symbol)  # noqa: PERF401  # as above
        finally:
            if removed:
                await self._tell(Watched(user_id, removed=tuple(removed)))

    async def order(self, user_id: int, symbols: Sequence[str]) -> None:
        """Give the whole list another order. Raises OtherSymbols, and MetadataError."""
        await self._watchlists.order(user_id, symbols)
        await self._tell(Watched(user_id))

    # Who is told

    async def _tell(self, notice: Watched) -> None:
        self.on_changed(notice.user)
        self._copy_soon(notice.user)
        try:
            await self._bus.publish(subjects.CONTROL_ACCOUNTS, format_notice(notice))
        except BusError as error:
            log.warning("market_watch.not_told", error=str(error))

    def _on_message(self, _subject: str, payload: bytes) -> None:
        try:
            notice = parse_notice(payload)
        except BadNotice as error:
            log.warning("market_watch.unreadable", error=str(error))
            return
        if isinstance(notice, Watched):
            self.on_changed(notice.user)
        elif notice.sessions:
            self._ended |= dict.fromkeys(notice.sessions)
            self._wake.set()

    # The copies

    async def copy(self, symbols: Sequence[str], sessions: Mapping[str, int]) -> None:
        """Write a user's list for these sessions, given with the times in ms at which they end."""
        names = [plain(one) for one in symbols]
        for session_id, expires_ms in sessions.items():
            life_s = max((expires_ms - self._now_ms()) / 1_000, SHORTEST_LIFE_S)
            await self._cache.put_set(keys.market_watch(session_id), names, life_s)

    def _copy_soon(self, user_id: int) -> None:
        self._to_copy[user_id] = None
        self._wake.set()

    async def _copy_to_all(self, user_id: int) -> None:
        try:
            symbols = await self._watchlists.of(user_id)
            sessions = await self._sessions.of_user(user_id, self._now_ms())
        except MetadataDown as error:  # the next change, or the next socket, writes them
            log.warning("market_watch.not_copied", error=str(error))
            return
        await self.copy(symbols, {one.id: one.expires_ms for one in sessions})
