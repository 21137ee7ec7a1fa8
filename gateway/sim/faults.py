"""What can go wrong on purpose, while the exchange runs.

    cut         abort sockets now; with seconds, those that come back meanwhile are refused
    refuse      reject connection attempts with 503
    shutdown    say serverShutdown (spot has that message), close when the seconds are over
    max_life    close connections that are older than life_seconds, instead of 24 h
    mute        acknowledge subscriptions and deliver nothing, on that share of the connections
    stale       the streams of USD-M's /market deliver nothing, as on the retired address
    lose        drop messages           duplicate   send messages twice
    reorder     swap a message with the stream's next
    malformed   cut a message short, or give its symbol the wrong type, in turns
    slow        deliver every message delay_ms later
    rate_limit  answer REST with 429, or with 418 if `status` says so
    halt        publish no trades or quotes of the symbols, by socket or REST; all of them afterwards

`seconds` is how long a fault stands, for ever if it is not given; `share` is the part of the
connections, messages or requests it strikes; `symbols`, `streams` (aggTrade, kline_1m …) and
`markets` (spot, usdm, coinm) narrow it: for cut, shutdown and max_life to connections that listen to
such a stream; refuse and rate_limit know markets only. What is lost on the socket REST still tells.
"""

import re
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any, Final

import msgspec

from gateway.sim.market.noise import key_of, unit
from gateway.sim.market.symbols import Board, Instrument

MAX_STANDING: Final = 100
"""More faults at a time than this are refused."""
KEPT_PAST: Final = 1_000
MARKET_NAMES: Final = {"spot": Board.SPOT, "usdm": Board.USDM, "coinm": Board.COINM}


class FaultKind(Enum):
    CUT = "cut"
    REFUSE = "refuse"
    SHUTDOWN = "shutdown"
    MAX_LIFE = "max_life"
    MUTE = "mute"
    STALE = "stale"
    LOSE = "lose"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    MALFORMED = "malformed"
    SLOW = "slow"
    RATE_LIMIT = "rate_limit"
    HALT = "halt"


ON_MESSAGES: Final = frozenset(
    {FaultKind.MUTE, FaultKind.STALE, FaultKind.LOSE, FaultKind.DUPLICATE, FaultKind.REORDER,
     FaultKind.MALFORMED, FaultKind.SLOW}
)  # fmt: skip
AT_ONCE: Final = frozenset({FaultKind.CUT, FaultKind.SHUTDOWN})
"""Those for which no `seconds` means now, and not for ever."""


class BadFault(ValueError):
    """A fault that cannot be: the message names the field."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, as asked for."""

    kind: FaultKind
    seconds: float | None = None
    share: float = 1.0
    symbols: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    markets: tuple[str, ...] = ()
    status: int = 429
    retry_after: int = 5
    """Of rate_limit: the seconds that Retry-After says."""
    delay_ms: int = 500
    life_seconds: float = 5.0

    def __post_init__(self) -> None:
        if self.seconds is not None and not 0 <= self.seconds < float("inf"):
            raise BadFault("seconds must be 0 or more")
        if not 0 < self.share <= 1:
            raise BadFault("share must be above 0 and at most 1")
        if unknown := set(self.markets) - MARKET_NAMES.keys():
            raise BadFault(f"markets can be {', '.join(MARKET_NAMES)}, not {', '.join(sorted(unknown))}")
        if self.status not in (429, 418):
            raise BadFault("status must be 429 or 418")
        if not 0 <= self.delay_ms <= 60_000:
            raise BadFault("delay_ms must be 0 to 60000")
        if self.life_seconds <= 0 or self.retry_after < 0:
            raise BadFault("life_seconds must be above 0, retry_after 0 or more")


def parse_fault(text: bytes | str) -> Fault:
    """Parse a fault from JSON. Raises BadFault with a sentence that names what is wrong."""
    try:
        said = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise BadFault(f"not JSON: {error}") from None
    if not isinstance(said, dict):
        raise BadFault('a fault is an object such as {"kind": "cut", "seconds": 2}')
    if unknown := said.keys() - Fault.__dataclass_fields__.keys():
        raise BadFault(f"unknown field {', '.join(sorted(unknown))}")
    if said.get("kind") not in {kind.value for kind in FaultKind}:
        raise BadFault(f"kind must be one of {', '.join(kind.value for kind in FaultKind)}")
    try:
        return msgspec.convert(said, Fault)
    except msgspec.ValidationError as error:
        raise BadFault(str(error)) from None


