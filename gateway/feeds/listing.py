"""What a venue lists, followed by a worker for as long as it runs.

The rules of this file:
- Every worker asks once, when it starts. Then shard 0 alone asks, every `interval_s` and a little sooner or
  later, while the venue has weight to spare; it announces what it finds, and all others follow that.
- What is traded for the first time is registered: all of it, or, where nothing is carried on demand, what is
  in the base set. What a venue lists without trading it (yet, or any more) is given no id.
- What was traded and is not now, or is not even listed, is inactive. It keeps its id, and is active again
  under the same one when it is traded again.
- Where most of a market halts at once the venue pauses, and a venue that lists nothing at all is confused:
  neither is followed, so that everybody still listens when it goes on. What is not listed any more is gone.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

import msgspec
import structlog

from gateway.exchanges.venue import Venue
from gateway.feeds.errors import VenueError
from gateway.feeds.hub import now_us
from processors.bus import BusError
from protocol.symbols import Instrument, SymbolTable, shard_of, state_of, with_state

ALL: Final = "all"
JITTER: Final = 0.2
RETRY_S: Final = 5.0
SPARE_WAIT_S: Final = 5.0
FEW: Final = 10
"""So many may stop at once in a small market, too."""

log = structlog.get_logger()


class ListingSource(Protocol):
    """The venue's REST."""

    @property
    def has_spare(self) -> bool: ...

    async def exchange_info(self) -> list[Instrument]: ...


class SymbolRegistry(Protocol):
    """Where symbols get their ids."""

    @property
    def table(self) -> SymbolTable: ...

    async def refresh(self) -> list[Instrument]: ...

    async def register(self, instruments: Sequence[Instrument]) -> list[Instrument]: ...

    async def announce(self, venue: str, instruments: Collection[Instrument], now_ms: int) -> None: ...

    async def follow(self, on_changed: Callable[[], None]) -> None: ...


class BaseSet:
    """The symbols that are carried in any case, of all venues."""

    def __init__(self, names: Collection[str], venues: int) -> None:
        """`names` may be short or full, or `all`."""
        self.is_all = ALL in names
        self._names = frozenset(names)
        self._venues = venues
        self._unlisted = set(names) - {ALL}

    def __contains__(self, one: Instrument) -> bool:
        return self.is_all or one.symbol in self._names or one.name in self._names

    def on_first_listing(self, venue: str, listed: Collection[Instrument]) -> None:
        """After the last venue, say what none of them lists."""
        self._unlisted -= {one.symbol for one in listed} | {one.name for one in listed}
        self._venues -= 1
        if self._unlisted and not self._venues:
            log.warning("feed.not_listed", symbols=sorted(self._unlisted), last_venue=venue)


class Listing:
    """One venue's, for one worker."""

    def __init__(
        self,
        venue: Venue,
        source: ListingSource,
        registry: SymbolRegistry,
        base: BaseSet,
        shard: int = 0,
        shards: int = 1,
        *,
        on_demand: bool = True,
        interval_s: float,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._venue = venue.name
        self._source = source
        self._registry = registry
        self._base = base
        self._shard = shard
        self._shards = shards
        self._on_demand = on_demand
        self._interval_s = interval_s
        self._jitter = jitter
        self._changed = asyncio.Event()

    async def begin(self) -> list[Instrument]:
        """Ask what is listed, for as long as it takes; return this worker's own symbols. Raises BusError."""
        await self._registry.follow(self._changed.set)
        while True:
            try:
                listed = await self._source.exchange_info()
                break
            except VenueError as error:
                log.warning("feed.venue_unreachable", venue=self._venue, error=str(error), retry_s=RETRY_S)
                await asyncio.sleep(RETRY_S)
        self._base.on_first_listing(self._venue, listed)
        await self._take_in(listed)
        return self.own()

    def own(self) -> list[Instrument]:
        """Return what this worker may carry, with how it is now."""
        return [one for one in self._registered() if self._is_own(one)]

    def base(self) -> list[str]:
        """Return the natives of the base set."""
        return [one.native for one in self._registered() if one in self._base]

    async def run(self, on_listed: Callable[[], None]) -> None:
        """Follow what is listed, and call this when it has changed. Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            if self._shard == 0:
                tasks.create_task(self._ask_again())
            while True:
                await self._changed.wait()
                self._changed.clear()
                try:
                    await self._registry.refresh()
                except BusError as error:
                    log.warning("feed.listing_not_read", venue=self._venue, error=str(error))
                    await asyncio.sleep(RETRY_S)
                    self._changed.set()
                on_listed()

    async def _ask_again(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s * (1 + JITTER * (self._jitter() - 0.5)))
            while not self._source.has_spare:  # noqa: ASYNC110  # time gives it back, nobody says when
                await asyncio.sleep(SPARE_WAIT_S)
            try:
                await self._take_in(await self._source.exchange_info())
            except (VenueError, BusError) as error:  # what is carried goes on; the next time will do
                log.warning("feed.listing_not_asked", venue=self._venue, error=str(error))

    async def _take_in(self, listed: list[Instrument]) -> None:
        traded = [one for one in listed if one.is_active and (self._on_demand or one in self._base)]
        # Its own first, that workers which start together share the work.
        await self._registry.register(sorted(traded, key=self._is_own, reverse=True))
        if self._shard == 0:
            known = self._registered()
            now_ms = now_us() // 1_000
            states = plan_states(known, {one.native: one for one in listed}, now_ms)
            self._tell(known, states)
            await self._registry.announce(self._venue, states, now_ms)

    def _registered(self) -> list[Instrument]:
        return [one for one in self._registry.table if one.venue == self._venue]

    def _is_own(self, instrument: Instrument) -> bool:
        return shard_of(self._venue, instrument.native, self._shards) == self._shard

    def _tell(self, before: list[Instrument], after: list[Instrument]) -> None:
        pairs = list(zip(before, after, strict=True))
        ended = [now.symbol for was, now in pairs if was.is_active and not now.is_active]
        back = [now.symbol for was, now in pairs if now.is_active and not was.is_active]
        if ended or back:
            log.info("feed.listing_changed", venue=self._venue, ended=ended, back=back)


def plan_states(
    known: Sequence[Instrument], listed: Mapping[str, Instrument], now_ms: int
) -> list[Instrument]:
    """Say how registered symbols are, by what the venue lists now. In the same order."""
    active = [one for one in known if one.is_active]
    halted = {one.native for one in active if one.native in listed and not listed[one.native].is_active}
    kept: set[str] = set()
    if len(halted) > FEW and len(halted) > len(active) // 2:
        log.warning("feed.market_pauses", stopped=len(halted), of=len(active))
        kept = halted
    elif not listed and len(active) > FEW:
        log.warning("feed.lists_nothing", of=len(active))
        kept = {one.native for one in active}
    return [one if one.native in kept else _as_listed(one, listed.get(one.native), now_ms) for one in known]


def _as_listed(known: Instrument, listed: Instrument | None, now_ms: int) -> Instrument:
    is_active = listed is not None and listed.is_active
    ended_ms = 0 if is_active else known.ended_ms or now_ms
    if listed is None:
        return msgspec.structs.replace(known, is_active=False, ended_ms=ended_ms)
    return with_state(known, state_of(msgspec.structs.replace(listed, ended_ms=ended_ms)))
