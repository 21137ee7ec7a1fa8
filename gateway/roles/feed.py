"""One feed worker: its shard of the symbols, from the exchange's sockets to the bus.

For every venue: ask REST what is listed and give it ids, then carry what is wanted of this shard on
a connection pool whose events go through the hub, which repairs, into a price processor. Nothing raw
leaves this process.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from importlib.metadata import version
from typing import Final, TypeVar

import structlog

from gateway.cache import WatchlistReader
from gateway.config.load import Settings
from gateway.exchanges.venue import VENUES, Venue
from gateway.feeds.carried import CarriedSymbols, HearingClock, Wishes
from gateway.feeds.connections.pool import ConnectionPool
from gateway.feeds.day_tickers import DayTickers
from gateway.feeds.dynamic_symbols import GRACE_MS, DynamicSymbols
from gateway.feeds.hub import Hub, now_us
from gateway.feeds.report import FeedReport
from gateway.feeds.rest import Rest, VenueError
from gateway.feeds.trades.lane import HOLD_BACK_TRADES
from gateway.feeds.trades.last_ids import LastIdsKeeper
from gateway.feeds.trades.requests import TradeRequests
from gateway.ledger import LedgerWriter, open_ledger
from gateway.registry import Registry
from gateway.roles.bus import bus_address, bus_name, bus_needed
from gateway.wanted import DemandListener
from processors.bus import Bus, BusError, Endpoint, SlowEndpoint, connect
from processors.price import PriceProcessor
from processors.shell import PriceShell
from protocol.demand import Demand
from protocol.symbols import Instrument, shard_of

RETRY_S: Final = 5.0
ALL: Final = "all"
Answer = TypeVar("Answer")

log = structlog.get_logger()


async def run(
    settings: Settings, shard: int, shards: int, stop: asyncio.Event, *, grace_ms: int = GRACE_MS
) -> None:
    """Feed one shard of every venue until `stop` is set; then publish what waits and leave.

    A symbol that nobody wants any more is kept for `grace_ms`.
    """
    with bus_needed():
        async with (
            connect(bus_address(settings), bus_name(settings, f"feed-{shard}"), stop) as bus,
            _open_watchlists(settings) as watchlists,
        ):
            await _Worker(settings, shard, shards, bus, watchlists, grace_ms).run(stop)
    log.info("feed.stopped", shard=shard)


@contextlib.asynccontextmanager
async def _open_watchlists(settings: Settings) -> AsyncIterator[WatchlistReader | None]:
    """Open the watchlists in Redis, if there is one and what is on them is to be carried."""
    redis = settings.cache.redis
    if not redis.addr or not settings.exchange.on_demand:
        yield None
        return
    async with WatchlistReader(redis.addr, redis.password.get_secret_value(), redis.db) as reader:
        yield reader


def venues(settings: Settings) -> list[Venue]:
    """The wanted venues, at the addresses that the settings name."""
    exchange = settings.exchange
    endpoints = {
        "binance": (exchange.ws_endpoint, exchange.rest_endpoint),
        "binance-usdm": (exchange.usdm_ws_endpoint, exchange.usdm_rest_endpoint),
        "binance-coinm": (exchange.coinm_ws_endpoint, exchange.coinm_rest_endpoint),
    }
    return [VENUES[name].with_endpoints(*endpoints[name]) for name in exchange.venues]


class Listings:
    """What the venues list, and which of the wanted symbols none of them does."""

    def __init__(self, wanted: Sequence[str], venues: int) -> None:
        self._wanted = wanted
        self._venues = venues
        self._unlisted = set(wanted) - {ALL}

    def choose(self, venue: Venue, listed: list[Instrument]) -> list[Instrument]:
        """Return the wanted ones; after the last venue, say what nobody lists."""
        self._unlisted -= {one.symbol for one in listed} | {one.name for one in listed}
        self._venues -= 1
        if self._unlisted and not self._venues:
            log.warning("feed.not_listed", symbols=sorted(self._unlisted), last_venue=venue.name)
        if ALL in self._wanted:
            return listed
        return [one for one in listed if one.symbol in self._wanted or one.name in self._wanted]


class _Worker:
    """One shard of every venue."""

    def __init__(
        self,
        settings: Settings,
        shard: int,
        shards: int,
        bus: Bus,
        watchlists: WatchlistReader | None,
        grace_ms: int,
    ) -> None:
        self._settings = settings
        self._shard = shard
        self._shards = shards
        self._bus = bus
        self._ledger = LedgerWriter(bus)
        self._venues = venues(settings)
        self._listings = Listings(settings.exchange.symbols, len(self._venues))
        clock = HearingClock(lambda: bus.is_connected)
        self._wishes = {
            venue.name: Wishes(DynamicSymbols(grace_ms=grace_ms), clock) for venue in self._venues
        }
        self._listener = DemandListener(bus, self._on_demand, watchlists)

    async def run(self, stop: asyncio.Event) -> None:
        await open_ledger(self._bus)
        if self._settings.exchange.on_demand:
            await self._listener.start()
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(self._listener.run())
            writing = tasks.create_task(self._ledger.run())
            feeds = [tasks.create_task(self._feed(venue)) for venue in self._venues]
            await stop.wait()
            listening.cancel()
            for feed in feeds:
                feed.cancel()
            await asyncio.wait(feeds)
            writing.cancel()
            await self._ledger.drain()

    def _on_demand(self, demand: Demand) -> None:
        for venue, wishes in self._wishes.items():
            wishes.on_demand(demand.node, demand.wants.get(venue, ()))

    async def _feed(self, venue: Venue) -> None:
        """Feed one venue until cancelled."""
        share, exchange = 1 / self._shards, self._settings.exchange
        async with Rest(venue) as rest:
            wishes = self._wishes[venue.name]
            listed = await self._list(venue, rest, wishes)
            shell = self._shell(venue)
            # Half of the queue, so that what is released at once finds room in it.
            hold_back = min(HOLD_BACK_TRADES, self._settings.processor.queue // 2)
            hub = Hub(venue, shell, rest, self._ledger.note, hold_back_trades=hold_back, weight_share=share)
            requests = TradeRequests(shell.processor, rest, hub.last_id)
            for instrument in listed:
                requests.add_symbol(instrument.native)
            tickers = DayTickers(venue, rest, lambda day: shell.on_event(day, now_us()), share=share)
            pool = ConnectionPool(
                venue,
                kinds=exchange.streams,
                on_event=hub.on_event,
                on_boundary=hub.on_boundary,
                redundancy=exchange.redundancy,
                attempts_share=share,
            )
            report = FeedReport(shell.processor, pool, hub, self._ledger.note)
            keeper = LastIdsKeeper(self._bus, venue.name, self._shard)
            carried = CarriedSymbols(
                wishes,
                listed,
                await keeper.read(),
                processor=shell.processor,
                hub=hub,
                tickers=tickers,
                pool=pool,
            )
            carried.start()
            try:
                async with asyncio.TaskGroup() as tasks, pool:
                    endpoints = [shell.endpoint(), report.endpoint()]
                    await self._answer(venue, len(listed), endpoints, requests.endpoint(), tasks)
                    keeping = keeper.run(carried.safe_ids, shell)
                    for work in (shell.run(), hub.run(), report.run(), keeping, carried.run(), tickers.run()):
                        tasks.create_task(work)
                    await asyncio.Event().wait()  # until cancelled
            finally:
                await shell.drain()
                await _keep_last_ids(keeper, carried)

    async def _answer(
        self, venue: Venue, listed: int, quick: list[Endpoint], slow: SlowEndpoint, tasks: asyncio.TaskGroup
    ) -> None:
        """Answer requests on the bus, in tasks of the group where that takes a while."""
        name, what = "tickgate-feed", "one shard of a venue's prices"
        about = {"venue": venue.name, "shard": f"{self._shard}/{self._shards}", "listed": str(listed)}
        await self._bus.serve(name, version("tickgate"), what, quick, about, slow=[slow], tasks=tasks)
        log.info("feed.started", **about)

    def _shell(self, venue: Venue) -> PriceShell:
        wanted = self._settings.processor
        processor = PriceProcessor(
            venue.name,
            self._shard,
            epoch_us=now_us(),
            max_batch=wanted.batch_messages,
            max_waiting_trades=wanted.queue,
        )
        return PriceShell(processor, self._bus, wanted.batch_ms)

    async def _list(self, venue: Venue, rest: Rest, wishes: Wishes) -> list[Instrument]:
        """Return what this worker may carry, registered; what it carries in any case is wished for."""
        listed = await _insist(rest.exchange_info, venue)
        base = self._listings.choose(venue, listed)
        wishes.begin(one.native for one in base)

        def is_own(instrument: Instrument) -> bool:
            return shard_of(venue.name, instrument.native, self._shards) == self._shard

        # Every worker registers all, that clients may ask for any; its own first, that they share the work.
        may_carry = sorted(listed if self._settings.exchange.on_demand else base, key=is_own, reverse=True)
        registry = Registry(self._bus)
        await registry.open()
        own = [one for one in await registry.register(may_carry) if is_own(one)]
        self._listener.know(own)
        return own


async def _keep_last_ids(keeper: LastIdsKeeper, carried: CarriedSymbols) -> None:
    """Leave a successor the ids as they are now: everything up to them has been sent."""
    try:
        if ids := carried.safe_ids():
            await keeper.write(ids, now_us())
    except BusError as error:
        log.warning("feed.last_ids_not_written", error=str(error))


async def _insist(ask: Callable[[], Awaitable[Answer]], venue: Venue) -> Answer:
    """Ask the venue for as long as it takes."""
    while True:
        try:
            return await ask()
        except VenueError as error:
            log.warning("feed.venue_unreachable", venue=venue.name, error=str(error), retry_s=RETRY_S)
            await asyncio.sleep(RETRY_S)
