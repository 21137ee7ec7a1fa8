"""One WebSocket connection to an exchange. picows stays behind this file.

Messages are handed over from within the event loop's read callback: no queue and no task switch
lie between the socket and whoever takes them. All that one read brought is handed over together, as
one turn, because most of what follows costs a turn as much as a message. What the taker raises ends
the connection and comes out of `open_socket`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import picows

from gateway.feeds.errors import Refused, Unreachable, explain
from gateway.feeds.tls import trusted

CLOSE_TIMEOUT_S: Final = 2.0
IDLE_PING_S: Final = 15.0
"""Ask for a sign of life when nothing, not even the venue's own ping, has come for so long."""
PONG_TIMEOUT_S: Final = 10.0
MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
MOST_A_TURN: Final = 1_000
"""One read may bring tens of thousands of messages after a pause."""
OnMessages: TypeAlias = Callable[[list[bytes], int], None]
_TEXT: Final = picows.WSMsgType.TEXT


class Socket:
    """An open connection."""

    def __init__(self, transport: picows.WSTransport, listener: "_Listener") -> None:
        self._transport = transport
        self._listener = listener

    @property
    def end(self) -> str | None:
        """Why the connection is over; None while it is not."""
        return self._listener.end

    def send(self, message: bytes) -> None:
        """Send one text message."""
        self._transport.send(picows.WSMsgType.TEXT, message)


@asynccontextmanager
async def open_socket(
    url: str,
    on_messages: OnMessages,
    on_control: Callable[[], None],
    on_end: Callable[[], None],
    timeout_s: float,
) -> AsyncIterator[Socket]:
    """Connect, and close at the end of the block. Raises Unreachable or Refused.

    `on_messages` gets the bytes of one turn, in order, and when they were received, in µs since 1970;
    `on_control` hears of every ping and pong that we send; `on_end` says that `Socket.end` has its reason.
    """
    listener = _Listener(on_messages, on_control, on_end)
    transport = await _connect(url, listener, timeout_s)
    try:
        yield Socket(transport, listener)
    finally:
        await _close(transport)
        if listener.failure is not None:
            raise listener.failure


async def _connect(url: str, listener: "_Listener", timeout_s: float) -> picows.WSTransport:
    try:
        async with asyncio.timeout(timeout_s):
            transport, _ = await picows.ws_connect(
                lambda: listener,
                url,
                ssl_context=trusted() if url.startswith("wss:") else None,
                websocket_handshake_timeout=timeout_s,
                enable_auto_pong=False,  # answered in the listener, which counts them
                enable_auto_ping=True,
                auto_ping_idle_timeout=IDLE_PING_S,
                auto_ping_reply_timeout=PONG_TIMEOUT_S,
                max_frame_size=MAX_MESSAGE_BYTES,
            )
    except asyncio.CancelledError:
        listener.is_abandoned = True  # picows goes on with the handshake all the same
        raise
    except picows.WSInvalidStatusError as error:
        status = error.response.status if error.response else 0
        raise Refused(url, int(status)) from error
    except (OSError, ValueError, picows.WSError) as error:
        listener.is_abandoned = True
        raise Unreachable(url, explain(error)) from error
    return transport


async def _close(transport: picows.WSTransport) -> None:
    """Say goodbye, and do not wait for long for the other side to say it too."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            if not transport.is_disconnected:
                transport.send_close(picows.WSCloseCode.OK)
                transport.disconnect()
            await transport.wait_disconnected()
    except TimeoutError:
        transport.disconnect(graceful=False)
    except picows.WSProtocolError:
        pass  # what the venue did wrong is in `Socket.end` already


class _Listener(picows.WSListener):
    def __init__(
        self,
        on_messages: OnMessages,
        on_control: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        self._on_messages = on_messages
        self._on_control = on_control
        self._on_end = on_end
        self._turn: list[bytes] = []
        """Not handed over yet. Full at MOST_A_TURN: handed over in parts."""
        self._received_us = 0
        """When the first of them was received."""
        self._fragments = bytearray()
        """Of one message. Full at MAX_MESSAGE_BYTES: the connection ends."""
        self.is_abandoned = False
        """Nobody waits for this connection any more."""
        self.end: str | None = None
        self.failure: Exception | None = None

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        if self.is_abandoned:
            transport.disconnect(graceful=False)

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if self.end is not None:
            return  # still in the buffer when the connection ended
        if frame.msg_type is _TEXT and frame.fin:
            turn = self._turn
            if not turn:
                self._received_us = time.time_ns() // 1_000
            turn.append(frame.get_payload_as_bytes())
        else:
            self._on_rare_frame(transport, frame)
        if frame.last_in_buffer or len(self._turn) >= MOST_A_TURN:
            self._hand_over()

    def _hand_over(self) -> None:
        turn, self._turn = self._turn, []
        if not turn:
            return
        try:
            self._on_messages(turn, self._received_us)
        except Exception as error:
            self.failure = error
            self._end(f"a message could not be taken: {error!r}")
            raise  # picows closes the connection

    def _on_rare_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        match frame.msg_type:
            case picows.WSMsgType.PING:
                # With a copy of the ping's payload, as the venue's documents demand.
                transport.send_pong(frame.get_payload_as_bytes())
                self._on_control()
            case picows.WSMsgType.CLOSE:
                self._hand_over()
                code, text = frame.get_close_code(), frame.get_close_reason()
                self._end(f"closed by the exchange: {code} {text}".rstrip())
                transport.send_close(code)
                transport.disconnect()
            case picows.WSMsgType.TEXT | picows.WSMsgType.BINARY | picows.WSMsgType.CONTINUATION:
                self._on_fragment(frame)

    def _on_fragment(self, frame: picows.WSFrame) -> None:
        if frame.msg_type is not picows.WSMsgType.CONTINUATION:
            self._fragments.clear()
        self._fragments += frame.get_payload_as_bytes()
        if len(self._fragments) > MAX_MESSAGE_BYTES:
            raise picows.WSProtocolError(picows.WSCloseCode.MESSAGE_TOO_BIG, "message too big")
        if frame.fin:
            self._received_us = self._received_us if self._turn else time.time_ns() // 1_000
            self._turn.append(bytes(self._fragments))

    def is_user_specific_pong(self, frame: picows.WSFrame) -> bool:
        is_pong = frame.msg_type is picows.WSMsgType.PONG
        if is_pong and frame.last_in_buffer:
            self._hand_over()  # picows keeps the pong that it waits for to itself
        return is_pong

    def send_user_specific_ping(self, transport: picows.WSTransport) -> None:
        transport.send_ping()
        self._on_control()

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        self._hand_over()
        handshake = transport.close_handshake
        sent = handshake.sent if handshake else None
        self._end(sent.reason if sent and sent.reason else "the connection was lost")

    def _end(self, reason: str) -> None:
        if self.end is None:
            self.end = reason
            self._on_end()
