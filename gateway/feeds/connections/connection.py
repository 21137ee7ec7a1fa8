"""One connection to a venue, from the attempt to its end, with its streams subscribed.

    connecting -> subscribing -> live -> over

The rules of this file:
- It ends when the socket does, and when nothing was ever answered. Everything else that speaks against
  it is only said (`due`): whether there is a better one is the line's business (line.py).
- What comes over the socket is taken in its callback, a turn at a time (turn.py). Everything sent is
  sent by `run`.
- Only valid data shows that the venue works, not that it accepts and acknowledges.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NoReturn

import structlog

from gateway.exchanges.errors import BadPayload
from gateway.exchanges.venue import Venue
from gateway.feeds.budget import Budget
from gateway.feeds.connections.arrivals import LineArrivals
from gateway.feeds.connections.bad_payloads import BadPayloads
from gateway.feeds.connections.rhythm import Mute, RhythmRules, Rhythms, Silence
from gateway.feeds.connections.socket import Socket, open_socket
from gateway.feeds.connections.subscriptions import Subscriptions
from gateway.feeds.connections.turn import OnTurn, read_turn
from gateway.feeds.errors import VenueError
from protocol.events import GapCause
from protocol.market import Ack, Shutdown

_LEAST_SPARE: Final = 0.1
log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger()


class Phase(StrEnum):
    CONNECTING = "connecting"
    SUBSCRIBING = "subscribing"
    LIVE = "live"
    """Every stream is acknowledged, or rejected."""
    BACKING_OFF = "backing off"


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """What a line of the pool looks like at one moment: its connection, and what all of them did."""

    name: str
    url: str
    kind: str
    streams: tuple[str, ...]
    rejected: Mapping[str, str]
    """Stream -> what the venue says against it."""
    phase: Phase
    phase_since_ms: int
    """On the monotonic clock."""
    last_message_us: int
    """When the newest message was received, in µs since 1970; 0 for never."""
    messages: int
    bytes: int
    bad_payloads: int
    reconnects: int
    last_error: str | None
    """What the venue last complained of, or why the connection before this one ended or was replaced."""
    successor: Phase | None
    """How far the one is that shall take over, or is asked for its opinion of a silence."""
    mute: str
    """Which silence is suspicious, and what is known about it; empty when none is."""
    arrivals: LineArrivals | None
    """How it compares with the other line; None where there is one line only."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a connection waits for what."""

    connect_s: float = 10.0
    ack_s: float = 10.0
    spare_life_s: float = 1_800.0
    """A connection is replaced at a random moment of the last so long, but for its last tenth."""
    first_backoff_ms: int = 500
    longest_backoff_ms: int = 30_000
    overlap_s: float = 1.0
    """For so long after its last acknowledgement a successor and the old one both deliver, at least."""
    quiet_s: float = 5.0
    """A successor that is acknowledged and has nothing to deliver takes over after so long."""
    takeover_s: float = 30.0
    """A successor that has not taken over by then is given up."""
    opinion_s: float = 5.0
    """For so long a second connection listens for what the first one does not hear."""
    opinion_every_s: float = 60.0
    """How often single silent symbols may cost a connection."""
    lag_s: float = 0.5
    """What one connection brings so much later than another is late, not missing."""
    rhythm: RhythmRules = field(default_factory=RhythmRules)


class EndOfConnection(VenueError):
    """This connection is over."""

    cause = GapCause.CONNECTION_LOST


class NoAck(EndOfConnection):
    """The venue does not answer what it is asked."""

    cause = GapCause.MUTE


@dataclass(frozen=True, slots=True)
class Due:
    """Why a connection that still stands should be replaced."""

    cause: GapCause
    reason: str
    silence: Silence | None = None
    """It is only suspected: another connection must prove it."""


@dataclass(slots=True)
class Traffic:
    """What the connections of one line have received and suffered, together."""

    last_message_us: int = 0
    messages: int = 0
    bytes: int = 0
    bad_payloads: int = 0
    last_error: str | None = None


