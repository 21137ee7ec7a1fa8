"""What somebody watches is carried, and let go when nobody does: workers, gateways, clients, Redis."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fleet import Fleet, TradeClient, redis_server, run_fleet, trade_client

from gateway.feeds.trades.last_ids import LastIdsKeeper
from gateway.processes.ports import find_free_port
from gateway.registry import Registry
from gateway.sim.server import SimOptions, SimulatedExchange
from protocol import subjects
from protocol.demand import Question, parse_demand
from protocol.events import Gap, GapCause, GapState, Trade

BASE = "BTCUSDT"


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    async with SimulatedExchange(SimOptions(symbols=6, rate=20)) as sim, run_fleet(tmp_path, sim) as running:
        yield running


async def test_what_a_node_wants_is_carried_and_let_go_when_it_wants_it_no_more(fleet):
    async with fleet.worker(BASE):
        await fleet.until_carried("btcusdt")
        await fleet.say("a", "ETHUSDT", "SOLUSDT", "NOSUCHUSDT")
        await fleet.say("b", "ETHUSDT")
        await fleet.until_carried("btcusdt", "ethusdt", "solusdt")
        await fleet.say("a")
        await fleet.until_carried("btcusdt", "ethusdt")


async def test_each_worker_carries_its_own_share_of_what_is_wanted(fleet):
    listed = {"btcusdt", "ethusdt", "solusdt", "bnbusdt", "xrpusdt", "dogeusdt"}
    async with fleet.worker(BASE, 0, 2), fleet.worker(BASE, 1, 2), asyncio.timeout(20):
        await fleet.say("a", *(one.upper() for one in listed))
        carried: list[set[str]] = [set(), set()]
        while carried[0] | carried[1] != listed:
            carried = [await fleet.carried(0), await fleet.carried(1)]
        assert not carried[0] & carried[1]


async def test_a_worker_asks_what_is_wanted_when_it_starts(fleet):
    asked = asyncio.Event()

    def on_message(_subject: str, payload: bytes) -> None:
        if isinstance(parse_demand(payload), Question):
            asked.set()

    await fleet.bus.subscribe(subjects.CONTROL_SYMBOLS, on_message)
    await fleet.bus.flush()
    async with fleet.worker(BASE):
        await asyncio.wait_for(asked.wait(), 10)


async def test_without_on_demand_only_the_base_is_registered_and_carried(fleet):
    async with fleet.worker(BASE, EXCHANGE_ON_DEMAND="false"):
        await fleet.until_carried("btcusdt")
        await fleet.say("a", "ETHUSDT")
        registry = Registry(fleet.bus)
        await registry.open()
        assert [one.symbol for one in registry.table] == [BASE]
        assert await fleet.carried() == {"btcusdt"}


async def test_all_that_the_venue_lists_is_registered(fleet):
    async with fleet.worker(BASE):
        registry = Registry(fleet.bus)
        await registry.open()
        assert len(registry.table) == 6


# Clients


async def test_a_listed_symbol_that_nobody_watched_is_introduced_at_once_and_has_a_price_soon(fleet):
    async with fleet.worker(BASE), fleet.gateway() as address, trade_client(address) as client:
        await client.subscribe("ETHUSDT", kinds=("price",))
        await client.until(lambda: client.introduced == ["ETHUSDT"])
        await client.until(lambda: "ETHUSDT" in client.prices)
        assert client.errors == []


async def test_what_nobody_has_traded_yet_has_a_price_from_the_rolling_day(tmp_path):
    async with (
        SimulatedExchange(SimOptions(symbols=6, rate=1e-6)) as sim,
        run_fleet(tmp_path, sim) as fleet,
        fleet.worker(BASE, EXCHANGE_STREAMS="aggTrade"),
        fleet.gateway() as address,
        trade_client(address) as client,
    ):
        await client.subscribe("ETHUSDT", kinds=("price",))
        await client.until(lambda: "ETHUSDT" in client.prices)


async def test_the_api_says_what_is_carried(fleet):
    async with (
        fleet.worker(BASE),
        fleet.gateway() as address,
        trade_client(address) as client,
        httpx.AsyncClient(base_url=f"http://{address}") as http,
    ):
        await client.subscribe(BASE, kinds=("price",))
        await client.until(lambda: client.prices)
        assert await carried(http) == {BASE}
        await client.subscribe("ETHUSDT", kinds=("price",))
        await client.until(lambda: "ETHUSDT" in client.prices)
        assert await carried(http) == {BASE, "ETHUSDT"}


async def carried(http: httpx.AsyncClient) -> set[str]:
    listed = (await http.get("/api/v1/symbols")).json()
    assert len(listed) == 6
    return {one["symbol"] for one in listed if one["carried"]}


async def test_who_watched_before_a_symbol_was_let_go_is_told_what_was_traded_meanwhile(fleet):
    async with fleet.worker(BASE), fleet.gateway() as address, trade_client(address) as client:
        last = await watch_and_leave(fleet, client)
        await client.subscribe("ETHUSDT", ETHUSDT=last)
        await client.until(lambda: client.gaps("ETHUSDT"))
        await client.more("ETHUSDT", 5)
        (gap,) = client.gaps("ETHUSDT")
        ids = [one.id for name, one in client.order if name == "ETHUSDT" and isinstance(one, Trade)]
        assert (gap.state, gap.cause) == (GapState.LOST, GapCause.NOT_CARRIED)
        assert gap.last_id > gap.first_id > last
        told = {*ids, *range(gap.first_id, gap.last_id + 1)}
        assert told == set(range(min(ids), max(ids) + 1))
        await until_written(fleet, gap)
        assert GapCause.BUS not in {entry.cause for entry in fleet.ledger}
        async with httpx.AsyncClient(base_url=f"http://{address}") as http:
            assert (await http.get("/stats")).json()["holes"] == 0


async def watch_and_leave(fleet: Fleet, client: TradeClient) -> int:
    """Watch a symbol for a while, leave it, and wait until it is let go and has traded on."""
    await client.subscribe("ETHUSDT")
    await client.more("ETHUSDT", 5)
    await client.unsubscribe("ETHUSDT")
    await fleet.until_carried("btcusdt")
    await client.subscribe(BASE)
    newest = await fleet.newest_id("ETHUSDT")
    async with asyncio.timeout(20):
        while await fleet.newest_id("ETHUSDT") < newest + 10:
            await client.more(BASE, 1)
    return max(client.trades["ETHUSDT"])


async def until_written(fleet: Fleet, gap: Gap) -> None:
    async with asyncio.timeout(10):
        while gap.first_id not in [one.first_id for one in fleet.ledger if one.cause is GapCause.NOT_CARRIED]:
            await fleet.bus.flush()


async def test_who_asks_again_gets_from_the_venue_what_nobody_carried(fleet):
    async with fleet.worker(BASE), fleet.gateway() as address, trade_client(address) as first:
        last = await watch_and_leave(fleet, first)
        await first.subscribe("ETHUSDT")
        await first.until(lambda: first.gaps("ETHUSDT"))
        await first.more("ETHUSDT", 2)
        async with trade_client(address) as client:
            await client.subscribe("ETHUSDT", ETHUSDT=last)
            await client.more("ETHUSDT", 15)
            ids = sorted(client.trades["ETHUSDT"])
            assert client.gaps("ETHUSDT") == []
    assert ids == list(range(last + 1, last + 1 + len(ids)))


async def test_a_gateway_that_never_heard_of_it_serves_a_client_that_comes_back_from_the_venue(fleet):
    async with fleet.worker(BASE):
        async with fleet.gateway() as address, trade_client(address) as client:
            last = await watch_and_leave(fleet, client)
        async with fleet.gateway() as address, trade_client(address) as client:
            await client.subscribe("ETHUSDT", ETHUSDT=last)
            await client.more("ETHUSDT", 15)
            ids = sorted(client.trades["ETHUSDT"])
            assert client.gaps("ETHUSDT") == []
    assert ids == list(range(last + 1, last + 1 + len(ids)))


async def test_a_worker_that_comes_back_goes_on_with_what_is_watched(fleet):
    async with contextlib.AsyncExitStack() as worker:
        await worker.enter_async_context(fleet.worker(BASE))
        async with fleet.gateway() as address, trade_client(address) as client:
            await client.subscribe("ETHUSDT")
            await client.more("ETHUSDT", 5)
            await worker.aclose()
            async with fleet.worker(BASE):
                await client.more("ETHUSDT", 60)
            ids = sorted(client.trades["ETHUSDT"])
            assert client.gaps("ETHUSDT") == []
            assert ids == list(range(ids[0], ids[0] + len(ids)))


async def test_after_its_start_a_worker_forgets_what_nobody_wants_any_more(fleet):
    async with fleet.worker(BASE):
        await fleet.say("a", "ETHUSDT")
        await fleet.until_carried("btcusdt", "ethusdt")
        await fleet.say("a")
        await fleet.until_carried("btcusdt")
    last = await LastIdsKeeper(fleet.bus, "binance", 0).read()
    assert set(last.ids) == {BASE}


# Redis


async def test_what_is_on_a_watchlist_in_redis_is_carried(fleet, tmp_path):
    port = find_free_port()
    async with redis_server(tmp_path, port) as redis:
        await redis.sadd("marketwatch:alice", "ETHUSDT", "BINANCE:SOLUSDT", "NOSUCHUSDT")
        async with fleet.worker(BASE, REDIS_ADDR=f"127.0.0.1:{port}"):
            await fleet.until_carried("btcusdt", "ethusdt", "solusdt")


async def test_without_redis_everything_else_goes_on(fleet):
    async with fleet.worker(BASE, REDIS_ADDR=f"127.0.0.1:{find_free_port()}"):
        await fleet.say("a", "ETHUSDT")
        await fleet.until_carried("btcusdt", "ethusdt")
