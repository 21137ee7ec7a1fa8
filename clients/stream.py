"""Live prices from a gateway, as an asynchronous iterator.

    from clients.stream import Stream

    async for update in Stream("ws://127.0.0.1:8080", ["BTCUSDT", "ETHUSDT"]):
        print(update.symbol, update.price)

The rules of this file:
- It reconnects by itself, with exponential backoff and full jitter; the backoff starts anew only
  when a connection has brought valid data. A close code that says "the same again will fail the
  same" (44xx), and an upgrade refused for good, is raised instead.
- Every frame's CRC and every symbol id is checked. A frame that fails is counted and its connection dropped.
- A slow reader never holds the gateway up: see `backlog.py` for what it gets.
- Nothing is lost in silence: `items()` yields `Connected`, `Disconnected` and `Refused` between
  the updates; plain iteration yields updates alone and logs those as warnings.
- With `kinds=("trade",)` every trade comes once, in id order. After a reconnect the stream goes on after
  the last one that it has. What cannot be had is a `StreamGap` in its place, in `items()`; plain iteration
  logs it. Trades are never left out for a slow reader: when too many are unread, the socket is not read
  further. A gateway closes such a stream in the end (4508); it comes back by itself and goes on.
- Whether trades are complete is checked here too: a jump of ids that the gateway did not explain is a
  `StreamGap` that says so.
"""

import asyncio
import logging
import os
import random
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, NegotiationError
from websockets.typing import Subprotocol

from clients.backlog import Backlog
from clients.continuity import TradeIds
from clients.errors import StreamClosed, StreamRefused, may_come_back
from clients.stats import StreamStats
from clients.updates import (
    Connected,
    Disconnected,
    Event,
    Item,
    Refused,
    StreamPrice,
    StreamQuote,
    StreamTrade,
    Update,
    from_gap,
    from_trade,
    from_v1,
    from_v2,
)
from protocol.control import KINDS, TRADE, Error, SymbolEntry, Symbols
from protocol.errors import BadChecksum, ProtocolError
from protocol.events import Gap, GapState, Kind, Trade
from protocol.frames import Frame
from protocol.session import RESUMES_A_MESSAGE, SYMBOLS_A_MESSAGE, VERSIONS, ClientSession
from protocol.symbols import full_name

