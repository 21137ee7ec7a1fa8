"""One HTTP connection, as the protocol class that uvicorn makes for it: uvicorn's own, with less patience.

The rules of this file:
- A request is complete, head and body, before anything looks at it: what is slow costs no handler, and what
  is too long is refused as soon as that is known. It has `read_timeout_s`, from its first byte on.
- A connection that asks nothing is closed: a new one after `read_timeout_s`, a used one by uvicorn
  (`timeout_keep_alive`).
- What is no request of HTTP/1.0 or 1.1 with one Host is refused, and the connection with it: where the next
  one begins is not known. Nothing is logged.
- While an earlier request is being answered nothing else may be written: that answer is then the last.
- Few requests may wait behind the one that is being answered.
- Who does not read the answer is cut off (`stall.py`).
- What comes after the body (trailers) is no header.
- Behind a trusted proxy, the client, the scheme and the Host of a request are those of the proxy's client.
"""

import asyncio
from asyncio.events import TimerHandle
from typing import ClassVar, Final, TypeAlias

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.http.entrance import MOST_TURNED_AWAY, Entrance, HandedOver, Place
from gateway.http.head import believe_proxy, check_head
from gateway.http.rejections import (
    BODY_TOO_LONG,
    HEAD_TOO_LONG,
    MALFORMED,
    TOO_MANY_AT_ONCE,
    TOO_MANY_CONNECTIONS,
    TOO_SLOW,
    Rejected,
    Rejection,
)
from gateway.http.stall import Stall

LINGER_S: Final = 2.0
"""After a rejection: closing while more comes in would reset the connection, and the answer could be lost."""
MOST_WAITING: Final = 16
WIRE_BYTES_A_BODY_BYTE: Final = 8
"""Chunks of one byte each take 6; what is beyond is for show."""

Turn: TypeAlias = tuple[RequestResponseCycle, ASGI3Application]


