"""What a worker tells of its losses."""

import asyncio
from contextlib import suppress

from gateway.exchanges.venue import VENUES
from gateway.feeds.connections.pool import ConnectionPool
from gateway.feeds.hub import Hub
from gateway.feeds.report import FeedReport
from gateway.feeds.rest import Rest
from processors.bus import BusAddress, connect
from processors.price import PriceProcessor
from processors.shell import PriceShell
from protocol.events import GapCause, GapState
from protocol.ledger import LedgerEntry
from protocol.market import AggTrade


async def test_trades_that_were_left_unsent_are_written_into_the_ledger(nats_url: str):
    venue = VENUES["binance"]
    entries: asyncio.Queue[LedgerEntry] = asyncio.Queue()
    processor = PriceProcessor("binance", 0, epoch_us=1, max_waiting_trades=5)
    processor.add_symbol("BTCUSDT", 7)
    async with connect(BusAddress([nats_url]), "test") as bus, Rest(venue) as rest:
        hub = Hub(venue, PriceShell(processor, bus, 50), rest, entries.put_nowait)
        pool = ConnectionPool(venue, ("aggTrade",), hub.on_turn)
        report = FeedReport(processor, pool, hub, entries.put_nowait)
        running = asyncio.create_task(report.run())
        for trade_id in range(1, 9):
            hub.on_event(AggTrade("BTCUSDT", trade_id, 1.0, 1.0, False, 1, 1, 1, 1), 1)
        entry = await asyncio.wait_for(entries.get(), 10)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert (entry.cause, entry.state, entry.missing) == (GapCause.OVERFLOW, GapState.FILLED, 0)
    assert (entry.native, entry.symbol_id, entry.first_id, entry.last_id) == ("BTCUSDT", 7, 1, 3)
    assert report.describe()["counters"]["dropped_trades"] == 3
