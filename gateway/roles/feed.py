"""One feed worker: its shard of the symbols, from the exchange's sockets to the bus.

For every venue: ask REST what is listed and give it ids, follow that from then on, and carry what is wanted
of this shard on a connection pool whose events go through the hub, which repairs, into a price processor.
Nothing raw leaves this process.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from importlib.metadata import version

import structlog

from gateway.cache.cache import Cache
from gateway.cache.watchlists import WatchlistReader
from gateway.config.load import Settings
from gateway.exchanges.venue import VENUES, Venue
from gateway.feeds.cached_prices import CachedPrices
from gateway.feeds.carried import CarriedSymbols, HearingClock, Wishes
from gateway.feeds.connections.pool import ConnectionPool
from gateway.feeds.day_tickers import DayTickers
from gateway.feeds.dynamic_symbols import GRACE_MS, DynamicSymbols
from gateway.feeds.hub import Hub, now_us
from gateway.feeds.listing import BaseSet, Listing
from gateway.feeds.report import FeedReport
from gateway.feeds.rest import Rest
from gateway.feeds.trades.lane import HOLD_BACK_TRADES
from gateway.feeds.trades.last_ids import LastIdsKeeper
from gateway.feeds.trades.requests import TradeRequests
from gateway.ledger import LedgerWriter, open_ledger
from gateway.registry import Registry
from gateway.roles.bus import bus_address, bus_name, bus_needed
from gateway.roles.redis import open_redis
from gateway.wanted import DemandListener
from processors.bus import Bus, BusError, Endpoint, SlowEndpoint, connect
from processors.price import PriceProcessor
from processors.shell import PriceShell
from protocol.demand import Demand
from protocol.symbols import Instrument

log = structlog.get_logger()


async def run(
    settings: Settings,
    shard: int,
    shards: int,
    stop: asyncio.Event,
    *,
    grace_ms: int = GRACE_MS,
) -> None:
    """Feed one shard of every venue until `stop` is set; then publish what waits and leave.

    A symbol that nobody wants any more is kept for `grace_ms`.
    """
    with bus_needed():
        async with (
            connect(bus_address(settings), bus_name(settings, f"feed-{shard}"), stop) as bus,
            _open_watchlists(settings) as watchlists,
            open_redis(settings) as redis,
        ):
            worker = _Worker(settings, shard, shards, bus, watchlists, redis, grace_ms)
            await worker.run(stop)
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


class _Worker:
    """One shard of every venue."""

    def __init__(
        self,
        settings: Settings,
        shard: int,
        shards: int,
        bus: Bus,
        watchlists: WatchlistReader | None,
        redis: Cache | None,
        grace_ms: int,
    ) -> None:
        self._settings = settings
        self._shard = shard
        self._shards = shards
        self._bus = bus
        self._redis = redis
        self._ledger = LedgerWriter(bus)
        self._venues = venues(settings)
        self._base = BaseSet(settings.exchange.symbols, len(self._venues))
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
            wishes, listing = self._wishes[venue.name], await self._listing(venue, rest)
            listed = await listing.begin()
            wishes.begin(listing.base())
            self._listener.know(listed)
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
                on_turn=hub.on_turn,
                on_boundary=hub.on_boundary,
                redundancy=exchange.redundancy,
                attempts_share=share,
            )
            prices = self._prices(shell.processor, listed)
            report = FeedReport(shell.processor, pool, hub, self._ledger.note, prices)
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

            def on_listed() -> None:
                own = listing.own()
                self._listener.know(own)
                for instrument in own:
                    requests.add_symbol(instrument.native)
                wishes.begin(listing.base())
                carried.know(own)
                if prices is not None:
                    prices.know(own)

            try:
                async with asyncio.TaskGroup() as tasks, pool:
                    endpoints = [shell.endpoint(), report.endpoint()]
                    await self._answer(venue, len(listed), endpoints, requests.endpoint(), tasks)
                    keeping = keeper.run(carried.safe_ids, shell)
                    following = listing.run(on_listed)
                    works = (shell.run(), hub.run(), report.run(), keeping, carried.run(), tickers.run())
                    for work in (*works, following):
                        tasks.create_task(work)
                    if prices is not None:
                        tasks.create_task(prices.run())
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

    def _prices(self, processor: PriceProcessor, listed: list[Instrument]) -> CachedPrices | None:
        """Return what keeps the prices in Redis; None if there is no Redis."""
        if self._redis is None:
            return None
        wanted = self._settings.cache.redis
        prices = CachedPrices(
            self._redis, processor, wanted.price_stream_length if wanted.price_stream else None
        )
        prices.know(listed)
        return prices

    async def _listing(self, venue: Venue, rest: Rest) -> Listing:
        """Open what this worker knows of a venue's listing."""
        registry = Registry(self._bus)
        await registry.open()
        return Listing(
            venue,
            rest,
            registry,
            self._base,
            self._shard,
            self._shards,
            on_demand=self._settings.exchange.on_demand,
            interval_s=self._settings.exchange.listing_interval_s,
        )


async def _keep_last_ids(keeper: LastIdsKeeper, carried: CarriedSymbols) -> None:
    """Leave a successor the ids as they are now: everything up to them has been sent."""
    try:
        if ids := carried.safe_ids():
            await keeper.write(ids, now_us())
    except BusError as error:
        log.warning("feed.last_ids_not_written", error=str(error))
