"""One feed worker: its shard of the symbols, from the exchange's sockets to the bus.

For every venue: ask REST what is listed, keep the symbols of this shard that are wanted, give
them ids, then run a connection pool whose events go through the hub, which repairs, into a price
processor. Nothing raw leaves this process.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version
from typing import Final, TypeVar

import structlog

from gateway.config.load import Settings
from gateway.exchanges.venue import VENUES, Venue
from gateway.feeds.connections.pool import ConnectionPool
from gateway.feeds.hub import Hub, now_us
from gateway.feeds.report import FeedReport
from gateway.feeds.rest import Rest, VenueError
from gateway.feeds.trades.lane import HOLD_BACK_TRADES
from gateway.feeds.trades.last_ids import LastIdsKeeper
from gateway.feeds.trades.requests import TradeRequests
from gateway.ledger import LedgerWriter, open_ledger
from gateway.registry import Registry
from gateway.roles.bus import bus_address, bus_name, bus_needed
from processors.bus import Bus, BusError, connect
from processors.price import PriceProcessor
from processors.shell import PriceShell
from processors.tape import CAPACITY
from protocol.market import DayTicker
from protocol.symbols import Instrument, shard_of

RETRY_S: Final = 5.0
ALL: Final = "all"
KEPT_TRADES: Final = 500_000
"""Of all symbols of a venue in one worker, for readers who missed some: about 120 MB at most."""
Answer = TypeVar("Answer")

log = structlog.get_logger()


async def run(settings: Settings, shard: int, shards: int, stop: asyncio.Event) -> None:
    """Feed one shard of every venue until `stop` is set; then publish what waits and leave."""
    with bus_needed():
        await _run(settings, shard, shards, stop)
    log.info("feed.stopped", shard=shard)


async def _run(settings: Settings, shard: int, shards: int, stop: asyncio.Event) -> None:
    listings = Listings(settings.exchange.symbols, len(settings.exchange.venues))
    async with (
        connect(bus_address(settings), bus_name(settings, f"feed-{shard}"), stop) as bus,
        asyncio.TaskGroup() as tasks,
    ):
        await open_ledger(bus)
        ledger = LedgerWriter(bus)
        writing = tasks.create_task(ledger.run())
        feeds = [
            tasks.create_task(_feed_venue(settings, venue, listings, bus, ledger, shard, shards))
            for venue in venues(settings)
        ]
        await stop.wait()
        for feed in feeds:
            feed.cancel()
        await asyncio.wait(feeds)
        writing.cancel()
        await ledger.drain()


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


async def _feed_venue(
    settings: Settings,
    venue: Venue,
    listings: Listings,
    bus: Bus,
    ledger: LedgerWriter,
    shard: int,
    shards: int,
) -> None:
    async with Rest(venue) as rest:
        instruments, tickers = await _prepare(venue, listings, rest, bus, shard, shards)
        queue = settings.processor.queue
        processor = PriceProcessor(
            venue.name,
            shard,
            epoch_us=now_us(),
            max_batch=settings.processor.batch_messages,
            max_waiting_trades=queue,
            tape_capacity=min(CAPACITY, max(KEPT_TRADES // max(len(instruments), 1), 256)),
        )
        shell = PriceShell(processor, bus, settings.processor.batch_ms)
        # Half of the queue, so that what is released at once finds room in it.
        hold_back = min(HOLD_BACK_TRADES, queue // 2)
        hub = Hub(venue, shell, rest, ledger.note, hold_back_trades=hold_back, weight_share=1 / shards)
        requests = TradeRequests(processor, rest, hub.last_id)
        for instrument in instruments:
            processor.add_symbol(instrument.native, instrument.id)
            hub.add_symbol(instrument.native, instrument.id)
            requests.add_symbol(instrument.native)
        for ticker in tickers:  # so that the quietest symbol has its price and volume from the start
            shell.on_event(ticker, now_us())
        keeper = LastIdsKeeper(bus, venue.name, shard)
        last = await keeper.read()
        hub.restore(last.ids, last.at_us)
        pool = ConnectionPool(
            venue,
            kinds=settings.exchange.streams,
            on_event=hub.on_event,
            on_boundary=hub.on_boundary,
            redundancy=settings.exchange.redundancy,
            attempts_share=1 / shards,
        )
        report = FeedReport(processor, pool, hub, ledger.note)
        about = {"venue": venue.name, "shard": f"{shard}/{shards}", "symbols": str(len(instruments))}
        try:
            async with asyncio.TaskGroup() as tasks, pool:
                await bus.serve(
                    "tickgate-feed",
                    version("tickgate"),
                    "one shard of a venue's prices",
                    [shell.endpoint(), report.endpoint()],
                    about,
                    slow=[requests.endpoint()],
                    tasks=tasks,
                )
                for work in (shell.run(), hub.run(), report.run(), keeper.run(hub.safe_ids, shell)):
                    tasks.create_task(work)
                pool.want([one.native for one in instruments])
                log.info("feed.started", **about)
                await asyncio.Event().wait()  # until cancelled
        finally:
            await shell.drain()
            await _keep_last_ids(keeper, hub)


async def _prepare(
    venue: Venue, listings: Listings, rest: Rest, bus: Bus, shard: int, shards: int
) -> tuple[list[Instrument], list[DayTicker]]:
    """Return this shard's instruments, registered, and what they have traded in the rolling day."""
    listed = listings.choose(venue, await _insist(rest.exchange_info, venue))
    # Every worker registers all, so that the first price already finds every symbol known.
    registry = Registry(bus)
    await registry.open()
    wanted = await registry.register(listed)
    instruments = [one for one in wanted if shard_of(venue.name, one.native, shards) == shard]
    natives = [one.native for one in instruments]
    return instruments, await _insist(lambda: rest.day_tickers(natives), venue) if natives else []


async def _keep_last_ids(keeper: LastIdsKeeper, hub: Hub) -> None:
    """Leave a successor the ids as they are now: everything up to them has been sent."""
    try:
        if ids := hub.safe_ids():
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
