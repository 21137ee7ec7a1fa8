"""One line: a place of the plan that is kept served, by one connection after the other.

The rules of this file:
- A connection that will not do for long is replaced make-before-break (handover.py); so is one that is
  silent beyond its rhythm (rhythm.py), if a second one proves that it should not be. If the next one
  fails, the old one stays for as long as it lives.
- After a failure the line waits (backoff.py). Only valid data shows that the venue works again: the
  first failure after that is followed by a quick attempt, a planned end by one at once.
- Every end, replacement and silence is a boundary (boundary.py), also when nothing was missing.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final, TypeAlias

import structlog

from gateway.exchanges.venue import Venue
from gateway.feeds.backoff import Backoff
from gateway.feeds.boundary import Boundary
from gateway.feeds.budget import Budget
from gateway.feeds.connections.arrivals import Arrivals
from gateway.feeds.connections.bad_payloads import BadPayloads
from gateway.feeds.connections.connection import (
    Connection,
    ConnectionState,
    Due,
    EndOfConnection,
    Patience,
    Phase,
    Traffic,
    now_ms,
)
from gateway.feeds.connections.handover import Decision, Handover
from gateway.feeds.connections.plan import Slot
from gateway.feeds.connections.rhythm import Rhythms, Silence
from gateway.feeds.connections.turn import OnTurn, Turn
from gateway.feeds.errors import VenueError
from protocol.events import GapCause

OnBoundary: TypeAlias = Callable[[Boundary], None]

LOOK_S: Final = 0.1
"""How often a line looks at its connections when nothing wakes it."""
_ASKED_FOR: Final = Due(GapCause.ROTATED, "replaced because it was asked for")
log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger()


class Line:
    def __init__(
        self,
        venue: Venue,
        slot: Slot,
        letter: str,
        on_turn: OnTurn,
        on_boundary: OnBoundary,
        bad_payloads: BadPayloads,
        attempts: Budget,
        arrivals: Arrivals | None,
        random: Callable[[], float],
        patience: Patience,
    ) -> None:
        """`letter` tells lines of the same slot apart; `arrivals` compares them."""
        self.name = f"{slot}{letter}"
        self._venue = venue
        self._kind = slot.kind
        self._on_turn = on_turn
        self._on_boundary = on_boundary
        self._bad_payloads = bad_payloads
        self._attempts = attempts
        self._arrivals = arrivals
        self._random = random
        self._patience = patience
        self._backoff = Backoff(patience.first_backoff_ms, patience.longest_backoff_ms)
        self._natives: frozenset[str] = frozenset()
        self._rhythms = Rhythms(patience.rhythm)
        """What the newest connection knew of its streams."""
        self._traffic = Traffic()
        self._tasks = asyncio.TaskGroup()
        self._running: dict[Connection, asyncio.Task[None]] = {}
        self._current: Connection | None = None
        self._handover: Handover | None = None
        """While there is a second connection."""
        self._asked_for = False
        self._not_before_ms = 0
        """No connection is begun before this moment."""
        self._opinion_not_before_ms = 0
        self._wake = asyncio.Event()
        self._phase = Phase.CONNECTING
        """When there is no connection."""
        self._phase_since_ms = now_ms()
        self._reconnects = 0
        self._mute = ""
        """What is said of the silence that was suspected last; kept until who is silent speaks again."""
        self._silent: frozenset[str] = frozenset()
        self._suspected_ms = 0

    def want(self, natives: frozenset[str]) -> None:
        """Carry these symbols from now on."""
        self._natives = natives
        self._silent &= natives
        if not self._silent:
            self._mute = ""  # who was silent is not listened to any more
        for connection in self._running:
            connection.want(natives)

    def rotate(self) -> None:
        """Replace the connection, make-before-break."""
        self._asked_for = True
        self._wake.set()

    def state(self) -> ConnectionState:
        current = self._current
        return ConnectionState(
            name=self.name,
            url=self._venue.url(self._kind),
            kind=self._kind,
            streams=tuple(sorted(self._venue.dialect.stream_name(one, self._kind) for one in self._natives)),
            rejected=dict(current.subscriptions.rejected) if current else {},
            phase=current.phase if current else self._phase,
            phase_since_ms=current.phase_since_ms if current else self._phase_since_ms,
            last_message_us=self._traffic.last_message_us,
            messages=self._traffic.messages,
            bytes=self._traffic.bytes,
            bad_payloads=self._traffic.bad_payloads,
            reconnects=self._reconnects,
            last_error=self._traffic.last_error,
            successor=self._handover.next.phase if self._handover else None,
            mute=self._mute,
            arrivals=self._arrivals.of(self.name) if self._arrivals else None,
        )

    async def run(self) -> None:
        """Keep the place served until cancelled. Raises only what `on_turn` raised."""
        async with self._tasks:
            while True:
                self._wake.clear()
                self._step(now_ms())
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await self._wake.wait()

    def _step(self, now_ms: int) -> None:
        """See what has ended, what is due, and who takes over."""
        if self._handover is not None and self._handover.next.end is not None:
            self._on_failed_next(self._handover, self._handover.next.end, now_ms)
        if self._current is not None and self._current.end is not None:
            self._on_end(self._current, self._current.end, now_ms)
        if self._handover is not None:
            self._go_on(self._handover, now_ms)
        elif self._current is not None:
            self._look_for_reasons(self._current, now_ms)
        elif now_ms >= self._not_before_ms:
            self._current = self._open(self._hand_on)

    # One connection

    def _look_for_reasons(self, current: Connection, now_ms: int) -> None:
        """Begin a handover if there is a reason for one."""
        due = current.due(now_ms)
        if self._mute and current.rhythms.heard_since(self._suspected_ms) & self._silent:
            self._mute = ""
        if self._asked_for and current.is_open and (due is None or due.silence is not None):
            due = _ASKED_FOR
        if due is None or now_ms < self._not_before_ms:
            return
        if due.silence is not None:
            if not self._is_worth_asking(due.silence, now_ms):
                return
            self._mute, self._silent, self._suspected_ms = due.reason, due.silence.natives, now_ms
        self._log(log.info, "feed.replacing", due.reason)
        self._handover = Handover(due, current, self._open, self._hand_on, self._patience, now_ms)

    def _is_worth_asking(self, silence: Silence, now_ms: int) -> bool:
        """Say whether a suspicion is worth a connection: never one that others would have to wait for."""
        is_whole = silence.natives == self._natives
        return not self._attempts.wait_ms(now_ms) and (is_whole or now_ms >= self._opinion_not_before_ms)

    def _on_end(self, ended: Connection, error: VenueError, now_ms: int) -> None:
        due = self._handover.due if self._handover else ended.due(now_ms)
        cause = error.cause if isinstance(error, EndOfConnection) else GapCause.CONNECTION_LOST
        reason = str(error)
        if due is not None and due.silence is None:
            cause, reason = due.cause, f"{due.reason}; {error}"
        is_planned = cause is GapCause.ROTATED and ended.is_proven
        delay_ms = 0 if is_planned or self._handover else self._backoff.next_delay_ms(self._random())
        self._log(log.warning, "feed.connection_lost", reason, retry_ms=delay_ms)
        if ended.is_open:
            self._say_boundary(ended, cause, reason)
        self._wait_for(delay_ms, now_ms)
        self._leave(ended, reason)

    def _leave(self, old: Connection, reason: str) -> None:
        """Let the next connection be the current one, if there is one."""
        self._traffic.last_error = reason
        self._reconnects += 1
        self._rhythms = old.rhythms
        self._current = self._handover.next if self._handover else None
        self._asked_for, self._mute = False, ""
        self._end_handover()

    # Two connections

    def _go_on(self, handover: Handover, now_ms: int) -> None:
        due, old = handover.due, handover.old
        match handover.decide(now_ms):
            case Decision.TAKE_OVER:
                proof = "; another connection hears it" if due.silence else ""
                self._take_over(old, due.cause, due.reason + proof)
            case Decision.SILENT_TOO if due.silence is not None:
                self._excuse(handover, due.silence, now_ms)
            case Decision.SPEAKS_AGAIN:
                self._give_up(handover, "it speaks again")
            case Decision.FAILED:
                self._give_up(handover, "the next connection does not deliver what the old one does")
                self._wait_for(self._backoff.next_delay_ms(self._random()), now_ms)

    def _take_over(self, old: Connection, cause: GapCause, reason: str) -> None:
        self._log(log.info if cause is GapCause.ROTATED else log.warning, "feed.replaced", reason)
        self._say_boundary(old, cause, reason)
        self._running[old].cancel()  # it goes on delivering until it is closed
        self._leave(old, reason)

    def _excuse(self, handover: Handover, silence: Silence, now_ms: int) -> None:
        """Nobody here is to blame: the market is silent, or the venue, or the whole address is dead."""
        verdict = f"{silence}; a second connection hears nothing either"
        if not silence.is_learned:
            verdict += ": the address is dead, or its symbols are quiet"
        elif silence.natives == self._natives:
            self._say_boundary(handover.old, GapCause.MUTE, verdict)
        self._mute = verdict
        handover.old.rhythms.excuse(silence, now_ms)
        self._opinion_not_before_ms = now_ms + round(self._patience.opinion_every_s * 1_000)
        self._give_up(handover, verdict)

    def _give_up(self, handover: Handover, reason: str) -> None:
        self._log(log.info, "feed.replacement_given_up", reason)
        self._running[handover.next].cancel()
        self._end_handover()

    def _on_failed_next(self, handover: Handover, error: VenueError, now_ms: int) -> None:
        delay_ms = self._backoff.next_delay_ms(self._random())
        self._log(log.warning, "feed.replacement_failed", str(error), retry_ms=delay_ms)
        if handover.next.is_open:
            self._say_boundary(handover.next, GapCause.CONNECTION_LOST, f"before it took over: {error}")
        self._wait_for(delay_ms, now_ms)
        self._end_handover()

    def _end_handover(self) -> None:
        if self._handover is not None:
            self._handover.release()
            self._handover = None

    # Any number of them

    def _wait_for(self, delay_ms: int, now_ms: int) -> None:
        self._not_before_ms = now_ms + delay_ms
        self._phase, self._phase_since_ms = Phase.BACKING_OFF, now_ms

    def _open(self, on_turn: OnTurn) -> Connection:
        connection = Connection(
            self._venue,
            self._kind,
            self.name,
            on_turn,
            self._backoff.reset,
            self._bad_payloads,
            self._traffic,
            (self._current.rhythms if self._current else self._rhythms).anew(),
            self._random,
            self._patience,
        )
        connection.want(self._natives)
        task = self._tasks.create_task(self._keep(connection), name=f"{self._venue.name} {self.name}")
        self._running[connection] = task
        return connection

    async def _keep(self, connection: Connection) -> None:
        """Run a connection to its end."""
        try:
            await asyncio.sleep(self._attempts.book(now_ms()) / 1_000)
            await connection.run()
        except VenueError as error:
            connection.end = error
        finally:
            del self._running[connection]
            self._wake.set()

    def _hand_on(self, turn: Turn, received_us: int) -> None:
        if self._arrivals is not None:
            for events in turn.values():
                self._arrivals.note(self.name, events, received_us)
        self._on_turn(turn, received_us)

    def _say_boundary(self, ended: Connection, cause: GapCause, detail: str) -> None:
        at_us = time.time_ns() // 1_000
        self._on_boundary(
            Boundary(self._kind, self.name, cause, self._natives, ended.last_message_us, at_us, detail)
        )

    def _log(self, say: Callable[..., None], event: str, reason: str, **fields: int) -> None:
        say(event, venue=self._venue.name, connection=self.name, reason=reason, **fields)
