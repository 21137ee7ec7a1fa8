"""The clients of a gateway: what each of its streams has in common, and all of them together.

The binary stream is `stream.py`, the JSON candle stream `candles/stream.py`; `door.py` tells them apart. JSON
text both ways. Close codes: `protocol/SPEC.md`.
"""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, ClassVar, Final

from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.http11 import Request

from gateway.native.sender import Target, Wanted, target_of
from gateway.ws.access import Access
from gateway.ws.admission import Admission
from gateway.ws.audience import NOTHING, Audience, Watchlist
from gateway.ws.candles.delivery import CandleDelivery
from gateway.ws.candles.frames import encode_changes
from gateway.ws.candles.replays import CandleReplays
from gateway.ws.candles.series import CandleMark, Change
from gateway.ws.connection import Connection, Later, Refusal
from gateway.ws.delivery import Replays
from gateway.ws.lane import Mark
from gateway.ws.outbox import Outbox
from protocol.control import Error, format_message
from protocol.errors import CloseCode, ProtocolError
from protocol.events import Kind, SeriesKey
from protocol.intervals import format_interval
from protocol.session import Limits, Reaction, ServerSession
from protocol.symbols import SymbolTable

PING: Final = b"\x89\x00"
SWEEP_S: Final = 1.0
IDLE_SWEEPS: Final = 30
"""Candles that nobody has watched for so many sweeps, or twice that, are kept no longer."""


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
    send: Wanted = "auto"
    """By which way frames are sent, `gateway/native/sender.py`."""


class Clients:
    """Everybody connected to this gateway."""

    def __init__(
        self,
        replays: Replays,
        candle_replays: CandleReplays,
        symbols: SymbolTable,
        limits: ClientLimits,
        access: Access | None = None,
    ) -> None:
        self.replays: Final = replays
        self.candle_replays: Final = candle_replays
        self.fanout: Final = replays.fanout
        self.symbols: Final = symbols
        self.limits: Final = limits
        self.access: Final = access or Access()
        self.connected: set[Client] = set()
        self.closed_by_code: Counter[int] = Counter()
        self.coalesced = 0
        """How many values slow clients got only as a newer one."""
        self.on_watched: Callable[[], None] = lambda: None
        """Called when a client watches more, or less, than before."""

    def watched(self) -> Iterator[set[int]]:
        """Return what each client watches, in any kind."""
        return (client.session.watched for client in self.connected)

    def on_listed(self) -> None:
        """Tell every client that the symbol table has grown."""
        for client in tuple(self.connected):
            client.on_listed()

    def on_out_of_reach(self, key: SeriesKey) -> None:
        """Tell everybody who watches a series that this gateway has missed too much of it."""
        for client in tuple(self.connected):
            if key in client.session.candles:
                client.tell_out_of_reach([key])

    async def sweep(self) -> None:
        """Once a second, ping the quiet, close the dead and the slow. Until cancelled."""
        sweeps = 0
        while True:
            await asyncio.sleep(SWEEP_S)
            now_s = time.monotonic()
            for client in tuple(self.connected):
                client.on_sweep(now_s)
            sweeps += 1
            if sweeps % IDLE_SWEEPS == 0:
                self.fanout.candles.keep(set().union(*(one.session.candles for one in self.connected)))


