"""Prices, trades, candles and history for services, over NATS.

    from clients.services import Services

    async with Services("nats://127.0.0.1:4222") as services:
        async for price in services.prices("BTCUSDT", "ETHUSDT"):
            print(price.symbol, price.price)

The rules of this file:
- What is watched is carried: symbols that nobody else watches begin to flow (`bus/wanted.py`).
- A server that is away is waited for, at the start too. Nothing is lost in silence: `items()` of a lane
  yields `Disconnected`, `Connected` and `Overrun` between the updates; plain iteration logs them.
- Prices, quotes and levels: a slow reader gets the newest of each symbol. What changed while the bus was
  away, nobody says again.
- Trades: every one, once, in the order of ids. What the bus lost is asked for; what cannot be had is a
  `StreamGap` in `items()`. Go on with `since` after a restart.
- Candles, final and corrected ones, and the gap ledger are kept for seven days: go on `after` the sequence of
  the last one that you have worked through, and none is missing, over any restart. What is there no more is
  `Forgotten`, in `items()`: ask for `bars`.
"""

import asyncio
import logging
import secrets
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Generic, Self, TypeVar, cast

from clients.bus import kept
from clients.bus.answers import NewestPrice, ask_bars, ask_price
from clients.bus.connection import open_bus
from clients.bus.kept import KeptGap
from clients.bus.link import Link
from clients.bus.listing import Listing
from clients.bus.newest import newest
from clients.bus.trades import TradeLane
from clients.bus.wanted import Wanted
from clients.stats import ServicesStats
from clients.updates import (
    Connected,
    Event,
    StreamCandle,
    StreamEnigma,
    StreamGap,
    StreamPrice,
    StreamQuote,
    StreamTrade,
)
from protocol import subjects
from protocol.bars import BarsAnswer, BarsQuery
from protocol.events import Kind
from protocol.intervals import parse_interval
from protocol.symbols import Instrument

__all__ = ["KeptGap", "Lane", "NewestPrice", "Services"]
log = logging.getLogger(__name__)

Update = TypeVar("Update")


class Lane(Generic[Update]):
    """Something of some symbols as it comes. Each iteration is a subscription of its own."""

    def __init__(self, kind: type[Update], items: Callable[[], AsyncGenerator[object, None]]) -> None:
        self._kind = kind
        self._items = items

    def items(self) -> AsyncGenerator[Update | StreamGap | Event, None]:
        """Yield updates, and what happens between them. Raises UnknownSymbol or BusClosed."""
        return cast(AsyncGenerator[Update | StreamGap | Event, None], self._items())

    async def __aiter__(self) -> AsyncGenerator[Update, None]:
        """Yield updates; log what else happens."""
        async with aclosing(self.items()) as items:
            async for item in items:
                if isinstance(item, self._kind):
                    yield item
                else:
                    log.log(logging.INFO if isinstance(item, Connected) else logging.WARNING, "%s", item)


