"""The rolling day of new symbols: at once, together where they come together, and not too often."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace

from gateway.exchanges.venue import VENUES
from gateway.feeds import day_tickers
from gateway.feeds.day_tickers import DayTickers
from gateway.feeds.errors import Unreachable, VenueError
from protocol.market import DayTicker

SPOT = VENUES["binance"]


class Source:
    """A venue's REST that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[set[str]] = asyncio.Queue()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.failures: list[VenueError] = []

    async def day_tickers(self, natives: Collection[str]) -> list[DayTicker]:
        self.asked.put_nowait(set(natives))
        await self.may_answer.wait()
        if self.failures:
            raise self.failures.pop()
        return [DayTicker(native, 1.0, 2.0, 3) for native in natives]

    async def next(self) -> set[str]:
        return await asyncio.wait_for(self.asked.get(), 10)


@asynccontextmanager
async def running(source: Source, venue=SPOT) -> AsyncIterator[tuple[DayTickers, "asyncio.Queue[DayTicker]"]]:
    told: asyncio.Queue[DayTicker] = asyncio.Queue()
    tickers = DayTickers(venue, source, told.put_nowait)
    task = asyncio.create_task(tickers.run())
    yield tickers, told
    task.cancel()
    await asyncio.wait([task])


async def test_a_symbol_is_asked_for_at_once():
    source = Source()
    async with running(source) as (tickers, told), asyncio.timeout(10):
        tickers.ask(["BTCUSDT"])
        assert (await told.get()).native == "BTCUSDT"


async def test_what_comes_while_an_answer_is_awaited_is_asked_for_together():
    source = Source()
    source.may_answer.clear()
    async with running(source) as (tickers, _told):
        tickers.ask(["BTCUSDT"])
        assert await source.next() == {"BTCUSDT"}
        tickers.ask(["ETHUSDT"])
        tickers.ask(["SOLUSDT", "XRPUSDT"])
        tickers.forget(["XRPUSDT"])
        source.may_answer.set()
        assert await source.next() == {"ETHUSDT", "SOLUSDT"}


async def test_what_is_forgotten_is_not_asked_for():
    source = Source()
    async with running(source) as (tickers, _told):
        tickers.ask(["BTCUSDT"])
        tickers.forget(["BTCUSDT"])
        tickers.ask([])
        await asyncio.sleep(0)
        tickers.ask(["ETHUSDT"])
        assert await source.next() == {"ETHUSDT"}


async def test_a_venue_that_does_not_answer_is_asked_again(monkeypatch):
    monkeypatch.setattr(day_tickers, "RETRY_S", 0.01)
    source = Source()
    source.failures = [Unreachable("http://127.0.0.1:1", "refused")]
    async with running(source) as (tickers, told), asyncio.timeout(10):
        tickers.ask(["BTCUSDT"])
        assert (await told.get()).native == "BTCUSDT"
    assert source.asked.qsize() == 2


async def test_a_share_of_the_venues_weight_is_not_exceeded():
    venue = replace(
        SPOT, limits=replace(SPOT.limits, weight_per_min=16)
    )  # a quarter is two calls of weight 2
    source = Source()
    async with running(source, venue) as (tickers, told), asyncio.timeout(10):
        for native in ("BTCUSDT", "ETHUSDT"):
            tickers.ask([native])
            await told.get()
        tickers.ask(["SOLUSDT"])
        for _ in range(20):
            await asyncio.sleep(0)
    assert source.asked.qsize() == 2