class Client(Connection):
    """One client: its session, its audience, its outbox. A subclass says what it streams.

    There are thousands, most of which want prices and nothing else: what few need is made when it is needed.
    """

    __slots__ = (
        "_candles",
        "_heard_s",
        "_pinged_s",
        "admission",
        "audience",
        "form",
        "outbox",
        "session",
        "target",
    )

    path: ClassVar[str]
    has_market_watch = False
    """It can have its user's."""
    clients: ClassVar[Clients]
    session: ServerSession
    form: int
    target: Target

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        super().__init__(config, server_state, app_state)
        self.outbox = Outbox()
        self._candles: CandleDelivery | None = None
        self.admission = Admission(self, self.clients.access)
        self.audience: Audience | None = None
        self._heard_s = time.monotonic()
        self._pinged_s = 0.0

    # What a subclass says

    def read_address(self, query: str) -> Refusal | None:
        """Read what stands behind the path; refuse what makes no sense."""

    def on_admitted(self) -> None:
        """Who this is is known: market data may flow."""

    def watchlist(self) -> Watchlist:
        """Say what the fan-out is to write to this client."""
        raise NotImplementedError

    # The connection

    def on_request(self, request: Request) -> Refusal | Later | None:
        path, _, query = request.path.partition("?")
        if path != self.path:
            return Refusal(HTTPStatus.NOT_FOUND, "the streams are at /api/v1/ws and /ws\n")
        if len(self.clients.connected) >= self.clients.limits.max_connections:
            return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "this gateway is full\n")
        return self.read_address(query) or self.admission.on_request(request)

    def on_open(self) -> None:
        limits = self.clients.limits
        self.target = target_of(self.transport)
        self.clients.fanout.sender.wrote(
            self.target.fd
        )  # the answer to the handshake; before it, another client
        self.transport.set_write_buffer_limits(high=limits.max_buffer_bytes)
        _keep_kernel_buffer_small(self.transport, limits.max_buffer_bytes)
        self.clients.connected.add(self)
        self.admission.on_open(time.monotonic())

    def on_text(self, text: bytes) -> None:
        self._heard_s = time.monotonic()
        if self.admission.holds(text):
            return
        try:
            reaction = self.session.on_text(text, int(self._heard_s * 1000))
        except ProtocolError as error:
            self.close(error.close_code, str(error))
            return
        self.act(reaction)

    def on_listed(self) -> None:
        """New symbols are known: serve what this client asked for too early."""
        if self.can_speak:
            self.act(self.session.on_listed())

    def on_market_watch(self, names: Sequence[str], *, is_copy: bool) -> None:
        session = self.session
        is_news = not (is_copy and session.knows_market_watch)
        if self.can_speak and session.standing.has_market_watch and is_news:
            self.act(session.on_market_watch(names))

    def act(self, reaction: Reaction) -> None:
        """Do what the session says."""
        for reply in reaction.replies:
            self.send_text(reply)
        if reaction.candles:
            self._open_candles(reaction.candles)
        if reaction.changed:
            self.clients.on_watched()
        if reaction.changed or reaction.since or reaction.candles:
            self.join()
        self.admission.act(reaction)

    def on_binary(self, data: bytes) -> None:  # noqa: ARG002  # whatever it is
        self.close(CloseCode.UNSUPPORTED_DATA, "clients send text")

    def on_ping(self) -> None:
        self._count_control_frame(time.monotonic())

    def on_pong(self, payload: bytes) -> None:  # noqa: ARG002  # any pong will do
        now_s = time.monotonic()
        self._count_control_frame(now_s)
        if self._pinged_s > self._heard_s:
            self.clients.fanout.hops["client"].add(round((now_s - self._pinged_s) * 1e6))
        self._heard_s = now_s

    def _count_control_frame(self, now_s: float) -> None:
        """Count it as a message: answers to pings wait in memory for a client that does not read."""
        try:
            self.session.spend_token(int(now_s * 1000))
        except ProtocolError as error:
            self.close(error.close_code, str(error))

    def on_lost(self) -> None:
        self.clients.connected.discard(self)
        self.admission.on_lost()
        self.clients.on_watched()
        self.clients.closed_by_code[self.close_code or 1006] += 1

    def on_closing(self) -> None:
        self._leave_audience()
        if self._candles is not None:
            self._candles.stop()

    # The stream

    def join(self) -> None:
        """Join the audience of what is watched now, or none."""
        self._leave_audience()
        if self._candles is not None:
            self._candles.forget(self.session.candles)
        watchlist = self.watchlist()
        if not any(watchlist[1:]) or not self.can_speak:
            return
        self.audience = self.clients.fanout.audiences.join(watchlist, self)
        self.audience.venues = self.clients.fanout.candles.venues_of(watchlist.candles)
        if self.outbox.is_full:
            self.audience.pause(self)

    def _leave_audience(self) -> None:
        if self.audience is not None:
            self.clients.fanout.audiences.leave(self.audience, self)
            self.audience = None

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.is_open:
            self.clients.fanout.sender.wrote(self.target.fd)

    def write_frames(self, frames: bytes) -> None:
        self.write(frames)
        self.clients.fanout.count(1, len(frames))

    # Candles

    @property
    def candles(self) -> CandleDelivery:
        if self._candles is None:
            self._candles = CandleDelivery(self, self.clients.candle_replays)
            if self.outbox.is_full:
                self._candles.on_full()
        return self._candles

    def live_candles(self) -> frozenset[SeriesKey]:
        """Say which candles the fan-out writes."""
        return self._candles.live(self.session.candles) if self._candles is not None else NOTHING

    @property
    def watched_candles(self) -> set[SeriesKey]:
        return self.session.candles

    def _open_candles(self, wanted: dict[SeriesKey, int | None]) -> None:
        for key in wanted:
            instrument = self.clients.symbols.by_id(key.symbol_id)
            assert instrument is not None  # the session has just found it there
            self.clients.fanout.candles.open(key, instrument)
        self.candles.on_subscribed(wanted)

    def write_candles(self, changes: list[Change], before_us: int, whole_us: int) -> None:
        frames = encode_changes(self.form, changes, before_us, whole_us)
        if frames:
            self.write_frames(frames)

    def tell_out_of_reach(self, keys: list[SeriesKey]) -> None:
        text = "not every change since then can be had: load the history again"
        for interval in dict.fromkeys(key.interval for key in keys):
            ids = [key.symbol_id for key in keys if key.interval == interval]
            names = [one.symbol for symbol_id in ids if (one := self.clients.symbols.by_id(symbol_id))]
            error = Error("candles_out_of_reach", text, names, [format_interval(interval)])
            self.send_text(format_message(error))

    # A slow client

    def pause_writing(self) -> None:
        """Called by the transport when its buffer is full."""
        self.outbox.full_since_s = time.monotonic()
        if self._candles is not None:
            self._candles.on_full()
        if self.audience is not None:
            self.audience.pause(self)

    def resume_writing(self) -> None:
        """Called by the transport when its buffer has drained: bring the client up to date."""
        self.outbox.full_since_s = 0.0
        self.catch_up()
        if self.audience is not None and not self.outbox.is_full:  # catching up may have filled it again
            self.audience.resume(self)

    def catch_up(self) -> None:
        if self._candles is not None:
            self._candles.catch_up()

    def miss(self, kind: Kind, baseline: dict[int, int]) -> None:
        for symbol_id, changes in baseline.items():
            self.outbox.note(kind, symbol_id, changes)
        self.clients.coalesced += len(baseline)

    def miss_trades(self, marks: dict[int, Mark]) -> None:
        for symbol_id, mark in marks.items():
            self.outbox.note_trades(symbol_id, mark)

    def miss_candles(self, mark: CandleMark) -> None:
        self.candles.miss(mark)

    # A dead client

    def on_sweep(self, now_s: float) -> None:
        limits = self.clients.limits
        self.admission.on_sweep(now_s)
        if self.outbox.is_late(now_s, limits.max_lag_s):
            self.close(CloseCode.TOO_SLOW, f"{limits.max_lag_s:g} s behind the market")
        elif self._pinged_s > self._heard_s:
            if now_s - self._pinged_s > limits.pong_timeout_s:
                self.close(CloseCode.NO_PONG, "no answer to pings")
        elif now_s - self._heard_s > limits.ping_interval_s and self.is_open:
            self._pinged_s = now_s
            self.write(PING)


def _keep_kernel_buffer_small(transport: asyncio.Transport, max_bytes: int) -> None:
    """Let the kernel hold no more unsent bytes than we do: what waits there is old when it arrives."""
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if option is not None:
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, option, max_bytes)
