"""`/api/v1/ws`: one client of the binary stream.

Subprotocol `tickgate.v1` (the default) or `tickgate.v2`; JSON text both ways, `protocol/control.py`;
binary frames from here only. Close codes: `protocol/SPEC.md`.
"""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, ClassVar, Final

from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.http11 import Request

from gateway.ws.audience import Audience, Watchlist
from gateway.ws.connection import Connection
from gateway.ws.delivery import Delivery, Replays
from gateway.ws.fanout import KINDS
from gateway.ws.lane import Mark
from gateway.ws.outbox import Outbox
from protocol.errors import CloseCode, ProtocolError
from protocol.events import Kind
from protocol.session import SUBPROTOCOL_V1, SUBPROTOCOL_V2, VERSIONS, Limits, Reaction, ServerSession
from protocol.symbols import SymbolTable

PATH: Final = "/api/v1/ws"
PING: Final = b"\x89\x00"
SWEEP_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """What this gateway grants one client, and all of them together."""

    session: Limits = field(default_factory=Limits)
    max_connections: int = 10_000
    max_message_bytes: int = 65_536
    max_buffer_bytes: int = 65_536
    max_lag_s: float = 10.0
    ping_interval_s: float = 20.0
    pong_timeout_s: float = 20.0


class Clients:
    """Everybody connected to this gateway."""

    def __init__(self, replays: Replays, symbols: SymbolTable, limits: ClientLimits) -> None:
        self.replays: Final = replays
        self.fanout: Final = replays.fanout
        self.symbols: Final = symbols
        self.limits: Final = limits
        self.connected: set[Client] = set()
        self.closed_by_code: Counter[int] = Counter()
        self.coalesced = 0
        """How many values slow clients got only as a newer one."""

    def protocol_class(self) -> type["Client"]:
        """Make the class that uvicorn creates for each upgrade to this gateway."""
        return type(
            "GatewayClient", (Client,), {"clients": self, "max_message_bytes": self.limits.max_message_bytes}
        )

    def on_listed(self) -> None:
        """Tell every client that the symbol table has grown."""
        for client in tuple(self.connected):
            client.on_listed()

    async def sweep(self) -> None:
        """Once a second, ping the quiet, close the dead and the slow. Until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now_s = time.monotonic()
            for client in tuple(self.connected):
                client.on_sweep(now_s)


class Client(Connection):
    """One client: its session, its audience, its outbox."""

    subprotocols = (SUBPROTOCOL_V1, SUBPROTOCOL_V2)
    clients: ClassVar[Clients]
    write: Callable[[bytes], None]

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        super().__init__(config, server_state, app_state)
        self.outbox = Outbox()
        self.delivery = Delivery(self, self.clients.replays)
        self.audience: Audience | None = None
        self._trades: frozenset[int] = frozenset()
        self._heard_s = time.monotonic()
        self._pinged_s = 0.0

    # The connection

    def on_request(self, request: Request) -> tuple[HTTPStatus, str] | None:
        if request.path.partition("?")[0] != PATH:
            return HTTPStatus.NOT_FOUND, f"the stream is at {PATH}\n"
        if len(self.clients.connected) >= self.clients.limits.max_connections:
            return HTTPStatus.SERVICE_UNAVAILABLE, "this gateway is full\n"
        return None

    def on_open(self) -> None:
        limits = self.clients.limits
        version = VERSIONS[self.subprotocol or SUBPROTOCOL_V1]
        self.session = ServerSession(version, self.clients.symbols, limits.session)
        self.write = self.transport.write
        self.transport.set_write_buffer_limits(high=limits.max_buffer_bytes)
        _keep_kernel_buffer_small(self.transport, limits.max_buffer_bytes)
        self.clients.connected.add(self)

    def on_text(self, text: bytes) -> None:
        self._heard_s = time.monotonic()
        try:
            reaction = self.session.on_text(text, int(self._heard_s * 1000))
        except ProtocolError as error:
            self.close(error.close_code, str(error))
            return
        self._act(reaction)

    def on_listed(self) -> None:
        """New symbols are known: serve what this client asked for too early."""
        self._act(self.session.on_listed())

    def _act(self, reaction: Reaction) -> None:
        for reply in reaction.replies:
            self.send_text(reply)
        new = self.session.trades.intersection(reaction.added).difference(self._trades)
        if new or reaction.since:
            self.delivery.on_subscribed(new, reaction.since)
        if reaction.changed or reaction.since:
            self.join()
        if reaction.added:
            self._send_newest(reaction.added)

    def on_binary(self, data: bytes) -> None:  # noqa: ARG002  # whatever it is
        self.close(CloseCode.UNSUPPORTED_DATA, "clients send text")

    def on_pong(self, payload: bytes) -> None:  # noqa: ARG002  # any pong will do
        self._heard_s = time.monotonic()

    def on_lost(self) -> None:
        self.clients.connected.discard(self)
        self.clients.closed_by_code[self.close_code or 1006] += 1
        self._leave()
        self.delivery.stop()

    def close(self, code: int, reason: str = "") -> None:
        if self.is_open:
            self._leave()
            self.delivery.stop()
        super().close(code, reason)

    # The stream

    def join(self) -> None:
        """Join the audience of what is watched now, or none."""
        self._leave()
        session = self.session
        self._trades = frozenset(session.trades)
        self.delivery.forget(self._trades)
        trades = self.delivery.live(self._trades)
        watchlist = Watchlist(session.version, frozenset(session.prices), frozenset(session.quotes), trades)
        for kind in KINDS:
            self.outbox.forget(watchlist.ids(kind), kind)
        if not (session.prices or session.quotes or trades):
            return
        self.audience = self.clients.fanout.audiences.join(watchlist, self)
        if self.outbox.is_full:
            self.audience.pause(self)

    def _leave(self) -> None:
        if self.audience is not None:
            self.clients.fanout.audiences.leave(self.audience, self)
            self.audience = None

    def _send_newest(self, ids: list[int]) -> None:
        watchlist = self.audience.watchlist if self.audience else None
        for kind in KINDS:
            wanted = [one for one in ids if watchlist and one in watchlist.ids(kind)]
            if self.outbox.is_full:
                totals = self.clients.fanout.tables[kind].changes
                self.miss(kind, {one: int(totals[one]) - 1 for one in wanted if one < len(totals)})
            else:
                self._send_values(kind, wanted, {})

    def _send_values(self, kind: Kind, ids: list[int], baseline: dict[int, int]) -> None:
        frame = self.clients.fanout.newest(kind, self.session.version, ids, baseline)
        if frame is not None:
            self.write_frames(frame)

    def write_frames(self, frames: bytes) -> None:
        self.transport.write(frames)
        self.clients.fanout.count(1, len(frames))

    # A slow client

    def pause_writing(self) -> None:
        """Called by the transport when its buffer is full."""
        self.outbox.full_since_s = time.monotonic()
        self.delivery.on_full()
        if self.audience is not None:
            self.audience.pause(self)

    def resume_writing(self) -> None:
        """Called by the transport when its buffer has drained: bring the client up to date."""
        self.outbox.full_since_s = 0.0
        self.catch_up()
        if self.audience is not None and not self.outbox.is_full:  # catching up may have filled it again
            self.audience.resume(self)

    def catch_up(self) -> None:
        for kind in KINDS:
            missed = self.outbox.take(kind)
            if missed:
                self._send_values(kind, list(missed), missed)
        self.delivery.catch_up()

    def miss(self, kind: Kind, baseline: dict[int, int]) -> None:
        for symbol_id, changes in baseline.items():
            self.outbox.note(kind, symbol_id, changes)
        self.clients.coalesced += len(baseline)

    def miss_trades(self, marks: dict[int, Mark]) -> None:
        for symbol_id, mark in marks.items():
            self.outbox.note_trades(symbol_id, mark)

    # A dead client

    def on_sweep(self, now_s: float) -> None:
        limits = self.clients.limits
        if self.outbox.is_late(now_s, limits.max_lag_s):
            self.close(CloseCode.TOO_SLOW, f"{limits.max_lag_s:g} s behind the market")
        elif self._pinged_s > self._heard_s:
            if now_s - self._pinged_s > limits.pong_timeout_s:
                self.close(CloseCode.NO_PONG, "no answer to pings")
        elif now_s - self._heard_s > limits.ping_interval_s and self.is_open:
            self._pinged_s = now_s
            self.transport.write(PING)


def _keep_kernel_buffer_small(transport: asyncio.Transport, max_bytes: int) -> None:
    """Let the kernel hold no more unsent bytes than we do: what waits there is old when it arrives."""
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if option is not None:
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, option, max_bytes)
