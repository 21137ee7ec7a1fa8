"""The rolling day of symbols that are taken up: a first price and volume, before anything trades.

Asked of the venue's REST at once. While an answer is awaited, and where a share of the venue's weight is used
up, more symbols gather and are asked for together. The streams go on beside this: it only comes first.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from typing import Final, Protocol

import structlog

from gateway.exchanges.venue import Venue
from gateway.feeds.budget import Budget
from gateway.feeds.errors import VenueError
from protocol.market import DayTicker

WEIGHT_SHARE: Final = 0.25
"""Of what the venue lets an address ask in a minute."""
RETRY_S: Final = 5.0

log = structlog.get_logger()


class TickerSource(Protocol):
    """The venue's REST."""

    async def day_tickers(self, natives: Collection[str]) -> list[DayTicker]: ...


class DayTickers:
    """One venue's, for one worker. Bounded by the symbols that are carried."""

    def __init__(
        self, venue: Venue, source: TickerSource, take: Callable[[DayTicker], None], *, share: float = 1.0
    ) -> None:
        """`share` is this process's part of what the venue lets an address ask."""
        self._venue = venue
        self._source = source
        self._take = take
        self._weight = Budget(int(venue.limits.weight_per_min * WEIGHT_SHARE * share), 60_000)
        self._missing: set[str] = set()
        self._wake = asyncio.Event()

    def ask(self, natives: Iterable[str]) -> None:
        """Get these soon."""
        self._missing.update(natives)
        self._wake.set()

    def forget(self, natives: Iterable[str]) -> None:
        """Get these no more, if they have not come yet."""
        self._missing.difference_update(natives)

    async def run(self) -> None:
        """Ask for what is missing. Until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._missing:
                await self._until_allowed()
                asked, self._missing = self._missing, set()
                if asked:
                    await self._ask(asked)

    async def _until_allowed(self) -> None:
        call = self._venue.rest.day_tickers_call(self._missing)
        await asyncio.sleep(self._weight.book(time.monotonic_ns() // 1_000_000, call.weight) / 1_000)

    async def _ask(self, natives: set[str]) -> None:
        try:
            tickers = await self._source.day_tickers(natives)
        except VenueError as error:
            log.warning("feed.no_day_tickers", venue=self._venue.name, error=str(error), retry_s=RETRY_S)
            await asyncio.sleep(RETRY_S)
            self.ask(natives)
            return
        for ticker in tickers:
            self._take(ticker)
