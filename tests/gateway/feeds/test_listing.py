"""What a venue lists, from one answer of its REST to the next."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count

import msgspec
import pytest

from gateway.exchanges.venue import VENUES
from gateway.feeds.errors import Unreachable
from gateway.feeds.listing import FEW, BaseSet, Listing, plan_states
from gateway.registry import Registry
from processors.bus import Bus, BusAddress, connect
from protocol.symbols import Instrument, shard_of

_venues = count(1)


def instrument(native: str, **fields: object) -> Instrument:
    return Instrument(**{"symbol": native, "venue": "v", "native": native, "price_precision": 2} | fields)


def listed(*ones: Instrument) -> dict[str, Instrument]:
    return {one.native: one for one in ones}


# How symbols are, by what is listed


def test_what_is_traded_is_as_it_is_listed() -> None:
    known = instrument("A", id=7)
    now = instrument("A", price_precision=5, tick_size="0.00001", min_notional="10")
    assert plan_states([known], listed(now), 1_000) == [msgspec.structs.replace(now, id=7)]


@pytest.mark.parametrize("answer", [[], [instrument("A", is_active=False)]])
def test_what_is_not_traded_has_ended_when_that_was_first_seen(answer: list[Instrument]) -> None:
    [ended] = plan_states([instrument("A", id=7)], listed(*answer), 1_000)
    assert (ended.id, ended.is_active, ended.ended_ms) == (7, False, 1_000)
    [still] = plan_states([ended], listed(*answer), 2_000)
    assert still == ended


def test_what_is_traded_again_has_not_ended() -> None:
    ended = instrument("A", id=7, is_active=False, ended_ms=5)
    assert plan_states([ended], listed(instrument("A")), 1_000) == [instrument("A", id=7)]


def test_a_market_that_stops_as_a_whole_pauses() -> None:
    known = [instrument(f"S{number}") for number in range(100)]
    halted = listed(*(msgspec.structs.replace(one, is_active=False) for one in known))
    assert plan_states(known, halted, 1_000) == known
    assert plan_states(known, {}, 1_000) == known


def test_while_a_market_pauses_what_is_traded_is_followed() -> None:
    known = [instrument(f"S{number}", is_active=number > 0) for number in range(100)]
    halted = [msgspec.structs.replace(one, is_active=False) for one in known[1:]]
    now = plan_states(known, listed(instrument("S0"), *halted), 1_000)
    assert now == [instrument("S0"), *known[1:]]


def test_what_is_not_listed_any_more_is_gone_however_much_it_is() -> None:
    known = [instrument(f"S{number}") for number in range(100)]
    now = plan_states(known, listed(*known[:3]), 1_000)
    assert [one.is_active for one in now] == [True] * 3 + [False] * 97


@pytest.mark.parametrize(("symbols", "stopped"), [(FEW, FEW), (100, 50)])
def test_a_part_of_a_market_that_stops_has_ended(symbols: int, stopped: int) -> None:
    known = [instrument(f"S{number}") for number in range(symbols)]
    now = plan_states(known, listed(*known[stopped:]), 1_000)
    assert [one.is_active for one in now] == [False] * stopped + [True] * (symbols - stopped)


def test_the_base_set_knows_names_in_both_forms() -> None:
    base = BaseSet(["BTCUSDT", "BINANCE:ETHUSDT"], 1)
    assert [one in base for one in map(instrument, ["BTCUSDT", "ETHUSDT", "SOLUSDT"])] == [True, True, False]
    assert instrument("SOLUSDT") in BaseSet(["all"], 1)


# Workers


class Desk:
    """A venue whose listing a test makes, and the workers that follow it."""

    def __init__(self, bus: Bus, name: str = "") -> None:
        self.name = name or f"listing-{next(_venues)}"
        self.has_spare = True
        self.asked = 0
        self.fails = False
        self._bus = bus
        self._answer: list[Instrument] = []

    def lists(self, *natives: str, ended: tuple[str, ...] = (), **fields: object) -> None:
        self._answer = [self.one(native, **fields) for native in natives]
        self._answer += [self.one(native, is_active=False) for native in ended]

    def one(self, native: str, **fields: object) -> Instrument:
        return instrument(native, venue=self.name, **fields)

    async def exchange_info(self) -> list[Instrument]:
        self.asked += 1
        if self.fails:
            raise Unreachable("http://nowhere", "it is away")
        return list(self._answer)

    async def listing(self, shard: int = 0, shards: int = 1, base: str = "all", **more: object) -> Listing:
        registry = Registry(self._bus)
        await registry.open()
        venue = replace(VENUES["binance"], name=self.name)
        options = {"interval_s": 0.02} | more
        return Listing(venue, self, registry, BaseSet([base], 1), shard, shards, **options)

    @asynccontextmanager
    async def following(self, *listings: Listing) -> AsyncIterator[Callable[[], bool]]:
        """Let workers follow the venue."""
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(one.run(lambda: None)) for one in listings]
            yield lambda: any(one.done() for one in running)
            for one in running:
                one.cancel()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # a listing tells only its worker
            await asyncio.sleep(0.01)


@pytest.fixture
async def desk(nats_url: str) -> AsyncIterator[Desk]:
    async with connect(BusAddress([nats_url]), "test") as bus:
        yield Desk(bus)


def active(listing: Listing) -> dict[str, bool]:
    return {one.native: one.is_active for one in listing.own()}


async def test_only_what_is_traded_is_registered(desk: Desk) -> None:
    desk.lists("A", "B", ended=("NEVER",))
    listing = await desk.listing()
    assert [one.native for one in await listing.begin()] == ["A", "B"]


async def test_what_is_listed_later_is_registered_and_what_ends_is_kept(desk: Desk) -> None:
    desk.lists("A", "B")
    listing = await desk.listing()
    first = {one.native: one.id for one in await listing.begin()}
    async with desk.following(listing):
        desk.lists("A", "NEW", ended=("B",))
        await until(lambda: active(listing) == {"A": True, "B": False, "NEW": True})
        desk.lists("A", "NEW", "B", price_precision=6)
        await until(lambda: active(listing) == {"A": True, "B": True, "NEW": True})
        await until(lambda: {one.price_precision for one in listing.own()} == {6})
    assert {one.native: one.id for one in listing.own() if one.native in first} == first


async def test_one_worker_asks_and_the_others_hear_of_it(desk: Desk) -> None:
    natives = [f"S{number}" for number in range(8)]
    desk.lists(*natives)
    asking, hearing = [await desk.listing(shard, 2) for shard in (0, 1)]
    await asking.begin()
    await hearing.begin()
    news = next(name for name in (f"NEW{n}" for n in count()) if shard_of(desk.name, name, 2) == 1)
    gone = hearing.own()[0].native
    async with desk.following(hearing):
        before = desk.asked
        async with desk.following(asking):
            desk.lists(*(set(natives) - {gone}), news)
            await until(lambda: active(hearing).get(news) and not active(hearing)[gone])
        assert desk.asked > before
    assert {*active(asking), *active(hearing)} == {*natives, news}
    assert not active(asking).keys() & active(hearing).keys()


async def test_a_worker_that_is_not_the_first_asks_once(desk: Desk) -> None:
    same = Desk(desk._bus, desk.name)
    asking, hearing = await desk.listing(0, 2), await same.listing(1, 2)
    await asking.begin()
    await hearing.begin()
    async with desk.following(asking, hearing):
        await until(lambda: desk.asked >= 5)
    assert same.asked == 1


async def test_without_demand_only_the_base_set_is_registered(desk: Desk) -> None:
    desk.lists("A", "B")
    listing = await desk.listing(base="B", on_demand=False)
    assert [one.native for one in await listing.begin()] == ["B"]
    assert listing.base() == ["B"]


async def test_a_symbol_of_the_base_set_that_is_listed_later_joins_it(desk: Desk) -> None:
    desk.lists("A")
    listing = await desk.listing(base="B", on_demand=False)
    await listing.begin()
    assert listing.base() == []
    async with desk.following(listing):
        desk.lists("A", "B")
        await until(lambda: listing.base() == ["B"])
    assert set(active(listing)) == {"B"}


async def test_a_venue_that_is_away_is_asked_again_and_nothing_ends(desk: Desk) -> None:
    desk.lists("A")
    listing = await desk.listing()
    await listing.begin()
    async with desk.following(listing) as has_ended:
        desk.fails = True
        asked = desk.asked
        await until(lambda: desk.asked > asked + 1)
        assert active(listing) == {"A": True}
        desk.fails = False
        desk.lists("A", "B")
        await until(lambda: "B" in active(listing))
        assert not has_ended()


async def test_a_venue_without_weight_to_spare_is_not_asked(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.feeds.listing.SPARE_WAIT_S", 0.01)
    desk.lists("A")
    listing, other = await desk.listing(), await desk.listing()
    await listing.begin()
    desk.has_spare = False
    async with desk.following(listing):
        asked = desk.asked
        await other.begin()  # whoever starts asks in any case
        assert desk.asked == asked + 1
        desk.has_spare = True
        await until(lambda: desk.asked > asked + 1)
