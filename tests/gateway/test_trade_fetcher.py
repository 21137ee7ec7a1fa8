"""Trades asked for from a feed worker that cannot answer at once, over a real bus."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec
import pytest

from gateway import trade_fetcher
from gateway.trade_fetcher import TradeFetcher
from processors.bus import BusAddress, SlowEndpoint, Unavailable, connect
from protocol import subjects
from protocol.events import Kind, Trade
from protocol.frames import encode_v2
from protocol.symbols import Instrument, SymbolTable

_venues = itertools.count(1)


@dataclass
class Worker:
    """Has some trades, and knows whether the rest may still come."""

    ids: set[int]
    may_get_more: bool = True
    asked: list[dict] = field(default_factory=list)
    is_asked: asyncio.Event = field(default_factory=asyncio.Event)
    fetcher: TradeFetcher = field(init=False)

    async def answer(self, _subject: str, payload: bytes) -> bytes:
        asked = msgspec.json.decode(payload)
        self.asked.append(asked)
        self.is_asked.set()
        wanted = range(asked["first"], asked["last"] + 1)
        if asked["whole"] and self.may_get_more and not self.ids.issuperset(wanted):
            raise Unavailable("not now")
        rows = [Trade(1, 0, 1, one, 1_000, 100.0, 1.0) for one in wanted if one in self.ids]
        return encode_v2(rows, 1, Kind.TRADE)


@pytest.fixture
async def worker(nats_url: str) -> AsyncIterator[Worker]:
    venue, one = f"patience-{next(_venues)}", Worker({1, 2, 4})
    symbols = SymbolTable()
    symbols.add(Instrument(id=1, symbol="BTCUSDT", venue=venue, native="BTCUSDT", price_precision=2))
    async with connect(BusAddress([nats_url]), "test") as bus, asyncio.TaskGroup() as tasks:
        slow = SlowEndpoint("trades", subjects.request_trades(venue, "BTCUSDT"), one.answer)
        await bus.serve("test-feed", "1.0.0", "a feed", [], {}, slow=[slow], tasks=tasks)
        one.fetcher = TradeFetcher(bus, symbols)
        yield one


async def test_a_worker_that_may_get_more_is_asked_again_until_it_has(worker):
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(worker.fetcher.insist(1, 1, 4, whole=True))
        await worker.is_asked.wait()
        worker.ids.add(3)
    assert [trade.id for trade in asking.result()] == [1, 2, 3, 4]
    assert len(worker.asked) > 1


async def test_what_cannot_be_had_is_not_waited_for(worker):
    worker.may_get_more = False
    assert [trade.id for trade in await worker.fetcher.insist(1, 1, 4, whole=True)] == [1, 2, 4]
    assert len(worker.asked) == 1


async def test_when_patience_ends_there_is_what_there_is(worker, monkeypatch):
    monkeypatch.setattr(trade_fetcher, "WHOLE_PATIENCE_S", 0.1)
    assert [trade.id for trade in await worker.fetcher.insist(1, 1, 4, whole=True)] == [1, 2, 4]
    assert [one["whole"] for one in worker.asked][-2:] == [True, False]


async def test_who_takes_a_part_gets_it_at_once(worker):
    assert [trade.id for trade in await worker.fetcher.insist(1, 1, 4, whole=False)] == [1, 2, 4]
    assert len(worker.asked) == 1


async def test_where_nobody_answers_there_is_nothing_in_the_end(worker, monkeypatch):
    monkeypatch.setattr(trade_fetcher, "PATIENCE_S", 0.1)
    assert await worker.fetcher.insist(2, 1, 4, whole=False) == []
