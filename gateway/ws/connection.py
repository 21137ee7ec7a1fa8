"""One WebSocket connection of a server, as the protocol class that uvicorn hands a socket to.

uvicorn answers plain HTTP on the port; when a request asks for an upgrade it creates one of
these, replays the request into it and steps aside. What arrives is parsed by the `websockets`
library without I/O; what leaves are prebuilt, unmasked frames written straight to the
transport, so one encoded frame serves any number of clients.

Compression is never negotiated: it costs more time and memory than these frames are worth.
"""

import asyncio
import logging
import struct
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, ClassVar, Final, NamedTuple, cast

from uvicorn.config import Config
from uvicorn.protocols.utils import get_remote_addr
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from protocol.errors import CloseCode

CLOSE_TIMEOUT_S: Final = 5.0
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

    subprotocols: ClassVar[tuple[str, ...]] = ()
    max_message_bytes: ClassVar[int] = 65_536

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:  # noqa: ARG002  # uvicorn's signature
        self._all = server_state.connections
        self._parser = ServerProtocol(
            subprotocols=[Subprotocol(name) for name in self.subprotocols] or None,
            select_subprotocol=_choose_subprotocol if self.subprotocols else None,
            max_size=self.max_message_bytes,
            logger=_QUIET,
        )
        self._unanswered: Request | None = None
        self._fragments: list[bytes] = []
        self._fragment_opcode = Opcode.TEXT
        self._close_timer: asyncio.TimerHandle | None = None
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.peer: tuple[str, int] | None = None
        self.is_open = False

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
    def can_speak(self) -> bool:
        """The handshake is done, and nobody has begun to close."""
        return self.is_open and self._parser.state is State.OPEN

    @property
    def subprotocol(self) -> str | None:
        return self._parser.subprotocol

    @property
    def close_code(self) -> int | None:
        """The code of whoever closed first, we or the peer; None while nobody has."""
        first = self._parser.close_rcvd if self._parser.close_rcvd_then_sent else self._parser.close_sent
        return first.code if first else None

    def send_text(self, text: bytes) -> None:
        self.transport.write(frame_text(text))

    def ping(self, payload: bytes = b"") -> None:
        if self.can_speak:
            self._parser.send_ping(payload)
            self._flush()

    def close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake; the transport follows when the peer answers, or in 5 seconds."""
        if not self.can_speak:
            return
        self._parser.send_close(code, reason.encode()[:123].decode(errors="ignore"))
        self._flush()
        self._abort_later()

    def abort(self) -> None:
        """Drop the connection at once, without a word."""
        self.transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.peer = get_remote_addr(self.transport)
        self._all.add(cast(Any, self))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self._all.discard(cast(Any, self))
        self._unanswered = None
        if self._close_timer is not None:
            self._close_timer.cancel()
        if self.is_open:
            self.is_open = False
            self.on_lost()

    def eof_received(self) -> None:
        self._parser.receive_eof()

    def data_received(self, data: bytes) -> None:
        self._parser.receive_data(data)
        for event in self._parser.events_received():
            if isinstance(event, Request):
                self._answer_request(event)
            elif isinstance(event, Frame):
                self._on_frame(event)
        self._flush()
        if self._parser.close_expected() and self._close_timer is None:
            self._abort_later()

    def shutdown(self) -> None:
        """Called by uvicorn when the server stops."""
        if self.is_open:
            self.close(CloseCode.SERVICE_RESTART, "the server is stopping")
        else:
            self.transport.close()

    # Inside

    def _abort_later(self) -> None:
        self._close_timer = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self.transport.abort)

    def _answer_request(self, request: Request) -> None:
        verdict = self.on_request(request)
        if isinstance(verdict, Later):  # nothing more is read from this socket until then
            self._unanswered = request
            self.transport.pause_reading()
        else:
            self._respond(request, verdict)

    def _respond(self, request: Request, refusal: Refusal | None) -> None:
        if refusal is None:
            response = self._parser.accept(request)
        else:
            response = self._parser.reject(refusal.status, refusal.text)
            response.headers.update(refusal.headers)
        self._parser.send_response(response)
        self._flush()
        if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            self.is_open = True
            self.on_open()
        else:
            self.transport.close()

    def _on_frame(self, frame: Frame) -> None:
        match frame.opcode:
            case Opcode.TEXT | Opcode.BINARY:
                self._fragment_opcode = frame.opcode
                self._fragments = [bytes(frame.data)]
                self._end_of_message(frame.fin)
            case Opcode.CONT:
                if frame.data:  # empty ones could go on for ever
                    self._fragments.append(bytes(frame.data))
                self._end_of_message(frame.fin)
            case Opcode.PING:
                self.on_ping()
            case Opcode.PONG:
                self.on_pong(bytes(frame.data))

    def _end_of_message(self, fin: bool) -> None:
        if not fin or not self.can_speak:
            return
        message = b"".join(self._fragments)
        self._fragments = []
        if self._fragment_opcode is Opcode.TEXT:
            self.on_text(message)
        else:
            self.on_binary(message)

    def _flush(self) -> None:
        for data in self._parser.data_to_send():
            if data:
                self.transport.write(data)
            else:  # the parser's word for "nothing will follow"
                self.transport.close()
