"""All connections to one venue, for the symbols that are wanted.

    async with ConnectionPool(venue, kinds=("aggTrade", "bookTicker"), on_turn=take) as pool:
        pool.want({"BTCUSDT", "ETHUSDT"})

`on_turn` is called from the socket's callback, with no queue and no await in between, so it must
be quick: with all that came together, by symbol. What it raises ends the pool and comes out of the
`async with`, as a group. A symbol's events come in the order of each connection, and twice while two
connections carry the same stream: during a
replacement, and all the time with `redundancy=2`. Ids tell. `on_boundary` hears of every end,
replacement and silence of a connection.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Iterable, Iterator
from types import TracebackType
from typing import Final, Self

from gateway.exchanges.venue import Venue
from gateway.feeds.boundary import Boundary
from gateway.feeds.budget import Budget
from gateway.feeds.connections.arrivals import Arrivals
from gateway.feeds.connections.bad_payloads import BadPayloads
from gateway.feeds.connections.connection import ConnectionState, Patience
from gateway.feeds.connections.line import Line, OnBoundary
from gateway.feeds.connections.plan import Plan, Slot, plan_streams
from gateway.feeds.connections.turn import OnTurn

PATIENCE: Final = Patience()
LETTERS: Final = {1: ("",), 2: ("a", "b")}
"""By redundancy: how the lines of a slot are told apart."""


def _ignore(boundary: Boundary) -> None:
    """Take a boundary that nobody asked for."""


class ConnectionPool:
    def __init__(
        self,
        venue: Venue,
        kinds: Iterable[str],
        on_turn: OnTurn,
        *,
        on_boundary: OnBoundary = _ignore,
        redundancy: int = 1,
        attempts_share: float = 1.0,
        patience: Patience = PATIENCE,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Open with `async with`.

        `redundancy` 2 carries every stream on two connections all the time. `attempts_share` is this
        process's part of the connection attempts that the venue allows an address.
        """
        self._kinds = tuple(dict.fromkeys(kinds))
        if unknown := set(self._kinds) - venue.categories.keys():
            raise ValueError(f"{venue.name} has no streams of kind {', '.join(sorted(unknown))}")
        self.bad_payloads = BadPayloads()
        self._venue = venue
        self._on_turn = on_turn
        self._on_boundary = on_boundary
        self._letters = LETTERS[redundancy]
        self._attempts = Budget(int(venue.limits.attempts_per_5_min * attempts_share), 300_000)
        self._patience = patience
        self._jitter = jitter
        self._tasks = asyncio.TaskGroup()
        self._is_open = False
        self._natives: frozenset[str] = frozenset()
        self._plan: Plan = {}
        self._running: dict[Slot, list[tuple[Line, asyncio.Task[None]]]] = {}

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._is_open = True
        self._follow_plan()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        for _, task in self._lines():
            task.cancel()
        await self._tasks.__aexit__(kind, error, trace)

    def want(self, natives: Collection[str]) -> None:
        """Carry these symbols from now on. Those that stay are not touched."""
        self._natives = frozenset(natives)
        if self._is_open:
            self._follow_plan()

    def rotate(self) -> None:
        """Replace every connection now, make-before-break."""
        for line, _ in self._lines():
            line.rotate()

    def state(self) -> list[ConnectionState]:
        """Describe every line: one a slot of the plan, or two."""
        return [line.state() for line, _ in self._lines()]

    def _lines(self) -> Iterator[tuple[Line, asyncio.Task[None]]]:
        for lines in self._running.values():
            yield from lines

    def _follow_plan(self) -> None:
        most = self._venue.limits.streams_per_connection
        before, self._plan = self._plan, plan_streams(self._plan, self._natives, self._kinds, most)
        for slot in before.keys() - self._plan.keys():
            for _, task in self._running.pop(slot):
                task.cancel()
        for slot, natives in self._plan.items():
            if slot not in before:
                self._start(slot)
            if natives != before.get(slot):
                for line, _ in self._running[slot]:
                    line.want(natives)

    def _start(self, slot: Slot) -> None:
        arrivals = Arrivals() if len(self._letters) > 1 else None
        self._running[slot] = []
        for letter in self._letters:
            line = Line(
                self._venue,
                slot,
                letter,
                self._on_turn,
                self._on_boundary,
                self.bad_payloads,
                self._attempts,
                arrivals,
                self._jitter,
                self._patience,
            )
            task = self._tasks.create_task(line.run(), name=f"{self._venue.name} {line.name}")
            self._running[slot].append((line, task))
