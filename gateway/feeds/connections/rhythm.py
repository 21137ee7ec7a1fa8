"""How often a stream speaks, and when its silence says that something is wrong. Pure.

The rules of this file:
- A stream's measure is its own: the longest silence of the last 5 to 10 minutes. Beyond 3 times that,
  and never before a least time, its silence is suspicious.
- A connection is judged as one stream too, and sooner: beyond twice its longest silence. It is busier
  than each of those that it carries.
- A stream that has not spoken often enough, over long enough, is not judged: it may be a quiet one.
- Suspicion is no proof: a market may halt, a symbol fall asleep. Whoever asks gets a second opinion
  from another connection; a silence that this one confirms is excused, and asked about ever later.

How often is a sound stream suspected? If its messages come independently of each other, r a second, a
silence of f times the longest of the T seconds before comes r / (r T)^f times a second. T is 300 s at
least: a single stream of 1 a second is suspected once in 312 days (f = 3), a connection of 10 a second
once in 10 days (f = 2), a busier one more rarely. Real streams come in bursts; what they do is measured
by `tickgate bench mute`. A false suspicion costs one connection. It never becomes an alarm, unless a
second connection hears what the first one does not bring within `Patience.lag_s`.
"""

from collections.abc import Collection
from copy import copy
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

STEP_MS: Final = 100
"""Messages closer than this are one: a burst says nothing about a rhythm."""
LONGEST_EXCUSE_MS: Final = 300_000


@dataclass(frozen=True, slots=True)
class RhythmRules:
    """When silence is suspicious."""

    factor_all: float = 2.0
    """So many times the longest silence that was, of a whole connection."""
    factor_one: float = 3.0
    """The same for one of its streams."""
    window_ms: int = 300_000
    """The longest silence is that of this window and the one before."""
    learn_steps: int = 30
    learn_ms: int = 20_000
    """Before so many messages over so long a stream is not judged."""
    least_all_ms: int = 2_000
    """Less silence of a whole connection than this is never suspicious: networks hiccup."""
    least_one_ms: int = 5_000
    """The same for one of its streams."""
    first_data_ms: int = 10_000
    """An acknowledged connection on which nothing at all has come is suspicious, whatever it carries."""


class Mute(StrEnum):
    """What kind of silence it is."""

    NO_ACK = "no ack"
    NO_DATA = "acked but no data"
    ONE_SILENT = "silent after data"
    ALL_SILENT = "all silent"


@dataclass(frozen=True, slots=True)
class Silence:
    """A suspicious silence, as seen at one moment."""

    mute: Mute
    natives: frozenset[str]
    """Who is silent."""
    silent_ms: int
    """For how long, the one that spoke last."""
    is_learned: bool
    """It has spoken steadily before. If not, it may have nothing to say."""

    def __str__(self) -> str:
        some = sorted(self.natives)[:3]
        who = "" if self.mute is Mute.ALL_SILENT else f" from {', '.join(some)}"
        more = f" and {len(self.natives) - len(some)} more" if who and len(self.natives) > len(some) else ""
        return f"{self.mute}: nothing{who}{more} for {self.silent_ms / 1_000:.1f} s"


class Rhythm:
    """One stream's. Bounded: a few numbers."""

    def __init__(self, rules: RhythmRules, factor: float, least_ms: int) -> None:
        self._rules = rules
        self._factor = factor
        self._least_ms = least_ms
        self.since_ms = 0
        """Silence counts from here: its last message, or when it was acknowledged; 0 before either."""
        self.heard_ms = 0
        """When it was last heard on this connection; 0 for never."""
        self._steps = 0
        self._step_ms = 0
        """When the last step was counted."""
        self._span_ms = 0
        """How long it has been listened to, from a message to a message."""
        self._longest_ms = self._older_ms = 0
        """The longest silence in this window, and in the one before."""
        self._window_ms = 0
        """When this window began."""
        self._excused_ms = 0

    def anew(self) -> "Rhythm":
        """Return what was learned, for a connection that has heard nothing yet."""
        fresh = copy(self)
        fresh.since_ms = fresh.heard_ms = fresh._excused_ms = fresh._step_ms = 0
        return fresh

    def listen(self, now_ms: int) -> None:
        """It is acknowledged: from now on its silence counts."""
        self.since_ms = self.since_ms or now_ms

    def heard(self, now_ms: int) -> None:
        if self.heard_ms:  # what passes between an acknowledgement and the first message is no interval
            silence_ms = now_ms - self.heard_ms
            self._span_ms += silence_ms
            if silence_ms > self._longest_ms:
                self._longest_ms = silence_ms
        if now_ms - self._step_ms >= STEP_MS:
            self._steps += 1
            self._step_ms = now_ms
            if now_ms - self._window_ms > self._rules.window_ms:
                self._older_ms, self._longest_ms, self._window_ms = self._longest_ms, 0, now_ms
        self.since_ms = self.heard_ms = now_ms
        self._excused_ms = 0

    @property
    def is_learned(self) -> bool:
        return self._steps >= self._rules.learn_steps and self._span_ms >= self._rules.learn_ms

    def limit_ms(self) -> int:
        """Say how long a silence is in order."""
        longest_ms = max(self._longest_ms, self._older_ms)
        excused_ms = self._excused_ms + min(self._excused_ms, LONGEST_EXCUSE_MS)
        return max(self._least_ms, round(self._factor * longest_ms), excused_ms)

    def is_suspicious(self, now_ms: int) -> bool:
        return self.is_learned and self.since_ms > 0 and now_ms - self.since_ms > self.limit_ms()

    def excuse(self, now_ms: int) -> None:
        """This silence is in order; ask again when it has lasted twice as long, or 5 minutes longer."""
        self._excused_ms = now_ms - self.since_ms


