"""One WebSocket connection of a server, as the protocol class that uvicorn hands a socket to.

uvicorn answers plain HTTP on the port; when a request asks for an upgrade it creates one of
these, replays the request into it and steps aside. What leaves are prebuilt, unmasked frames, so one
encoded frame serves any number of clients.

The rules of this file:
- The handshake is the `websockets` library's, without I/O. Then that is let go: a connection that is open
  keeps a few fields and the beginning of a frame (`frames_in.py`), because there are thousands of them.
- Who begins to close, we or the peer, states the code. After our CLOSE nothing more is written; the peer has
  `CLOSE_TIMEOUT_S` to answer. After the peer's, or its mistake, the socket is closed at once.
- `on_closing` comes before that, in the same turn of the loop: from then on the socket may be gone, and its
  number another's.
- Compression is never negotiated: it costs more time and memory than these frames are worth.
"""

import asyncio
import logging
import struct
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any, ClassVar, Final, NamedTuple, cast

from uvicorn.config import Config
from uvicorn.protocols.utils import get_remote_addr
from uvicorn.server import ServerState
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from gateway.ws.frames_in import BadFrame, FrameReader, Incoming, Opcode
from protocol.errors import CloseCode

CLOSE_TIMEOUT_S: Final = 5.0
MAX_REASON_BYTES: Final = 123
_END_OF_HEAD: Final = b"\r\n\r\n"
_QUIET: Final = logging.getLogger("gateway.ws.handshake")
_QUIET.setLevel(logging.CRITICAL)  # what clients do wrong is counted, not logged line by line


class Refusal(NamedTuple):
    """Why an upgrade is refused, as an HTTP answer."""

    status: HTTPStatus
    text: str
    headers: tuple[tuple[str, str], ...] = ()


class Later:
    """The answer to an upgrade request follows by `answer`."""


LATER: Final = Later()


def frame_binary(payload: bytes) -> bytes:
    """Wrap a payload as one unmasked binary WebSocket frame, ready for any number of transports."""
    return _header(0x82, len(payload)) + payload


def frame_text(payload: bytes) -> bytes:
    """Wrap UTF-8 text as one unmasked WebSocket frame."""
    return _header(0x81, len(payload)) + payload


def _frame_control(opcode: Opcode, payload: bytes) -> bytes:
    return bytes((0x80 | opcode, len(payload))) + payload


@lru_cache(1024)
def _header(first: int, length: int) -> bytes:
    if length < 126:
        return bytes((first, length))
    if length < 65_536:
        return struct.pack("!BBH", first, 126, length)
    return struct.pack("!BBQ", first, 127, length)


