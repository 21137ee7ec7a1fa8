"""What a feed worker hears of who wants which symbols: on `control.symbols`, and in Redis.

Every node that speaks is handed on. The watchlists in Redis count as one node more, which speaks whenever
they could be read; while Redis is down it is silent, like any other.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from gateway.cache.watchlists import WatchlistReader
from processors.bus import Bus, BusError
from protocol import subjects
from protocol.demand import EVERY_S, Demand, Question, format_demand, parse_demand
from protocol.errors import ProtocolError
from protocol.symbols import Instrument, full_name

REDIS: Final = "redis"

log = structlog.get_logger()


class DemandListener:
    """One worker's ear."""

    def __init__(
        self, bus: Bus, on_demand: Callable[[Demand], None], watchlists: WatchlistReader | None = None
    ) -> None:
        """Without `watchlists` there are none in Redis."""
        self._bus = bus
        self._on_demand = on_demand
        self._watchlists = watchlists
        self._listed: dict[str, Instrument] = {}
        """By full name, as watchlists name them."""
        self._names: frozenset[str] | None = None
        """What was on the watchlists when they were last read."""

    async def start(self) -> None:
        """Listen, and ask everybody what they want."""
        await self._bus.subscribe(subjects.CONTROL_SYMBOLS, self._on_message)
        try:
            await self._bus.publish(subjects.CONTROL_SYMBOLS, format_demand(Question()))
        except BusError as error:  # they say it every few seconds anyway
            log.warning("demand.not_asked", error=str(error))

    def know(self, instruments: Iterable[Instrument]) -> None:
        """Understand these names in watchlists; others are nobody's, or another worker's."""
        self._listed |= {full_name(one.name): one for one in instruments}
        self._speak_for_redis()

    async def run(self) -> None:
        """Read the watchlists every few seconds. Until cancelled."""
        while self._watchlists is not None:
            self._names = await self._watchlists.read()
            self._speak_for_redis()
            await asyncio.sleep(EVERY_S)

    def _speak_for_redis(self) -> None:
        if self._names is None:
            return
        wants: dict[str, list[str]] = defaultdict(list)
        for name in self._names:
            if instrument := self._listed.get(full_name(name)):
                wants[instrument.venue].append(instrument.native)
        self._on_demand(Demand(REDIS, wants))

    def _on_message(self, _subject: str, payload: bytes) -> None:
        try:
            message = parse_demand(payload)
        except ProtocolError as error:
            log.warning("demand.unreadable", error=str(error))
            return
        if isinstance(message, Demand):
            self._on_demand(message)