class Connection:
    def __init__(
        self,
        venue: Venue,
        kind: str,
        name: str,
        on_turn: OnTurn,
        on_proof: Callable[[], None],
        bad_payloads: BadPayloads,
        traffic: Traffic,
        rhythms: Rhythms,
        random: Callable[[], float],
        patience: Patience,
    ) -> None:
        """`on_proof` hears of its first valid data."""
        self.phase = Phase.CONNECTING
        self.phase_since_ms = now_ms()
        self.rhythms = rhythms
        self.subscriptions = Subscriptions()
        self.end: VenueError | None = None
        """Set by who runs it."""
        self.is_open = False
        """The venue has accepted it, at some time."""
        self.is_proven = False
        """Valid data has come."""
        self.settled_ms = 0
        """When everything was first acknowledged; 0 before."""
        self.last_message_us = 0
        self._venue = venue
        self._kind = kind
        self._name = name
        self._parse = venue.dialect.parse
        self._on_turn = on_turn
        self._on_proof = on_proof
        self._all_bad_payloads = bad_payloads
        self._traffic = traffic
        self._patience = patience
        self._random = random
        self._old_at_ms = 0
        # Half of what the venue allows: messages bunch up on their way, and a ping may want its pong
        # in the middle of our own.
        self._control = Budget(venue.limits.control_per_s // 2, 1_000)
        self._wake = asyncio.Event()
        """Something happened that `run` should look at."""
        self._shutdown_announced = False

    def want(self, natives: frozenset[str]) -> None:
        """Carry these symbols from now on."""
        self.subscriptions.want([self._venue.dialect.stream_name(one, self._kind) for one in natives])
        self.rhythms.want(natives)
        self._wake.set()

    def due(self, now_ms: int) -> Due | None:
        """Say whether and why it should be replaced, the most certain reason first."""
        if not self.is_open:
            return None
        if self._shutdown_announced:
            return Due(GapCause.ROTATED, "the exchange announced that it shuts this connection down")
        if self._no_ack(now_ms):
            return Due(GapCause.MUTE, self._no_ack_text())
        if now_ms >= self._old_at_ms:
            return Due(GapCause.ROTATED, "replaced before the exchange's limit of age")
        if silence := self.rhythms.silence(now_ms):
            return Due(GapCause.MUTE, str(silence), silence)
        return None

    async def run(self) -> NoReturn:
        """Connect and keep the streams subscribed until it is over. Raises why it is."""
        async with open_socket(
            self._venue.url(self._kind),
            self._on_messages,
            self._on_control,
            self._wake.set,
            self._patience.connect_s,
        ) as socket:
            self.is_open = True
            self._old_at_ms = now_ms() + self._draw_life_ms()
            self._enter(Phase.SUBSCRIBING)
            while True:
                self._wake.clear()
                self._raise_if_over(socket)
                await self._wait(self._send_requests(socket))

    def _draw_life_ms(self) -> int:
        """Say how long until it is old: not all at once, and early enough for a successor."""
        spare_s = self._patience.spare_life_s * (_LEAST_SPARE + (1 - _LEAST_SPARE) * self._random())
        return round((self._venue.limits.max_life_s - spare_s) * 1_000)

    def _raise_if_over(self, socket: Socket) -> None:
        if socket.end is not None:
            raise EndOfConnection(socket.end)
        if self._no_ack(now_ms()) and not self.is_proven:
            raise NoAck(self._no_ack_text())

    def _no_ack(self, now_ms: int) -> bool:
        return self.subscriptions.overdue_ms(now_ms) >= self._patience.ack_s * 1_000

    def _no_ack_text(self) -> str:
        return f"{Mute.NO_ACK}: no answer to a subscribe within {self._patience.ack_s:g} s"

    def _send_requests(self, socket: Socket) -> int:
        """Ask for what is missing, as far as the venue's limit allows; say when to look again, in ms."""
        wait_ms = self._control.wait_ms(now_ms())
        while not wait_ms and (request := self.subscriptions.next_request(now_ms())):
            ask = self._venue.dialect.subscribe if request.subscribe else self._venue.dialect.unsubscribe
            socket.send(ask(request.names, request.id))
            self._on_control()
            wait_ms = self._control.wait_ms(now_ms())
        is_settled = self.subscriptions.is_settled
        self._enter(Phase.LIVE if is_settled else Phase.SUBSCRIBING)
        ack_due_ms = round(self._patience.ack_s * 1_000) - self.subscriptions.overdue_ms(now_ms())
        if ack_due_ms <= 0:
            ack_due_ms = round(self._patience.ack_s * 1_000)  # said already, by `due`
        return ack_due_ms if is_settled or not wait_ms else min(wait_ms, ack_due_ms)

    async def _wait(self, at_most_ms: int) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most_ms / 1_000):
                await self._wake.wait()

    def _enter(self, phase: Phase) -> None:
        if phase is self.phase:
            return
        self.phase = phase
        self.phase_since_ms = now_ms()
        if phase is Phase.LIVE:
            self.settled_ms = self.settled_ms or now_ms()
            self.rhythms.listen(now_ms())
            streams = len(self.subscriptions.wanted)
            log.info("feed.live", venue=self._venue.name, connection=self._name, streams=streams)

    # In the socket's callbacks

    def _on_messages(self, messages: list[bytes], received_us: int) -> None:
        self.last_message_us = self._traffic.last_message_us = received_us
        self._traffic.messages += len(messages)
        self._traffic.bytes += sum(map(len, messages))
        turn = read_turn(messages, self._parse, self._on_notice, self._on_bad)
        if not turn:
            return
        if not self.is_proven:
            self.is_proven = True
            self._on_proof()
        at_ms = now_ms()
        for native in turn:  # once or more often: of one moment that is the same
            self.rhythms.heard(native, at_ms)
        self._on_turn(turn, received_us)

    def _on_bad(self, data: bytes, error: BadPayload) -> None:
        self._traffic.bad_payloads += 1
        self._all_bad_payloads.add(self.last_message_us, self._name, error.reason, data)

    def _on_notice(self, message: Ack | Shutdown) -> None:
        if isinstance(message, Shutdown):
            self._shutdown_announced = True
        elif complaint := self.subscriptions.on_ack(message):
            self._traffic.last_error = complaint
            log.warning(
                "feed.request_rejected",
                venue=self._venue.name,
                connection=self._name,
                reason=complaint,
                rejected=sorted(self.subscriptions.rejected),
            )
        self._wake.set()

    def _on_control(self) -> None:
        self._control.spend(now_ms())


def now_ms() -> int:
    """Read the monotonic clock."""
    return time.monotonic_ns() // 1_000_000
