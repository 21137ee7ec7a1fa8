"""Says on `control.symbols` what this program watches, so that somebody carries it: see protocol/demand.py.

At once when it changes, every few seconds, when a feed worker asks, and when the bus is back.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from nats.aio.msg import Msg

from clients.bus.connection import Bus
from protocol import subjects
from protocol.demand import EVERY_S, Demand, Question, format_demand, parse_demand
from protocol.errors import BadMessage
from protocol.symbols import Instrument

LONGEST_QUESTION: Final = 256
"""Anything longer on the subject is another node's demand."""


class Wanted:
    """The demand of one program."""

    def __init__(self, bus: Bus, node: str) -> None:
        """`node` is a name of its own."""
        self._bus = bus
        self._node = node
        self._watched: Counter[tuple[str, str]] = Counter()
        """Venue and native symbol, and how many lanes watch it."""
        self._wake = asyncio.Event()
        self._is_heard = False
        """Whether what was said last wants something."""

    @contextmanager
    def watching(self, instruments: Iterable[Instrument]) -> Iterator[None]:
        """Want some symbols meanwhile."""
        wanted = [(one.venue, one.native) for one in instruments]
        self._watched.update(wanted)
        self._wake.set()
        try:
            yield
        finally:
            self._watched -= Counter(wanted)
            self._wake.set()

    async def run(self) -> None:
        """Say it whenever there is reason to. Until cancelled."""
        self._bus.listeners.append(lambda _: self._wake.set())
        async with self._bus.subscribed([subjects.CONTROL_SYMBOLS], self._on_message):
            while True:
                self._wake.clear()
                if self._watched or self._is_heard:
                    await self._say()
                with suppress(TimeoutError):
                    async with asyncio.timeout(EVERY_S):
                        await self._wake.wait()

    async def _say(self) -> None:
        self._is_heard = bool(self._watched)
        wants: dict[str, list[str]] = defaultdict(list)
        for venue, native in sorted(self._watched):
            wants[venue].append(native)
        await self._bus.publish(subjects.CONTROL_SYMBOLS, format_demand(Demand(self._node, wants)))

    def _on_message(self, message: Msg) -> None:
        if len(message.data) <= LONGEST_QUESTION:
            with suppress(BadMessage):
                if isinstance(parse_demand(message.data), Question):
                    self._wake.set()
