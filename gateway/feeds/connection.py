"""One place of the plan: a connection that is kept, with its streams subscribed.

    connecting -> subscribing -> live -> backing off -> connecting …

The rules of this file:
- A connection is replaced when it ends, when the venue announces a shutdown, when a message of
  ours is not answered in time, and before the venue's own limit of age.
- After a failure it waits (backoff.py). Only valid data shows that the venue works again: the
  first after that is tried at once.
- What comes over the socket is taken in its callback. Everything sent is sent by `run`.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NoReturn, TypeAlias

import structlog

from gateway.exchanges.errors import BadPayload
from gateway.exchanges.venue import Venue
from gateway.feeds.backoff import Backoff
from gateway.feeds.bad_payloads import BadPayloads
from gateway.feeds.budget import Budget
from gateway.feeds.errors import VenueError
from gateway.feeds.plan import Slot
from gateway.feeds.socket import Socket, open_socket
from gateway.feeds.subscriptions import Subscriptions
from protocol.market import Ack, MarketEvent, Shutdown

OnEvent: TypeAlias = Callable[[MarketEvent, int], None]

_NOTICES: Final = (Ack, Shutdown)
log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger()


class Phase(StrEnum):
    CONNECTING = "connecting"
    SUBSCRIBING = "subscribing"
    LIVE = "live"
    """Every stream is acknowledged, or rejected."""
    BACKING_OFF = "backing off"


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """What a connection looks like at one moment."""

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


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a connection waits for what."""

    connect_s: float = 10.0
    ack_s: float = 10.0
    spare_life_s: float = 1_800.0
    """A connection is replaced at a random moment of so long before the venue cuts it."""
    first_backoff_ms: int = 500
    longest_backoff_ms: int = 30_000


class EndOfConnection(VenueError):
    """This connection is over."""


class PlannedEnd(EndOfConnection):
    """It still works, but not for long: the next one may be had at once."""


