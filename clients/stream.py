"""Live prices from a gateway, as an asynchronous iterator.

    from clients.stream import Stream

    async for update in Stream("ws://127.0.0.1:8080", ["BTCUSDT", "ETHUSDT"]):
        print(update.symbol, update.price)

The rules of this file:
- It reconnects by itself (`connections.py`), and checks everything that comes (`intake.py`).
- A slow reader never holds the gateway up: see `backlog.py` for what it gets.
- Nothing is lost in silence: `items()` yields `Connected`, `Disconnected` and `Refused` between
  the updates; plain iteration yields updates alone and logs those as warnings.
- With `kinds=("compact",)` the same prices come in a third of the bytes, mostly without times and counts.
- With `kinds=("trade",)` every trade comes once, in id order. After a reconnect the stream goes on after
  the last one that it has. What cannot be had is a `StreamGap` in its place, in `items()`; plain iteration
  logs it. Trades are never left out for a slow reader: when too many are unread, the socket is not read
  further. A gateway closes such a stream in the end (4508); it comes back by itself and goes on.
- With `kinds=("candle",)` every bar comes in its newest state, and no final or corrected one is left out.
  After a reconnect the stream goes on where it was. What the gateway cannot give any more is `Refused`, with
  the code `candles_out_of_reach`: load the history again.
- With a token, prices of its user's market watch come without being asked for. `items()` yields
  `MarketWatchSubscribe`, the whole list, on every connection, then `AutoSubscribe` and `AutoUnsubscribe`.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Final, Self

from clients.connections import Connections, Patience, stream_url
from clients.errors import NotConnected
from clients.intake import PING, Intake
from clients.stats import StreamStats
from clients.updates import (
    Connected,
    Item,
    StreamCandle,
    StreamEnigma,
    StreamPrice,
    StreamQuote,
    StreamTrade,
    Update,
)
from protocol.client_session import RESUMES_A_MESSAGE, SYMBOLS_A_MESSAGE
from protocol.control import (
    CANDLE,
    KINDS_OF_VERSION,
    MarketWatchAdd,
    MarketWatchOrder,
    MarketWatchRemove,
    WatchEdit,
    format_message,
)
from protocol.intervals import MINUTES

UPDATES: Final = (StreamPrice, StreamQuote, StreamEnigma, StreamTrade, StreamCandle)

log = logging.getLogger(__name__)


class Stream:
    """The live stream of some symbols. Iterate it, or open it with `async with` first."""

    def __init__(
        self,
        url: str,
        symbols: Iterable[str] | str = (),
        *,
        kinds: Sequence[str] = ("price",),
        intervals: Sequence[str] = ("1m",),
        since: Mapping[str, int] | None = None,
        since_us: int | None = None,
        version: int = 2,
        token: str | None = None,
        patience: Patience | None = None,
    ) -> None:
        """`since` holds, by symbol, the last trade that is known from another time, `since_us` the version up
        to which candles are known: the stream goes on after them. `token` is a session token or an API key.
        """
        self.url = stream_url(url)
        self._kinds = _kinds_checked(kinds, version)
        self._intervals = _intervals_checked(intervals)
        self._intake = Intake(version, since_us)
        self._intake.know(since or {})
        self._session = self._intake.session
        self._connections = Connections(self.url, self._intake, patience or Patience(), token)
        # Owned by `async with`. A TaskGroup would cancel the reader for what is only the end of the
        # stream, and cannot be left from the task in which asyncio closes an abandoned iterator.
        self._task: asyncio.Task[None] | None = None
        for part in _parts(symbols):
            self._session.subscribe(part, self._kinds, intervals=self._intervals_of(self._kinds))

    @property
    def stats(self) -> StreamStats:
        return self._intake.stats

    @property
    def version_us(self) -> int | None:
        """Up to which version candles have arrived: what another stream may go on from."""
        return self._intake.candle_version.resume_us

    @property
    def conflated(self) -> int:
        """Updates that a newer one replaced because they were not read in time."""
        return self._intake.backlog.conflated

    @property
    def unread(self) -> int:
        """How much has arrived and was not read yet."""
        return len(self._intake.backlog)

    @property
    def is_connected(self) -> bool:
        return self._connections.socket is not None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._connections.run(), name=f"stream {self.url}")
        self._task.add_done_callback(lambda _: self._intake.arrived.set())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    def stop(self) -> None:
        """End the iteration once what has arrived is read. Safe in a signal handler of the loop."""
        if self._task is not None:
            self._task.cancel()

    async def __aiter__(self) -> AsyncGenerator[Update, None]:
        """Yield updates; log what else happens."""
        async with aclosing(self.items()) as items:
            async for item in items:
                if isinstance(item, UPDATES):
                    yield item
                else:
                    log.log(logging.INFO if isinstance(item, Connected) else logging.WARNING, "%s", item)

    async def items(self) -> AsyncGenerator[Item, None]:
        """Yield updates and events. Raises StreamError when the gateway will not have us back."""
        async with AsyncExitStack() as stack:
            if self._task is None:
                await stack.enter_async_context(self)
            while True:
                while self._intake.backlog:
                    yield self._intake.pop()
                if self._task is None or self._task.done():
                    break
                await self._intake.arrived.wait()
                self._intake.arrived.clear()
            if self._task is not None and not self._task.cancelled():
                self._task.result()

    async def subscribe(
        self,
        symbols: Iterable[str] | str,
        kinds: Sequence[str] | None = None,
        since: Mapping[str, int] | None = None,
        intervals: Sequence[str] | None = None,
        since_us: int | None = None,
    ) -> None:
        """Ask for more symbols, now and after every reconnect."""
        wanted = _kinds_checked(kinds, self._session.version) if kinds is not None else self._kinds
        lengths = self._intervals_of(wanted, intervals)
        known = since or {}
        self._intake.know(known)
        if since_us is not None:
            self._intake.candle_version.on_asked(since_us)
        for part in _parts(symbols, RESUMES_A_MESSAGE if known else SYMBOLS_A_MESSAGE):
            from_here = {name: known[name] for name in part if name in known}
            await self._connections.say(self._session.subscribe(part, wanted, from_here, lengths, since_us))
        if since_us is not None:
            await self._connections.say(PING)

    async def unsubscribe(self, symbols: Iterable[str] | str) -> None:
        """Ask no more for some symbols. What is on its way still arrives."""
        for part in _parts(symbols):
            self._intake.forget(part)
            await self._connections.say(self._session.unsubscribe(part))

    async def market_watch_add(self, symbols: Iterable[str] | str) -> None:
        """Put symbols at the end of the user's market watch, for good. Raises NotConnected."""
        await self._edit(MarketWatchAdd, _parts(symbols))

    async def market_watch_remove(self, symbols: Iterable[str] | str) -> None:
        """Take symbols off the user's market watch. Raises NotConnected."""
        await self._edit(MarketWatchRemove, _parts(symbols))

    async def market_watch_order(self, symbols: Iterable[str]) -> None:
        """Give the whole market watch this order. Raises NotConnected."""
        await self._edit(MarketWatchOrder, [list(symbols)])

    async def _edit(self, edit: type[WatchEdit], parts: Iterable[list[str]]) -> None:
        for part in parts:
            if not await self._connections.say(format_message(edit(part))):
                raise NotConnected(self.url)

    def _intervals_of(self, kinds: Sequence[str], wanted: Sequence[str] | None = None) -> tuple[str, ...]:
        if CANDLE not in kinds:
            return ()
        return self._intervals if wanted is None else _intervals_checked(wanted)


def _parts(symbols: Iterable[str] | str, size: int = SYMBOLS_A_MESSAGE) -> Iterator[list[str]]:
    """Cut a list of symbols, or a single one, into what fits one message."""
    wanted = [symbols] if isinstance(symbols, str) else list(symbols)
    for start in range(0, len(wanted), size):
        yield wanted[start : start + size]


def _kinds_checked(kinds: Sequence[str], version: int) -> tuple[str, ...]:
    served = KINDS_OF_VERSION.get(version)
    if served is None:
        raise ValueError(f"there is no stream of version {version}")
    if not kinds or not set(kinds) <= set(served):
        raise ValueError(f"a v{version} stream has the kinds {', '.join(served)}, not {', '.join(kinds)!r}")
    return tuple(kinds)


def _intervals_checked(intervals: Sequence[str]) -> tuple[str, ...]:
    if not intervals or not set(intervals) <= MINUTES.keys():
        raise ValueError(f"candles have the intervals {', '.join(MINUTES)}, not {', '.join(intervals)!r}")
    return tuple(intervals)
