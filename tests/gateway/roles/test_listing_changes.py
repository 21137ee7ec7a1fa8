"""What a venue lists anew, lets go and takes back while workers and gateways run."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fleet import Fleet, run_fleet, trade_client

from gateway.registry import Registry
from gateway.sim.listings import ListingChange
from gateway.sim.server import SimOptions, SimulatedExchange
from protocol import subjects
from protocol.events import GapCause
from protocol.frames import decode_v2
from protocol.symbols import Instrument

BASE = "BTCUSDT"
OFTEN = "500ms"
"""How often the venue is asked: it has weight for four times as much."""


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    async with SimulatedExchange(SimOptions(symbols=6, rate=20)) as sim, run_fleet(tmp_path, sim) as running:
        yield running


def change(fleet: Fleet, symbol: str, status: str = "TRADING") -> None:
    fleet.sim.exchange.list_symbol(ListingChange("spot", symbol, status, 2.0))


class Follower:
    """A copy of the registry that waits until a symbol is how a test wants it."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._changed = asyncio.Event()

    @classmethod
    async def of(cls, fleet: Fleet) -> "Follower":
        follower = cls(Registry(fleet.bus))
        await follower._registry.open()
        await follower._registry.follow(follower._changed.set)
        return follower

    async def until(self, symbol: str, *, is_active: bool) -> Instrument:
        async with asyncio.timeout(20):
            while True:
                await self._registry.refresh()
                one = self._registry.table.by_native("binance", symbol)
                if one is not None and one.is_active is is_active:
                    return one
                await self._changed.wait()
                self._changed.clear()


class HeardTrades:
    """The ids of a symbol's trades, as services hear them."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self._news = asyncio.Event()

    @classmethod
    async def of(cls, fleet: Fleet, native: str) -> "HeardTrades":
        heard = cls()
        await fleet.bus.subscribe(subjects.trades("binance", native), heard._take)
        await fleet.bus.flush()
        return heard

    def _take(self, _subject: str, payload: bytes) -> None:
        self.ids += [row.id for row in decode_v2(payload).rows()]
        self._news.set()

    async def more(self, count: int) -> None:
        """Wait until so many more have come."""
        goal = len(self.ids) + count
        async with asyncio.timeout(20):
            while len(self.ids) < goal:
                self._news.clear()
                await self._news.wait()

    @property
    def are_whole(self) -> bool:
        """Each id came once, one after the other."""
        return self.ids == list(range(self.ids[0], self.ids[0] + len(self.ids)))


async def test_a_new_listing_is_carried_at_once_where_all_are(fleet):
    async with fleet.worker("all", EXCHANGE_LISTING_INTERVAL=OFTEN):
        listed = await fleet.carried()
        change(fleet, "NEWUSDT")
        await fleet.until_carried(*listed, "newusdt")


async def test_a_new_listing_that_somebody_waits_for_is_carried(fleet):
    async with fleet.worker(BASE, EXCHANGE_LISTING_INTERVAL=OFTEN):
        follower = await Follower.of(fleet)
        change(fleet, "NEWUSDT")
        await follower.until("NEWUSDT", is_active=True)
        assert await fleet.carried() == {"btcusdt"}
        await fleet.say("a", "NEWUSDT")
        await fleet.until_carried("btcusdt", "newusdt")


async def test_what_is_listed_no_more_is_let_go_without_an_alarm(fleet):
    async with fleet.worker("all", EXCHANGE_STREAMS="aggTrade", EXCHANGE_LISTING_INTERVAL=OFTEN):
        listed = await fleet.carried()
        follower = await Follower.of(fleet)
        before = await follower.until("ETHUSDT", is_active=True)
        change(fleet, "ETHUSDT", "BREAK")
        after = await follower.until("ETHUSDT", is_active=False)
        await fleet.until_carried(*(listed - {"ethusdt"}))
        assert (after.id, after.ended_ms > 0) == (before.id, True)
        [connection] = (await fleet.state())["connections"]
        assert (connection["mute"], connection["reconnects"], connection["phase"]) == ("", 0, "live")
        assert "ETHUSDT" not in {entry.native for entry in fleet.ledger}


@pytest.mark.parametrize("status", ["BREAK", "GONE"])
async def test_what_is_traded_again_goes_on_under_its_id_and_misses_nothing(fleet, status):
    async with fleet.worker("all", EXCHANGE_STREAMS="aggTrade", EXCHANGE_LISTING_INTERVAL=OFTEN):
        listed = await fleet.carried()
        trades = await HeardTrades.of(fleet, "ETHUSDT")
        follower = await Follower.of(fleet)
        before = await follower.until("ETHUSDT", is_active=True)
        await trades.more(5)
        change(fleet, "ETHUSDT", status)
        await fleet.until_carried(*(listed - {"ethusdt"}))
        change(fleet, "ETHUSDT")
        after = await follower.until("ETHUSDT", is_active=True)
        await fleet.until_carried(*listed)
        await trades.more(40)
    assert (after.id, after.ended_ms) == (before.id, 0)
    assert trades.are_whole
    assert GapCause.NOT_CARRIED not in {entry.cause for entry in fleet.ledger}


async def test_a_worker_that_comes_back_goes_on_where_trading_stopped(fleet):
    trades = await HeardTrades.of(fleet, "ETHUSDT")
    async with fleet.worker("all", EXCHANGE_STREAMS="aggTrade", EXCHANGE_LISTING_INTERVAL=OFTEN):
        listed = await fleet.carried()
        await trades.more(5)
        change(fleet, "ETHUSDT", "BREAK")
        await fleet.until_carried(*(listed - {"ethusdt"}))
    async with fleet.worker("all", EXCHANGE_STREAMS="aggTrade", EXCHANGE_LISTING_INTERVAL=OFTEN):
        await fleet.until_carried(*(listed - {"ethusdt"}))
        change(fleet, "ETHUSDT")
        await trades.more(40)
    assert trades.are_whole


async def test_gateways_learn_it_while_they_run(fleet):
    async with (
        fleet.worker(BASE, EXCHANGE_LISTING_INTERVAL=OFTEN),
        fleet.gateway() as address,
        httpx.AsyncClient(base_url=f"http://{address}") as http,
        trade_client(address) as client,
    ):
        await client.subscribe("NEWUSDT", "ETHUSDT", kinds=("price",))
        await client.until(lambda: "ETHUSDT" in client.prices)
        change(fleet, "NEWUSDT")
        change(fleet, "ETHUSDT", "BREAK")
        await client.until(lambda: "NEWUSDT" in client.prices)
        await (await Follower.of(fleet)).until("ETHUSDT", is_active=False)
        listed = {one["symbol"]: one for one in (await http.get("/api/v1/symbols")).json()}
        assert (listed["NEWUSDT"]["is_active"], listed["ETHUSDT"]["is_active"]) == (True, False)
        kept = (await http.get("/api/v1/symbols/ETHUSDT/price")).json()
        assert kept["price"] == pytest.approx(client.prices["ETHUSDT"])
        await client.subscribe("ETHUSDT", kinds=("price",))
        change(fleet, "ETHUSDT")
        client.prices.clear()
        await client.until(lambda: "ETHUSDT" in client.prices)
        assert [error["symbols"] for error in client.errors] == [["NEWUSDT"]]