def _choose_subprotocol(parser: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Take the client's first choice that we speak; none offered is no mistake."""
    return next((name for name in offered if name in (parser.available_subprotocols or ())), None)


class Connection(asyncio.Protocol):
    """The mechanics of one connection; subclasses say what it means by the `on_…` methods."""

    __slots__ = (
        "_all",
        "_close_timer",
        "_early",
        "_handshake",
        "_is_closing",
        "_reader",
        "_unanswered",
        "close_code",
        "is_open",
        "subprotocol",
        "transport",
    )

    subprotocols: ClassVar[tuple[str, ...]] = ()
    max_message_bytes: ClassVar[int] = 65_536

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:  # noqa: ARG002  # uvicorn's signature
        self._all = server_state.connections
        self._handshake: ServerProtocol | None = ServerProtocol(
            subprotocols=[Subprotocol(name) for name in self.subprotocols] or None,
            select_subprotocol=_choose_subprotocol if self.subprotocols else None,
            logger=_QUIET,
        )
        self._unanswered: Request | None = None
        self._early = b""
        """Of the request: its last bytes. Behind it: what came before it was answered."""
        self._reader = FrameReader(self.max_message_bytes)
        self._close_timer: asyncio.TimerHandle | None = None
        self._is_closing = False
        """Somebody has begun to."""
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.is_open = False
        self.subprotocol: str | None = None
        self.close_code: int | None = None
        """Of whoever closed first, we or the peer; None while nobody has."""

    # What a subclass says

    def on_request(self, request: Request) -> Refusal | Later | None:
        """Look at the upgrade request; return a refusal, or LATER to answer when more is known."""
        raise NotImplementedError

    def on_open(self) -> None:
        """The handshake is done; messages may be sent."""

    def on_text(self, text: bytes) -> None:
        raise NotImplementedError

    def on_binary(self, data: bytes) -> None:
        raise NotImplementedError

    def on_ping(self) -> None:
        """The peer asked for a sign of life; it has been answered."""

    def on_pong(self, payload: bytes) -> None:
        """The peer is alive."""

    def on_closing(self) -> None:
        """Nothing may be sent any more. It may come again."""

    def on_lost(self) -> None:
        """The connection is gone. Called once, and only after `on_open`."""

    # What a subclass does

    def answer(self, refusal: Refusal | None) -> None:
        """Answer the upgrade request that `on_request` has put off, unless the client has gone."""
        request, self._unanswered = self._unanswered, None
        if request is not None and not self.transport.is_closing():
            self.transport.resume_reading()
            self._respond(request, refusal)

    @property
    def peer(self) -> tuple[str, int] | None:
        return get_remote_addr(self.transport)

    @property
    def can_speak(self) -> bool:
        """The handshake is done, and nobody has begun to close."""
        return self.is_open and not self._is_closing

    def write(self, data: bytes) -> None:
        """Write to the transport. Once the connection is open, only the fan-out's sender does beside this."""
        self.transport.write(data)

    def send_text(self, text: bytes) -> None:
        self.write(frame_text(text))

    def ping(self, payload: bytes = b"") -> None:
        if self.can_speak:
            self.write(_frame_control(Opcode.PING, payload))

    def close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake; the transport follows when the peer answers, or in 5 seconds."""
        if self.can_speak:
            self._send_close(code, code.to_bytes(2, "big") + _cut(reason))
            self._abort_later()

    def abort(self) -> None:
        """Drop the connection at once, without a word."""
        self._is_closing = True
        self.on_closing()
        self.transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._all.add(cast(Any, self))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self._all.discard(cast(Any, self))
        self._unanswered = None
        if self._close_timer is not None:
            self._close_timer.cancel()
        if self.is_open:
            self.is_open = False
            self.on_closing()
            self.on_lost()

    def eof_received(self) -> None:
        """React to the peer's half of the connection being over: asyncio closes ours."""
        if self.is_open:
            self._is_closing = True
            self.on_closing()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if not self.is_open:
            self._read_request(data)
            return
        try:
            for incoming in self._reader.read(data):
                self._on_incoming(incoming)
                if self.transport.is_closing():
                    return
        except BadFrame as error:
            if not self._is_closing:
                self._send_close(error.close_code, error.close_code.to_bytes(2, "big") + _cut(error.reason))
            self._hang_up()

    def shutdown(self) -> None:
        """Called by uvicorn when the server stops."""
        if self.is_open:
            self.close(CloseCode.SERVICE_RESTART, "the server is stopping")
        else:
            self.transport.close()

    # The handshake

    def _read_request(self, data: bytes) -> None:
        """Give the library the request, and keep what is behind it."""
        handshake = self._handshake
        if handshake is None or self._unanswered is not None:
            self._early += data
            return
        seen = self._early + data
        end = seen.find(_END_OF_HEAD)
        mine = end + len(_END_OF_HEAD) - len(self._early) if end >= 0 else len(data)
        self._early = data[mine:] if end >= 0 else seen[1 - len(_END_OF_HEAD) :]
        handshake.receive_data(data[:mine])
        for event in handshake.events_received():
            self._answer_request(cast(Request, event))
        if self._handshake is not None:  # else it is answered
            self._write_answer(handshake)

    def _answer_request(self, request: Request) -> None:
        verdict = self.on_request(request)
        if isinstance(verdict, Later):  # nothing more is read from this socket until then
            self._unanswered = request
            self.transport.pause_reading()
        else:
            self._respond(request, verdict)

    def _respond(self, request: Request, refusal: Refusal | None) -> None:
        handshake = self._handshake
        assert handshake is not None  # there was a request, and no answer yet
        if refusal is None:
            response = handshake.accept(request)
        else:
            response = handshake.reject(refusal.status, refusal.text)
            response.headers.update(refusal.headers)
        handshake.send_response(response)
        self._write_answer(handshake)
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            self.transport.close()
            return
        self.is_open, self.subprotocol, self._handshake = True, handshake.subprotocol, None
        vars(handshake).clear()  # it refers to itself, and would wait for the cycle collector
        early, self._early = self._early, b""
        self.on_open()
        if early:
            self.data_received(early)

    def _write_answer(self, handshake: ServerProtocol) -> None:
        for data in handshake.data_to_send():
            if data:
                self.write(data)
            else:  # the library's word for "nothing will follow"
                self.transport.close()

    # Frames

    def _on_incoming(self, incoming: Incoming) -> None:
        if incoming.opcode is Opcode.CLOSE:
            if not self._is_closing:
                self._send_close(incoming.code, incoming.payload)
            self._hang_up()
        elif self._is_closing:
            return
        elif incoming.opcode is Opcode.TEXT:
            self.on_text(incoming.payload)
        elif incoming.opcode is Opcode.BINARY:
            self.on_binary(incoming.payload)
        elif incoming.opcode is Opcode.PING:
            self.write(_frame_control(Opcode.PONG, incoming.payload))
            self.on_ping()
        else:
            self.on_pong(incoming.payload)

    def _send_close(self, code: int, payload: bytes) -> None:
        self.close_code = code
        self._is_closing = True
        self.on_closing()
        self.write(_frame_control(Opcode.CLOSE, payload))

    def _hang_up(self) -> None:
        """Close the socket once everything is sent; a peer that does not read has its time for that."""
        self.transport.close()
        if self._close_timer is None:
            self._abort_later()

    def _abort_later(self) -> None:
        self._close_timer = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self.transport.abort)


def _cut(reason: str) -> bytes:
    """Encode as much of a reason as a CLOSE holds, in whole characters."""
    return reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore").encode()
