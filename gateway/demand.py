"""Says on `control.symbols` what the clients of this gateway watch, so that feed workers carry it.

At once when it changes: what changes within `DEBOUNCE_S` is said together, and where there are so many
clients that looking at all of them takes long, less often. Besides that every few seconds, when a worker
asks, and when the bus is back.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from processors.bus import Bus, BusError
from protocol import subjects
from protocol.demand import EVERY_S, Demand, Question, format_demand, parse_demand
from protocol.errors import ProtocolError
from protocol.symbols import SymbolTable

DEBOUNCE_S: Final = 0.05
LOOKING_SHARE: Final = 0.05
"""How much of the time looking may take."""
LONGEST_QUESTION: Final = 256
"""Anything longer on the subject is another node's demand."""

log = structlog.get_logger()


class DemandPublisher:
    """One gateway's voice."""

    def __init__(
        self, bus: Bus, node: str, symbols: SymbolTable, watched: Callable[[], Iterable[set[int]]]
    ) -> None:
        """`node` is this gateway's own name; `watched` returns the symbol ids of every client."""
        self._bus = bus
        self._node = node
        self._symbols = symbols
        self._watched = watched
        self._said: set[int] | None = None
        """What was said last; None: it is to be said again in any case."""
        self._wake = asyncio.Event()

    async def start(self) -> None:
        """Listen for workers that ask."""
        await self._bus.subscribe(subjects.CONTROL_SYMBOLS, self._on_message)
        self._bus.on_reconnect(self._say_again)

    def on_watched(self) -> None:
        """React to a client that watches more, or less, than before."""
        self._wake.set()

    async def run(self) -> None:
        """Say what is watched whenever there is reason to. Until cancelled."""
        while True:
            pause_s = await self._say()
            await asyncio.sleep(pause_s)
            try:
                async with asyncio.timeout(EVERY_S - pause_s):
                    await self._wake.wait()
            except TimeoutError:
                self._said = None

    async def leave(self) -> None:
        """Say that nobody is left here."""
        await self._publish(set())

    async def _say(self) -> float:
        """Say what is watched if it has changed; return for how long to rest."""
        self._wake.clear()
        began_s = time.perf_counter()
        ids: set[int] = set().union(*self._watched())
        if ids != self._said:
            self._said = ids
            await self._publish(ids)
        took_s = time.perf_counter() - began_s
        return min(max(DEBOUNCE_S, took_s / LOOKING_SHARE), EVERY_S / 2)

    async def _publish(self, ids: set[int]) -> None:
        wants: dict[str, list[str]] = defaultdict(list)
        for symbol_id in sorted(ids):
            if instrument := self._symbols.by_id(symbol_id):
                wants[instrument.venue].append(instrument.native)
        try:
            await self._bus.publish(subjects.CONTROL_SYMBOLS, format_demand(Demand(self._node, wants)))
        except BusError as error:
            log.warning("demand.not_said", error=str(error))

    def _on_message(self, _subject: str, payload: bytes) -> None:
        if len(payload) > LONGEST_QUESTION:
            return
        try:
            if isinstance(parse_demand(payload), Question):
                self._say_again()
        except ProtocolError as error:
            log.warning("demand.unreadable", error=str(error))

    def _say_again(self) -> None:
        self._said = None
        self._wake.set()