class HttpProtocol(HttpToolsProtocol):
    """One connection, until it ends or becomes a WebSocket."""

    entrance: ClassVar[Entrance]

    _place: Place
    _stall: Stall
    _deadline: TimerHandle | None = None
    _is_trusted = False
    _is_over = False
    """Nothing of what still comes in is looked at."""
    _is_receiving = False
    """A request has begun and is not complete."""
    _is_in_head = False
    _begun = 0
    """Requests that began in the data that is being parsed."""
    _wire_bytes = 0
    _body_bytes = 0
    _incomplete: Turn | None = None
    """What is to be answered once it is complete."""
    _answering: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        peer = self.client[0] if self.client else ""
        self._place = Place(self.entrance, peer)
        self._is_trusted = self.entrance.proxies.trusts(peer)
        self._stall = Stall(transport, self.loop, self.entrance.limits.send_timeout_s)
        if self._place.is_granted:
            self._await_request()
        else:
            self._turn_away()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_deadline()
        self._stall.stop()
        self._incomplete = None
        self._place.leave()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        if self._incomplete is not None:
            self.transport.close()
        else:
            super().shutdown()

    # Reading

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        if not self._place.is_granted:
            self._reject(TOO_MANY_CONNECTIONS)
            return
        self._unset_keepalive_if_required()
        was_receiving, self._begun = self._is_receiving, 0
        try:
            self.parser.feed_data(data)
            if self._is_receiving and self._begun == (0 if was_receiving else 1):
                self._measure(len(data))  # all of it belongs to one request
        except httptools.HttpParserUpgrade:
            self._upgrade()
        except Rejected as rejected:
            self._reject(rejected.rejection)
        except httptools.HttpParserError as error:
            # What the methods below raise comes out of the parser as the context of its own error.
            cause = error.__context__
            self._reject(cause.rejection if isinstance(cause, Rejected) else MALFORMED)
        else:
            if self._is_receiving or self.cycle is None or self.cycle.response_complete:
                self._await_request()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun += 1
        self._is_receiving = self._is_in_head = True
        self._wire_bytes = self._body_bytes = 0

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        check_head(self.parser.get_http_version(), self.url, self.headers, self.entrance.limits)
        if len(self.pipeline) >= MOST_WAITING:
            raise Rejected(TOO_MANY_AT_ONCE)
        if self._is_trusted:
            self._believe_proxy()
        super().on_headers_complete()
        if not self.parser.should_upgrade():
            self.headers = []  # the scope keeps its own; from here on come trailers

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self.entrance.limits.max_body_bytes:
            raise Rejected(BODY_TOO_LONG)
        self.cycle.body += body  # uvicorn would stop reading until a handler asks, but there is none yet

    def on_message_complete(self) -> None:
        self._is_receiving = False
        self._stop_deadline()
        super().on_message_complete()
        if self._incomplete is not None:
            turn, self._incomplete = self._incomplete, None
            self._start_asgi_task(*turn)

    def _measure(self, new_bytes: int) -> None:
        """Count what has come of a request that is not complete: the parser tells only of whole headers."""
        limits = self.entrance.limits
        self._wire_bytes += new_bytes
        if self._is_in_head and self._wire_bytes > limits.max_header_bytes:
            raise Rejected(HEAD_TOO_LONG)
        if self._wire_bytes > limits.max_header_bytes + WIRE_BYTES_A_BODY_BYTE * limits.max_body_bytes:
            raise Rejected(BODY_TOO_LONG)

    def _believe_proxy(self) -> None:
        """Put its client in the place of the proxy."""
        assert self.client is not None  # or it would not be trusted
        peer, scheme, proxies = self.client[0], self.scope["scheme"], self.entrance.proxies
        address, self.scope["scheme"] = believe_proxy(peer, self.headers, scheme, proxies)
        if address != peer:
            self.scope["client"] = (address, 0)

    # Answering

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if cycle.more_body:
            self._incomplete = cycle, app
            if cycle.waiting_for_100_continue:
                cycle.waiting_for_100_continue = False
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        self._answering = cycle
        self._stall.stop()
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        if self.transport.get_write_buffer_size():
            self._stall.watch()
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall.watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unfinished():
            self._stall.stop()  # more will be added
        else:
            self._stall.watch()

    def _upgrade(self) -> None:
        """Hand the connection over to a WebSocket."""
        client = self.scope["client"]
        if not self._should_upgrade():
            # A protocol that we do not speak, and what follows may be in it. The request is answered.
            self._is_over = True
            self.cycle.keep_alive = False
        elif self._unfinished():
            self._reject(TOO_MANY_AT_ONCE)
        elif self._is_trusted and client and not self._place.count_for(client[0]):
            self._reject(TOO_MANY_CONNECTIONS)
        else:
            self._stop_deadline()
            self._stall.stop()
            self.server_state = HandedOver(self.server_state, self._place)
            self.handle_websocket_upgrade()
            # It refers to us, as we to it: without this both would stay until the cycle collector looks.
            self.parser = None  # type: ignore[assignment]  # as uvicorn does when the connection is lost

    # Ending

    def _turn_away(self) -> None:
        """Let no more in than is granted. Most clients understand an answer only after they have asked."""
        if self.entrance.turned_away > MOST_TURNED_AWAY:
            self._count(TOO_MANY_CONNECTIONS)
            self.transport.abort()
        else:
            self._deadline = self.loop.call_later(LINGER_S, self.transport.abort)

    def _await_request(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.entrance.limits.read_timeout_s, self._give_up)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self._is_receiving and not self.transport.is_closing():
            self._reject(TOO_SLOW)
        else:
            self.transport.close()

    def _unfinished(self) -> RequestResponseCycle | None:
        """Return what is being answered, if anything is."""
        cycle = self._answering
        return None if cycle is None or cycle.response_complete else cycle

    def _reject(self, rejection: Rejection) -> None:
        self._count(rejection)
        self._is_over = True
        self._stop_deadline()
        self._incomplete = None
        self.pipeline.clear()
        unfinished = self._unfinished()
        if unfinished is not None:
            unfinished.keep_alive = False
            return
        self.transport.write(rejection.answer)
        self.transport.write_eof()
        self._deadline = self.loop.call_later(LINGER_S, self.transport.abort)

    def _count(self, rejection: Rejection) -> None:
        self.entrance.rejected[rejection.error] += 1


def http_protocol(entrance: Entrance) -> type[HttpProtocol]:
    """Make the class that uvicorn creates for each connection to this gateway."""
    return type("GatewayHttpProtocol", (HttpProtocol,), {"entrance": entrance})
