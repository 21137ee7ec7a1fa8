"""One attempt to let a connection take over from another, make-before-break.

The rules of this file:
- The next one takes over when every stream is acknowledged on it, both have delivered side by side for
  a while, and it has delivered what the old one delivered meanwhile. Streams that are quiet on both are
  handed over by their acknowledgement, after some patience.
- For a silence the next one is a second opinion. The old one is mute if the other hears what it does not
  bring even a little later. If the other hears nothing either, the silence is the venue's or the market's.
- Until that is decided, what only the second opinion says is held back, so that the boundary is known
  before what comes after it. Full: all of it is let go, and nothing more is held.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from gateway.feeds.connections.connection import Connection, Due, Patience
from gateway.feeds.connections.turn import OnTurn, Turn

MOST_HELD: Final = 5_000


class Decision(Enum):
    WAIT = auto()
    TAKE_OVER = auto()
    SPEAKS_AGAIN = auto()
    """The silence was none."""
    SILENT_TOO = auto()
    """A second connection hears nothing either."""
    FAILED = auto()
    """The next one does not deliver what the old one does."""


class Handover:
    def __init__(
        self,
        due: Due,
        old: Connection,
        open_next: Callable[[OnTurn], Connection],
        on_turn: OnTurn,
        patience: Patience,
        now_ms: int,
    ) -> None:
        self.due = due
        self.old = old
        self._on_turn = on_turn
        self._patience = patience
        self._since_ms = now_ms
        self._proof_ms = 0
        """When the next one was first seen to hear what the old one does not; 0 before."""
        self._held: list[tuple[Turn, int]] | None = None if due.silence is None else []
        """None: nothing is held back, or nothing any more."""
        self._room = MOST_HELD
        """For so many events more."""
        self.next = open_next(on_turn if due.silence is None else self._take)

    def decide(self, now_ms: int) -> Decision:
        """Compare the two connections."""
        if self.due.silence is not None:
            return self._judge_silence(self.due.silence.natives, now_ms)
        if self._is_ready(now_ms):
            return Decision.TAKE_OVER
        is_late = now_ms - self._since_ms > self._patience.takeover_s * 1_000
        return Decision.FAILED if is_late else Decision.WAIT

    def release(self) -> None:
        """Hand on what was held back, in order, and hold nothing more."""
        held, self._held = self._held, None
        for turn, received_us in held or ():
            self._on_turn(turn, received_us)

    def _judge_silence(self, silent: frozenset[str], now_ms: int) -> Decision:
        if self.old.rhythms.heard_since(self._since_ms) & silent:
            return Decision.SPEAKS_AGAIN
        if self.next.rhythms.heard_since(0) & silent:
            self._proof_ms = self._proof_ms or now_ms
            is_no_lag = now_ms - self._proof_ms >= self._patience.lag_s * 1_000
            return Decision.TAKE_OVER if is_no_lag and self._is_ready(now_ms) else Decision.WAIT
        waited_ms = now_ms - self.next.settled_ms
        is_over = self.next.settled_ms > 0 and waited_ms > self._patience.opinion_s * 1_000
        return Decision.SILENT_TOO if is_over else Decision.WAIT

    def _is_ready(self, now_ms: int) -> bool:
        waited_ms = now_ms - self.next.settled_ms
        if not self.next.settled_ms or waited_ms < self._patience.overlap_s * 1_000:
            return False
        missing = self.old.rhythms.heard_since(self.next.settled_ms) - self.next.rhythms.heard_since(0)
        return not missing and (self.next.is_proven or waited_ms >= self._patience.quiet_s * 1_000)

    def _take(self, turn: Turn, received_us: int) -> None:
        """Take what a second opinion says."""
        silent = self.due.silence.natives if self.due.silence and self._held is not None else frozenset()
        told = {native: events for native, events in turn.items() if native not in silent}
        if told:
            self._on_turn(told, received_us)
        if self._held is None or len(told) == len(turn):
            return
        kept = {native: events for native, events in turn.items() if native in silent}
        self._held.append((kept, received_us))
        self._room -= sum(map(len, kept.values()))
        if self._room <= 0:
            self.release()
