"""The exchange behind its sockets and its REST: the market, who is connected, what goes wrong."""

from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any, Final, Protocol

from gateway.sim.faults import Fault, FaultKind, Faults, Standing
from gateway.sim.limits import SimLimits, WeightPool, Window
from gateway.sim.listings import ListingChange, Listings
from gateway.sim.market.bars import History
from gateway.sim.market.symbols import Board, Instrument
from gateway.sim.market.trades import Market
from gateway.sim.streams.broadcast import Broadcast
from gateway.sim.streams.listeners import Listener

CARE_US: Final = 50_000
"""How often connections are looked after: pings, ages, faults that end."""


class Member(Listener, Protocol):
    """A connection, as seen from the exchange."""

    board: Board
    opened_us: int

    @property
    def close_code(self) -> int | None: ...
    def concerned(self, standing: Standing) -> bool: ...
    def care(self, now_us: int) -> None: ...
    def release(self, now_us: int) -> None: ...
    def close(self, code: int, reason: str = "") -> None: ...
    def say_shutdown(self, now_us: int) -> None: ...
    def abort(self) -> None: ...


class Exchange:
    """What sockets and REST share."""

    def __init__(self, market: Market, limits: SimLimits, clock: Callable[[], int]) -> None:
        self.market = market
        self.limits = limits
        self.clock = clock
        """Returns the microseconds since 1970."""
        self.faults = Faults(market.options.seed)
        self.listings = Listings(market, self.faults.ended_us)
        self.history: Callable[[Instrument], History] = cache(lambda one: History(market, one))
        self.broadcast = Broadcast(market, self.history, self.faults)
        self.members: dict[Member, None] = {}
        self.counted: Counter[str] = Counter()
        """Connections, control messages and violations, by what they were."""
        self.most_messages: Counter[str] = Counter()
        """By market: the most control messages that a connection ever sent within a second."""
        self.late: set[Member] = set()
        """Those who have delayed frames."""
        futures = WeightPool(limits.futures_weight, limits.ban_after, limits.ban_s)
        spot = WeightPool(limits.spot_weight, limits.ban_after, limits.ban_s)
        self.weights = {Board.SPOT: spot, Board.USDM: futures, Board.COINM: futures}
        self._attempts: dict[str, Window] = {}
        self._cared_us = 0
        self._serial = 0

    def admit(self, address: str, board: Board) -> str | None:
        """Count a connection attempt; return why it is refused, if it is."""
        now_us = self.clock()
        self.counted["attempts"] += 1
        window = self._attempts.get(address)
        if window is None:
            window = self._attempts[address] = Window(
                self.limits.attempts, self.limits.attempts_s * 1_000_000
            )
        if window.exceeded_by(now_us):
            self.counted["violation.attempts"] += 1
            return "too many connection attempts"
        for standing in self.faults.of(FaultKind.CUT, FaultKind.REFUSE):
            if standing.concerns_board(board) and standing.strikes():
                standing.hits["attempts"] += 1
                return "the exchange takes no connections"
        return None

    def enter(self, member: Member) -> int:
        """Take a connection in and return its serial number."""
        self.members[member] = None
        self.counted["connections"] += 1
        self._serial += 1
        return self._serial

    def inject(self, fault: Fault) -> Standing:
        """Let a fault strike. Raises BadFault when too many stand."""
        now_us = self.clock()
        standing = self.faults.add(fault, now_us)
        if fault.kind in (FaultKind.CUT, FaultKind.SHUTDOWN):
            struck = self._struck(standing)
            standing.hits["connections"] = len(struck)
            for member in struck:
                if fault.kind is FaultKind.CUT:
                    member.abort()
                else:
                    member.say_shutdown(now_us)
        self._end_faults(now_us)
        return standing

    def list_symbol(self, change: ListingChange) -> Instrument:
        """Change what is listed now. Raises BadListing."""
        return self.listings.change(change, self.clock())

    def clear_faults(self) -> None:
        """Take all faults down."""
        self.faults.clear()
        self._release(self.clock())

    def tick(self, now_us: int) -> float:
        """Say what is due, write it out. Returns the seconds until the next call."""
        sleep_s = self.broadcast.run(now_us)
        touched = self.broadcast.delivery.touched
        for member in {*touched, *self.late} if self.late else touched:
            member.flush(now_us)
        touched.clear()
        if now_us - self._cared_us >= CARE_US:
            self._cared_us = now_us
            self._end_faults(now_us)
            for member in list(self.members):
                member.care(now_us)
            self._end_lives(now_us)
        return sleep_s

    def state(self) -> dict[str, Any]:
        """Count everything, for `/sim/state`."""
        return {
            "simulated": True,
            "now_us": self.clock(),
            "seed": self.market.options.seed,
            "rate": self.market.options.rate,
            "genesis_ms": self.market.options.genesis_ms,
            "open_connections": len(self.members),
            "sent": dict(self.broadcast.delivery.sent),
            "counted": dict(self.counted),
            "most_messages": dict(self.most_messages),
            "faults": self.faults.described(),
        }

    def _struck(self, standing: Standing) -> list[Member]:
        """Choose the connections that a fault strikes: of those that were there when it was given."""
        return [
            member
            for member in self.members
            if member.opened_us <= standing.since_us
            and member.concerned(standing)
            and standing.strikes_always(member.serial)
        ]

    def _end_faults(self, now_us: int) -> None:
        over = self.faults.expire(now_us)
        for standing in over:
            if standing.fault.kind is FaultKind.SHUTDOWN:
                for member in self._struck(standing):
                    member.close(1001, "the server is going down")
        if over:
            self._release(now_us)

    def _release(self, now_us: int) -> None:
        """Let go what faults have held back, lest what comes now overtakes it."""
        for member in list(self.members):
            member.release(now_us)

    def _end_lives(self, now_us: int) -> None:
        for standing in self.faults.of(FaultKind.MAX_LIFE):
            oldest_us = now_us - int(standing.fault.life_seconds * 1e6)
            for member in list(self.members):
                if (
                    member.close_code is None
                    and member.opened_us <= oldest_us
                    and member.concerned(standing)
                    and standing.strikes_always(member.serial)
                ):
                    standing.hits["connections"] += 1
                    member.close(1008, "the connection is too old")