class Connection:
    def __init__(
        self,
        venue: Venue,
        slot: Slot,
        on_event: OnEvent,
        bad_payloads: BadPayloads,
        attempts: Budget,
        random: Callable[[], float],
        patience: Patience,
    ) -> None:
        self.slot = slot
        self._url = venue.url(slot.kind)
        self._venue = venue
        self._parse = venue.dialect.parse
        self._on_event = on_event
        self._all_bad_payloads = bad_payloads
        self._attempts = attempts
        self._random = random
        self._patience = patience
        self._backoff = Backoff(patience.first_backoff_ms, patience.longest_backoff_ms)
        self._subscriptions = Subscriptions()
        # Half of what the venue allows: messages bunch up on their way, and a ping may want its pong
        # in the middle of our own.
        self._control = Budget(venue.limits.control_per_s // 2, 1_000)
        self._wake = asyncio.Event()
        """Something happened that `run` should look at."""
        self._is_proven = False
        """Valid data has come over this connection."""
        self._shutdown_announced = False
        self._phase = Phase.CONNECTING
        self._phase_since_ms = now_ms()
        self._last_message_us = 0
        self._messages = 0
        self._bytes = 0
        self._bad_payloads = 0
        self._attempts_made = 0
        self._last_error: str | None = None

    def want(self, natives: frozenset[str]) -> None:
        """Carry these symbols from now on."""
        self._subscriptions.want([self._venue.dialect.stream_name(one, self.slot.kind) for one in natives])
        self._wake.set()

    def state(self) -> ConnectionState:
        return ConnectionState(
            name=str(self.slot),
            url=self._url,
            kind=self.slot.kind,
            streams=tuple(sorted(self._subscriptions.wanted)),
            rejected=dict(self._subscriptions.rejected),
            phase=self._phase,
            phase_since_ms=self._phase_since_ms,
            last_message_us=self._last_message_us,
            messages=self._messages,
            bytes=self._bytes,
            bad_payloads=self._bad_payloads,
            reconnects=max(self._attempts_made - 1, 0),
            last_error=self._last_error,
        )

    async def run(self) -> None:
        """Keep the connection until cancelled. Raises only what `on_event` raised."""
        while True:
            await self._attempt_allowed()
            self._is_proven = self._shutdown_announced = False
            try:
                await self._connect_once()
            except VenueError as error:
                await self._back_off(error)

    async def _attempt_allowed(self) -> None:
        self._enter(Phase.CONNECTING)
        await asyncio.sleep(self._attempts.book(now_ms()) / 1_000)
        self._attempts_made += 1

    async def _back_off(self, error: VenueError) -> None:
        self._last_error = str(error)
        at_once = isinstance(error, PlannedEnd) and self._is_proven
        delay_ms = 0 if at_once else self._backoff.next_delay_ms(self._random())
        log.warning(
            "feed.connection_lost",
            venue=self._venue.name,
            connection=str(self.slot),
            reason=str(error),
            retry_ms=delay_ms,
        )
        self._enter(Phase.BACKING_OFF)
        await asyncio.sleep(delay_ms / 1_000)

    async def _connect_once(self) -> NoReturn:
        """Connect and keep the streams subscribed until the connection is over. Raises why it is."""
        async with open_socket(
            self._url, self._on_message, self._on_control, self._wake.set, self._patience.connect_s
        ) as socket:
            self._subscriptions.on_open()
            self._enter(Phase.SUBSCRIBING)
            spare_s = self._patience.spare_life_s * self._random()
            old_at_ms = now_ms() + round((self._venue.limits.max_life_s - spare_s) * 1_000)
            while True:
                self._wake.clear()
                self._raise_if_over(socket, old_at_ms)
                look_again_ms = self._send_requests(socket)
                await self._wait(min(look_again_ms, old_at_ms - now_ms()))

    def _raise_if_over(self, socket: Socket, old_at_ms: int) -> None:
        if socket.end is not None:
            raise EndOfConnection(socket.end)
        if self._shutdown_announced:
            raise PlannedEnd("the exchange announced that it shuts this connection down")
        if self._subscriptions.overdue_ms(now_ms()) >= self._patience.ack_s * 1_000:
            raise EndOfConnection(f"no answer to a subscribe within {self._patience.ack_s:g} s")
        if now_ms() >= old_at_ms:
            # Here a successor will take over before this connection goes.
            raise PlannedEnd("replaced before the exchange's limit of age")

    def _send_requests(self, socket: Socket) -> int:
        """Ask for what is missing, as far as the venue's limit allows; say when to look again, in ms."""
        wait_ms = self._control.wait_ms(now_ms())
        while not wait_ms and (request := self._subscriptions.next_request(now_ms())):
            ask = self._venue.dialect.subscribe if request.subscribe else self._venue.dialect.unsubscribe
            socket.send(ask(request.names, request.id))
            self._on_control()
            wait_ms = self._control.wait_ms(now_ms())
        is_settled = self._subscriptions.is_settled
        self._enter(Phase.LIVE if is_settled else Phase.SUBSCRIBING)
        ack_due_ms = round(self._patience.ack_s * 1_000) - self._subscriptions.overdue_ms(now_ms())
        return ack_due_ms if is_settled or not wait_ms else min(wait_ms, ack_due_ms)

    async def _wait(self, at_most_ms: int) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most_ms / 1_000):
                await self._wake.wait()

    def _enter(self, phase: Phase) -> None:
        if phase is not self._phase:
            self._phase = phase
            self._phase_since_ms = now_ms()
            if phase is Phase.LIVE:
                streams = len(self._subscriptions.wanted)
                log.info("feed.live", venue=self._venue.name, connection=str(self.slot), streams=streams)

    # In the socket's callbacks

    def _on_message(self, data: bytes, received_us: int) -> None:
        self._last_message_us = received_us
        self._messages += 1
        self._bytes += len(data)
        try:
            message = self._parse(data)
        except BadPayload as error:
            self._bad_payloads += 1
            self._all_bad_payloads.add(received_us, str(self.slot), error.reason, data)
            return
        if isinstance(message, _NOTICES):
            self._on_notice(message)
        elif message is not None:
            if not self._is_proven:
                self._is_proven = True
                self._backoff.reset()
            self._on_event(message, received_us)

    def _on_notice(self, message: Ack | Shutdown) -> None:
        if isinstance(message, Shutdown):
            self._shutdown_announced = True
        elif complaint := self._subscriptions.on_ack(message):
            self._last_error = complaint
            log.warning(
                "feed.request_rejected",
                venue=self._venue.name,
                connection=str(self.slot),
                reason=complaint,
                rejected=sorted(self._subscriptions.rejected),
            )
        self._wake.set()

    def _on_control(self) -> None:
        self._control.spend(now_ms())


def now_ms() -> int:
    """Read the monotonic clock."""
    return time.monotonic_ns() // 1_000_000