class Services:
    """A program's way to the bus. Use it with `async with`."""

    def __init__(
        self,
        servers: str | Sequence[str] = "nats://127.0.0.1:4222",
        *,
        name: str = "service",
        credentials: Path | None = None,
        tls: ssl.SSLContext | None = None,
        listed_within_s: float = 5.0,
    ) -> None:
        """`name` is what `nats server report connections` shows. A symbol that is not listed is waited for so
        long: a service may be started together with what lists the symbols."""
        self.stats = ServicesStats()
        self._servers = [servers] if isinstance(servers, str) else list(servers)
        self._name = name
        self._credentials = credentials
        self._tls = tls
        self._listed_within_s = listed_within_s
        self._stack = AsyncExitStack()
        self._opened: Link | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            opening = open_bus(self._servers, self._name, self._credentials, self._tls)
            bus = await stack.enter_async_context(opening)
            bus.listeners.append(self._on_connection)
            listing = Listing(bus, self._listed_within_s)
            await stack.enter_async_context(listing.followed())
            wanted = Wanted(bus, f"{self._name}-{secrets.token_hex(4)}")
            # A TaskGroup would cancel whoever uses this for a mistake that is none of theirs.
            saying = asyncio.create_task(wanted.run(), name=f"demand of {self._name}")
            stack.push_async_callback(_end, saying)
            self._opened = Link(bus, listing, wanted, self.stats)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._opened = None
        await self._stack.aclose()

    @property
    def _link(self) -> Link:
        if self._opened is None:
            raise RuntimeError("open it first: async with Services(…) as services")
        return self._opened

    def _on_connection(self, is_connected: bool) -> None:
        self.stats.reconnects += is_connected

    @property
    def is_connected(self) -> bool:
        return self._opened is not None and self._opened.bus.is_connected

    # As it comes

    def prices(self, *symbols: str) -> Lane[StreamPrice]:
        link = self._link
        return Lane(StreamPrice, lambda: newest(link, symbols, subjects.prices, Kind.PRICE))

    def quotes(self, *symbols: str) -> Lane[StreamQuote]:
        link = self._link
        return Lane(StreamQuote, lambda: newest(link, symbols, subjects.quotes, Kind.QUOTE))

    def enigma(self, *symbols: str) -> Lane[StreamEnigma]:
        """Where prices stand between their all-time extremes: at most once a second each."""
        link = self._link
        return Lane(StreamEnigma, lambda: newest(link, symbols, subjects.enigma, Kind.ENIGMA))

    def trades(self, *symbols: str, since: Mapping[str, int] | None = None) -> Lane[StreamTrade]:
        """`since` holds, by symbol, the last trade that is known from another time: what was traded after it
        comes before the next one."""
        link = self._link
        return Lane(StreamTrade, lambda: TradeLane(link, since or {}).items(symbols))

    # What is kept

    def candles(
        self,
        *symbols: str,
        intervals: Sequence[str] = ("1m",),
        after: int | None = None,
        since_us: int | None = None,
    ) -> Lane[StreamCandle]:
        """Final and corrected bars: `after` the `sequence` of one, or of versions above `since_us`, a time in
        µs or the `as_of_us` of `bars`. Without either, those to come. Raises UnknownInterval."""
        link = self._link
        for interval in intervals:
            parse_interval(interval)
        return Lane(StreamCandle, lambda: kept.candles(link, symbols, intervals, after, since_us))

    def gaps(self, *symbols: str, after: int | None = None, since_us: int | None = None) -> Lane[KeptGap]:
        """The gap ledger: of some symbols or, without any, all of it, with what concerns no single symbol."""
        link = self._link
        return Lane(KeptGap, lambda: kept.gaps(link, symbols, after, since_us))

    # Questions

    async def price(self, symbol: str) -> NewestPrice:
        """Ask for the newest price. Raises UnknownSymbol, NoAnswer, or NotThere if none has come yet."""
        (instrument,) = await self._link.listing.find([symbol])
        return await ask_price(self._link.bus, instrument)

    async def symbols(self) -> list[Instrument]:
        """Return every symbol that is or was traded, by id."""
        await self._link.listing.refresh()
        return sorted(self._link.listing.table, key=lambda one: one.id)

    async def bars(
        self,
        symbol: str,
        interval: str = "1m",
        count: int = 500,
        *,
        from_ms: int | None = None,
        to_ms: int = 2**53,
    ) -> BarsAnswer:
        """Ask for the newest bars that open before `to_ms`: `count` of them or, with `from_ms`, all from it.

        They come oldest first, as a numpy array (`protocol.bars.BAR`), complete up to the version `as_of_us`.
        Raises UnknownSymbol, UnknownInterval or NoAnswer.
        """
        (instrument,) = await self._link.listing.find([symbol])
        query = BarsQuery(
            venue=instrument.venue,
            native=instrument.native,
            interval=parse_interval(interval),
            from_ms=to_ms if from_ms is None else from_ms,
            to_ms=to_ms,
            countback=count if from_ms is None else 0,
        )
        return await ask_bars(self._link.bus, query)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