class Rhythms:
    """One connection's: of each symbol on it, and of all together. Bounded by its symbols."""

    def __init__(self, rules: RhythmRules) -> None:
        self._rules = rules
        self._all = Rhythm(rules, rules.factor_all, rules.least_all_ms)
        self._each: dict[str, Rhythm] = {}
        self._wanted: frozenset[str] = frozenset()
        self._is_listening = False

    def anew(self) -> "Rhythms":
        """Return what was learned, for a connection that has heard nothing yet."""
        fresh = Rhythms(self._rules)
        fresh._all = self._all.anew()
        fresh._each = {native: rhythm.anew() for native, rhythm in self._each.items()}
        fresh._wanted = self._wanted
        return fresh

    def listen(self, now_ms: int) -> None:
        """The connection is acknowledged: from now on silence counts."""
        self._is_listening = True
        for rhythm in (self._all, *self._each.values()):
            rhythm.listen(now_ms)

    def want(self, natives: Collection[str]) -> None:
        """Judge these and no others."""
        self._wanted = frozenset(natives)
        self._each = {native: rhythm for native, rhythm in self._each.items() if native in self._wanted}

    def heard(self, native: str, now_ms: int) -> None:
        self._all.heard(now_ms)
        rhythm = self._each.get(native)
        if rhythm is None:
            if native not in self._wanted:
                return  # still on its way when it was let go
            rhythm = self._each[native] = Rhythm(
                self._rules, self._rules.factor_one, self._rules.least_one_ms
            )
        rhythm.heard(now_ms)

    def heard_since(self, since_ms: int) -> frozenset[str]:
        """List who has been heard on this connection at that moment or later."""
        return frozenset(
            native for native, rhythm in self._each.items() if rhythm.heard_ms and rhythm.heard_ms >= since_ms
        )

    def silence(self, now_ms: int) -> Silence | None:
        """Say what is suspiciously silent. Nothing is before the connection is acknowledged."""
        if not self._is_listening or not self._wanted:
            return None
        return self._silence_of_all(now_ms) or self._silence_of_some(now_ms)

    def excuse(self, silence: Silence, now_ms: int) -> None:
        """Take a silence as in order: another connection hears no more."""
        if silence.natives == self._wanted:
            self._all.excuse(now_ms)
        for native in silence.natives & self._each.keys():
            self._each[native].excuse(now_ms)

    def _silence_of_all(self, now_ms: int) -> Silence | None:
        silent_ms = now_ms - self._all.since_ms
        if self._all.is_suspicious(now_ms):
            mute = Mute.ALL_SILENT if self._all.heard_ms else Mute.NO_DATA
            return Silence(mute, self._wanted, silent_ms, True)
        first_data_ms = max(self._rules.first_data_ms, self._all.limit_ms())
        if not self._all.heard_ms and not self._all.is_learned and silent_ms > first_data_ms:
            return Silence(Mute.NO_DATA, self._wanted, silent_ms, False)
        return None

    def _silence_of_some(self, now_ms: int) -> Silence | None:
        silent = {native: one for native, one in self._each.items() if one.is_suspicious(now_ms)}
        if not silent:
            return None
        mute = Mute.ONE_SILENT if any(one.heard_ms for one in silent.values()) else Mute.NO_DATA
        last_ms = max(one.since_ms for one in silent.values())
        return Silence(mute, frozenset(silent), now_ms - last_ms, True)