PATH: Final = "/api/v1/ws"
MAX_FRAME_BYTES: Final = 8 * 2**20  # 65,535 records of the widest kind are 4.7 MB
ABNORMAL_CLOSURE: Final = 1006
_BROKEN_WEBSOCKET: Final = {1002, 1007, 1009}
"""What the WebSocket library closes with by itself: a broken frame, text not in UTF-8, too long a message."""
_RETRY_STATUS: Final = {408, 425, 429}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, for what."""

    open_s: float = 10.0
    ping_interval_s: float = 10.0
    ping_timeout_s: float = 10.0
    """A gateway that answers no ping for this long is gone."""
    close_s: float = 1.0
    first_retry_s: float = 0.5
    max_retry_s: float = 15.0


class Stream:
    """The live stream of some symbols. Iterate it, or open it with `async with` first."""

    def __init__(
        self,
        url: str,
        symbols: Iterable[str] | str = (),
        *,
        kinds: Sequence[str] = ("price",),
        since: Mapping[str, int] | None = None,
        version: int = 2,
        patience: Patience | None = None,
    ) -> None:
        """`since` holds, by symbol, the last trade that is known from another time: the stream goes on
        after it.
        """
        self.url = stream_url(url)
        self.stats = StreamStats()
        self._kinds = _kinds_checked(kinds, version)
        self._session = ClientSession(version)
        self._subprotocol = Subprotocol(f"tickgate.v{version}")
        self._patience = patience or Patience()
        self._failures = 0
        self._lost_at_ms: int | None = None
        self._backlog = Backlog()
        self._arrived = asyncio.Event()
        self._socket: ClientConnection | None = None
        self._heard: set[tuple[Kind, int]] = set()
        self._trade_ids = {full_name(name): TradeIds(last_id) for name, last_id in (since or {}).items()}
        self._has_room = asyncio.Event()
        self._has_room.set()
        # Owned by `async with`. A TaskGroup would cancel the reader for what is only the end of the
        # stream, and cannot be left from the task in which asyncio closes an abandoned iterator.
        self._task: asyncio.Task[None] | None = None
        for part in _parts(symbols):
            self._session.subscribe(part, list(self._kinds))

    @property
    def conflated(self) -> int:
        """Updates that a newer one replaced because they were not read in time."""
        return self._backlog.conflated

    @property
    def is_connected(self) -> bool:
        return self._socket is not None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name=f"stream {self.url}")
        self._task.add_done_callback(lambda _: self._arrived.set())
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
                if isinstance(item, StreamPrice | StreamQuote | StreamTrade):
                    yield item
                else:
                    log.log(logging.INFO if isinstance(item, Connected) else logging.WARNING, "%s", item)

    async def items(self) -> AsyncGenerator[Item, None]:
        """Yield updates and events. Raises StreamError when the gateway will not have us back."""
        async with AsyncExitStack() as stack:
            if self._task is None:
                await stack.enter_async_context(self)
            while True:
                while self._backlog:
                    item = self._backlog.pop()
                    if not self._backlog.is_full:
                        self._has_room.set()
                    yield item
                if self._task is None or self._task.done():
                    break
                await self._arrived.wait()
                self._arrived.clear()
            if self._task is not None and not self._task.cancelled():
                self._task.result()

    async def subscribe(
        self,
        symbols: Iterable[str] | str,
        kinds: Sequence[str] | None = None,
        since: Mapping[str, int] | None = None,
    ) -> None:
        """Ask for more symbols, now and after every reconnect."""
        wanted = _kinds_checked(kinds, self._session.version) if kinds is not None else self._kinds
        known = since or {}
        self._trade_ids |= {full_name(name): TradeIds(last_id) for name, last_id in known.items()}
        for part in _parts(symbols, RESUMES_A_MESSAGE if known else SYMBOLS_A_MESSAGE):
            from_here = {name: known[name] for name in part if name in known}
            await self._say(self._session.subscribe(part, list(wanted), from_here))

    async def unsubscribe(self, symbols: Iterable[str] | str) -> None:
        """Ask no more for some symbols. What is on its way still arrives."""
        for part in _parts(symbols):
            for name in part:
                self._trade_ids.pop(full_name(name), None)
            await self._say(self._session.unsubscribe(part))

    async def _say(self, message: bytes) -> None:
        if self._socket is not None:
            with suppress(ConnectionClosed):  # the next connection says it
                await self._socket.send(message, text=True)

    # The connection

    async def _run(self) -> None:
        while True:
            code, reason = await self._connect_once()
            retry_s = self._patience.first_retry_s * 2.0 ** min(self._failures, 16)
            retry_s = min(retry_s, self._patience.max_retry_s) * random.random()
            self._failures += 1
            self._tell(Disconnected(code, reason, round(retry_s * 1000)))
            await asyncio.sleep(retry_s)

    async def _connect_once(self) -> tuple[int, str]:
        """Serve one connection to its end and say why it ended. Raises StreamError if for good."""
        try:
            async with self._open() as socket:
                return await self._serve(socket)
        except InvalidStatus as refusal:
            status = refusal.response.status_code
            if status < 500 and status not in _RETRY_STATUS:
                raise StreamRefused(self.url, f"HTTP {status}") from None
            return ABNORMAL_CLOSURE, f"HTTP {status}"
        except NegotiationError as error:
            raise StreamRefused(self.url, str(error)) from None
        except (OSError, InvalidHandshake, EOFError) as error:
            return ABNORMAL_CLOSURE, _reason(error)

    def _open(self) -> connect:
        return connect(
            self.url,
            subprotocols=[self._subprotocol],
            compression=None,
            open_timeout=self._patience.open_s,
            ping_interval=self._patience.ping_interval_s,
            ping_timeout=self._patience.ping_timeout_s,
            close_timeout=self._patience.close_s,
            max_size=MAX_FRAME_BYTES,
        )

    async def _serve(self, socket: ClientConnection) -> tuple[int, str]:
        if socket.subprotocol is None and self._session.version != 1:
            raise StreamRefused(self.url, f"it does not speak {self._subprotocol}")
        try:
            await self._on_open(socket)
            while True:
                await self._on_message(socket, await socket.recv(decode=None))
                if self._backlog.is_full:
                    self._has_room.clear()
                    await self._has_room.wait()
        except ConnectionClosed as closed:
            return self._on_closed(closed)
        except ProtocolError as error:
            self.stats.bad_frames += 1
            self.stats.bad_checksums += isinstance(error, BadChecksum)
            reason = f"{type(error).__name__}: {error}"
            await socket.close(error.close_code, reason[:120])
            return error.close_code, reason
        finally:
            self._socket = None
            self._lost_at_ms = _now_us() // 1000
            await socket.close()

    def _on_closed(self, closed: ConnectionClosed) -> tuple[int, str]:
        """Say how the connection ended. Raises StreamClosed if the gateway's code forbids to come back."""
        theirs, ours = closed.rcvd, closed.sent
        if theirs is not None and closed.rcvd_then_sent is not False:
            if not may_come_back(theirs.code):
                raise StreamClosed(theirs.code, theirs.reason)
            return theirs.code, theirs.reason
        if ours is None:
            return ABNORMAL_CLOSURE, "the connection broke"
        self.stats.bad_frames += ours.code in _BROKEN_WEBSOCKET
        return ours.code, ours.reason

    async def _on_open(self, socket: ClientConnection) -> None:
        self._heard.clear()
        self._socket = socket
        last_ids = {name: ids.resume_from for name, ids in self._trade_ids.items() if ids.last_id}
        for message in self._session.on_open(last_ids):
            await socket.send(message, text=True)
        away_ms = 0
        if self._lost_at_ms is not None:
            self.stats.reconnects += 1
            away_ms = _now_us() // 1000 - self._lost_at_ms
        self._tell(Connected(self.url, away_ms))

    async def _on_message(self, socket: ClientConnection, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self._on_frame(message, _now_us())
            return
        replies, heard = self._session.on_text(message)
        for reply in replies:
            await socket.send(reply, text=True)
        match heard:
            case None | Symbols():
                pass
            case Error(code=code, message=text, symbols=symbols):
                self._tell(Refused(code, text, symbols))
            case _:
                self._tell(heard)

    def _on_frame(self, data: bytes, now_us: int) -> None:
        decoded = self._session.on_binary(data)
        self._failures = 0
        self.stats.frames += 1
        self.stats.bytes += len(data)
        entries = self._session.dictionary
        if isinstance(decoded, Frame):
            self._on_v2(decoded, now_us)
        else:
            self.stats.records += len(decoded)
            for row in decoded:
                self._backlog.put(from_v1(row, entries[row.symbol_id], now_us))
        self._arrived.set()

    def _on_v2(self, frame: Frame, now_us: int) -> None:
        self.stats.records += len(frame.records)
        if frame.kind in (Kind.TRADE, Kind.GAP):
            self._on_lossless(frame, now_us)
        if frame.kind not in (Kind.PRICE, Kind.QUOTE):
            return  # kinds that were not asked for
        for row in frame.rows():
            entry = self._session.dictionary[row.symbol_id]
            self._backlog.put(from_v2(row, entry, frame.time_us, now_us))
            if (frame.kind, row.symbol_id) in self._heard:
                self.stats.ages_us.append(now_us - frame.time_us + row.delay_us)
            else:
                self._heard.add((frame.kind, row.symbol_id))

    def _on_lossless(self, frame: Frame, now_us: int) -> None:
        for row in frame.rows():
            entry = self._session.dictionary[row.symbol_id]
            ids = self._trade_ids.setdefault(full_name(entry.name or entry.symbol), TradeIds())
            if isinstance(row, Gap):
                ids.on_gap(row)
                self._backlog.put_trade(from_gap(row, entry))
            else:
                self._on_trade(row, ids, entry, frame.time_us, now_us)

    def _on_trade(self, row: Trade, ids: TradeIds, entry: SymbolEntry, sent_us: int, now_us: int) -> None:
        is_new, unexplained = ids.on_trade(row.id)
        if not is_new:
            self.stats.doubled_trades += 1
            return
        for first_id, last_id in unexplained:
            self.stats.unexplained_gaps += 1
            gap = Gap(row.symbol_id, GapState.OPEN, 0, first_id, last_id, 0, row.exchange_us)
            self._backlog.put_trade(from_gap(gap, entry, explained=False))
        self.stats.trades += 1
        self._backlog.put_trade(from_trade(row, entry, sent_us, now_us))

    def _tell(self, event: Event) -> None:
        self._backlog.put_event(event)
        self._arrived.set()


def stream_url(url: str) -> str:
    """Read an address as users write it: `ws://host:port`, `http://host:port` or `host:port`, with a path
    or without. Raises ValueError for anything else.
    """
    parts = urlsplit(url if "://" in url else f"ws://{url}")
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not parts.hostname or parts.port == 0:  # .port itself refuses 65,536
        raise ValueError(f"not the address of a gateway: {url!r}")
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") or PATH, parts.query, ""))


def _parts(symbols: Iterable[str] | str, size: int = SYMBOLS_A_MESSAGE) -> Iterator[list[str]]:
    """Cut a list of symbols, or a single one, into what fits one message."""
    wanted = [symbols] if isinstance(symbols, str) else list(symbols)
    for start in range(0, len(wanted), size):
        yield wanted[start : start + size]


def _kinds_checked(kinds: Sequence[str], version: int) -> tuple[str, ...]:
    if version not in VERSIONS.values():
        raise ValueError(f"there is no stream of version {version}")
    served = (*KINDS, TRADE) if version == 2 else KINDS[:1]
    if not kinds or not set(kinds) <= set(served):
        raise ValueError(f"a v{version} stream has the kinds {', '.join(served)}, not {', '.join(kinds)!r}")
    return tuple(kinds)


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionError) and error.errno is not None:
        return os.strerror(error.errno)  # asyncio's own text repeats the address
    return str(error) or type(error).__name__


def _now_us() -> int:
    return time.time_ns() // 1000