@dataclass(slots=True)
class Standing:
    """A fault at work, and what it has hit so far."""

    fault: Fault
    since_us: int
    until_us: int | None
    """None: until it is cleared."""
    hits: Counter[str] = field(default_factory=Counter)
    """Messages by kind of stream, `connections`, `attempts`, `requests`."""
    _key: int = 0
    _drawn: int = 0

    def strikes(self) -> bool:
        """Draw the next lot: true for `share` of them, the same ones for the same history."""
        self._drawn += 1
        return self.fault.share >= 1 or unit(self._key, self._drawn) < self.fault.share

    def strikes_always(self, serial: int) -> bool:
        """Draw the lot of one connection: the same answer for as long as the fault stands."""
        return self.fault.share >= 1 or unit(self._key, serial) < self.fault.share

    def concerns_board(self, board: Board) -> bool:
        return not self.fault.markets or any(MARKET_NAMES[name] is board for name in self.fault.markets)

    def concerns(self, board: Board, symbol: str, kind: str) -> bool:
        fault = self.fault
        return (
            self.concerns_board(board)
            and (not fault.symbols or symbol in fault.symbols)
            and (not fault.streams or kind in fault.streams)
        )

    def halts(self, one: Instrument) -> bool:
        return self.concerns_board(one.board) and (not self.fault.symbols or one.symbol in self.fault.symbols)

    def described(self) -> dict[str, Any]:
        fault = {name: value for name, value in asdict(self.fault).items() if value not in ((), None)}
        return {**fault, "kind": self.fault.kind.value, "since_us": self.since_us, "until_us": self.until_us,
                "hits": dict(self.hits)}  # fmt: skip


class Faults:
    """The faults that stand, and those that did."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._given = 0
        self.standing: list[Standing] = []
        self.on_messages: list[Standing] = []
        """Those of the standing ones that concern single messages; empty is the fast path."""
        self.past: deque[Standing] = deque(maxlen=KEPT_PAST)
        self.ended_us: dict[tuple[Board, str], int] = {}
        """Since when something is not traded: `listings.py` says so."""

    def add(self, fault: Fault, now_us: int) -> Standing:
        """Let a fault stand. Raises BadFault when too many do."""
        self.expire(now_us)
        if len(self.standing) >= MAX_STANDING:
            raise BadFault(f"{MAX_STANDING} faults stand already")
        seconds = 0.0 if fault.seconds is None and fault.kind in AT_ONCE else fault.seconds
        until_us = None if seconds is None else now_us + int(seconds * 1e6)
        self._given += 1
        standing = Standing(fault, now_us, until_us, _key=key_of(self._seed, "fault", self._given))
        self._replace([*self.standing, standing])
        return standing

    def expire(self, now_us: int) -> list[Standing]:
        """Take down the faults whose time is over, and return them."""
        over = [one for one in self.standing if one.until_us is not None and one.until_us <= now_us]
        if over:
            self.past.extend(over)
            self._replace([one for one in self.standing if one not in over])
        return over

    def clear(self) -> None:
        self.past.extend(self.standing)
        self._replace([])

    def of(self, *kinds: FaultKind) -> list[Standing]:
        return [one for one in self.standing if one.fault.kind in kinds]

    def visible_us(self, one: Instrument, now_us: int) -> int:
        """Say up to when an instrument's trades are published: until its halt or its end, or until now."""
        if not self.standing and not self.ended_us:
            return now_us
        halts = [halt.since_us for halt in self.of(FaultKind.HALT) if halt.halts(one)]
        return min(*halts, self.ended_us.get((one.board, one.symbol), now_us), now_us)

    def described(self) -> dict[str, Any]:
        return {
            "standing": [one.described() for one in self.standing],
            "past": [one.described() for one in self.past],
        }

    def _replace(self, standing: list[Standing]) -> None:
        self.standing = standing
        self.on_messages = [one for one in standing if one.fault.kind in ON_MESSAGES]


_SYMBOL: Final = re.compile(r'"s":"[^"]*"')


def spoil(payload: str, nth: int) -> str:
    """Break a message: every second one is cut short, the others name something else than a symbol."""
    if nth % 2:
        return payload[: len(payload) // 2]
    return _SYMBOL.sub('"s":{}', payload)
