"""The connections of a stream: one after the other, as long as the gateway will have us back.

The rules of this file:
- A lost connection is replaced, after exponential backoff with full jitter; the backoff starts anew only when
  a connection has brought valid data. A close code that says "the same again will fail the same" (44xx),
  and an upgrade refused for good, is raised instead.
- What breaks the protocol is counted, and its connection dropped.
- When too much is unread the socket is not read further.
"""

import asyncio
import os
import random
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, NegotiationError
from websockets.http11 import Response
from websockets.typing import Subprotocol

from clients.errors import StreamClosed, StreamRefused, may_come_back
from clients.intake import Intake
from clients.updates import Connected, Disconnected
from protocol.errors import BadChecksum, ProtocolError

PATH: Final = "/api/v1/ws"
MAX_FRAME_BYTES: Final = 8 * 2**20  # 65,535 records of the widest kind are 4.7 MB
ABNORMAL_CLOSURE: Final = 1006
_BROKEN_WEBSOCKET: Final = {1002, 1007, 1009}
"""What the WebSocket library closes with by itself: a broken frame, text not in UTF-8, too long a message."""
_RETRY_STATUS: Final = {408, 425, 429}


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


class Connections:
    """Keeps one connection to a gateway, and feeds the intake from it."""

    def __init__(self, url: str, intake: Intake, patience: Patience, token: str | None = None) -> None:
        self.socket: ClientConnection | None = None
        """The one that is open."""
        self._url = url
        self._intake = intake
        self._stats = intake.stats
        self._version = intake.session.version
        self._subprotocol = Subprotocol(f"tickgate.v{self._version}")
        self._patience = patience
        self._token = token
        self._failures = 0
        self._lost_at_ms: int | None = None

    async def say(self, message: bytes) -> bool:
        """Send a message. False: there was no connection."""
        if self.socket is not None:
            with suppress(ConnectionClosed):
                await self.socket.send(message, text=True)
                return True
        return False

    async def run(self) -> None:
        """Connect again and again. Raises StreamError when the gateway will not have us back."""
        while True:
            code, reason = await self._connect_once()
            retry_s = self._patience.first_retry_s * 2.0 ** min(self._failures, 16)
            retry_s = min(retry_s, self._patience.max_retry_s) * random.random()
            self._failures += 1
            self._intake.tell(Disconnected(code, reason, round(retry_s * 1000)))
            await asyncio.sleep(retry_s)

    async def _connect_once(self) -> tuple[int, str]:
        """Serve one connection to its end and say why it ended. Raises StreamError if for good."""
        try:
            async with self._open() as socket:
                return await self._serve(socket)
        except InvalidStatus as refusal:
            status = refusal.response.status_code
            if status < 500 and status not in _RETRY_STATUS:
                raise StreamRefused(self._url, f"HTTP {status}{_said(refusal.response)}") from None
            return ABNORMAL_CLOSURE, f"HTTP {status}"
        except NegotiationError as error:
            raise StreamRefused(self._url, str(error)) from None
        except (OSError, InvalidHandshake, EOFError) as error:
            return ABNORMAL_CLOSURE, _reason(error)

    def _open(self) -> connect:
        return connect(
            self._url,
            subprotocols=[self._subprotocol],
            additional_headers={"Authorization": f"Bearer {self._token}"} if self._token else None,
            compression=None,
            open_timeout=self._patience.open_s,
            ping_interval=self._patience.ping_interval_s,
            ping_timeout=self._patience.ping_timeout_s,
            close_timeout=self._patience.close_s,
            max_size=MAX_FRAME_BYTES,
        )

    async def _serve(self, socket: ClientConnection) -> tuple[int, str]:
        if socket.subprotocol is None and self._version != 1:
            raise StreamRefused(self._url, f"it does not speak {self._subprotocol}")
        try:
            await self._on_open(socket)
            while True:
                await self._on_message(socket, await socket.recv(decode=None))
                await self._intake.wait_for_room()
        except ConnectionClosed as closed:
            return self._on_closed(closed)
        except ProtocolError as error:
            self._stats.bad_frames += 1
            self._stats.bad_checksums += isinstance(error, BadChecksum)
            reason = f"{type(error).__name__}: {error}"
            await socket.close(error.close_code, reason[:120])
            return error.close_code, reason
        finally:
            self.socket = None
            self._lost_at_ms = _now_ms()
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
        self._stats.bad_frames += ours.code in _BROKEN_WEBSOCKET
        return ours.code, ours.reason

    async def _on_open(self, socket: ClientConnection) -> None:
        self.socket = socket
        for message in self._intake.on_open():
            await socket.send(message, text=True)
        away_ms = 0
        if self._lost_at_ms is not None:
            self._stats.reconnects += 1
            away_ms = _now_ms() - self._lost_at_ms
        self._intake.tell(Connected(self._url, away_ms))

    async def _on_message(self, socket: ClientConnection, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self._intake.on_frame(message)
            self._failures = 0
            return
        for reply in self._intake.on_text(message):
            await socket.send(reply, text=True)


def stream_url(url: str) -> str:
    """Read an address as users write it: `ws://host:port`, `http://host:port` or `host:port`, with a path
    or without. Raises ValueError for anything else.
    """
    parts = urlsplit(url if "://" in url else f"ws://{url}")
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not parts.hostname or parts.port == 0:  # .port itself refuses 65,536
        raise ValueError(f"not the address of a gateway: {url!r}")
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") or PATH, parts.query, ""))


def _said(refusal: Response) -> str:
    """Return what a gateway says of its refusal, one line of it."""
    lines = refusal.body.decode(errors="replace").splitlines()
    return f": {lines[0][:200]}" if lines and lines[0].isprintable() else ""


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionError) and error.errno is not None:
        return os.strerror(error.errno)  # asyncio's own text repeats the address
    return str(error) or type(error).__name__


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
