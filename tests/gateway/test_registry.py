import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from gateway.natsd import nats_server
from gateway.processes.ports import find_free_port
from gateway.registry import STATES, Registry
from processors.bus import BusAddress, connect
from protocol import subjects
from protocol.symbols import Instrument


def instrument(native: str, venue: str = "binance") -> Instrument:
    return Instrument(symbol=native, venue=venue, native=native, price_precision=2)


async def test_an_id_is_given_once_and_kept(nats_url: str):
    async with connect(BusAddress([nats_url]), "test") as bus:
        first = Registry(bus)
        await first.open()
        (btc,) = await first.register([instrument("KEEPUSDT")])
        again = Registry(bus)
        await again.open()
        (same,) = await again.register([instrument("KEEPUSDT")])
    assert same.id == btc.id > 0
    assert again.table.find("KEEPUSDT") == btc


async def test_workers_that_register_at_the_same_time_agree(nats_url: str):
    wanted = [instrument(f"RACE{number}USDT") for number in range(30)]
    async with connect(BusAddress([nats_url]), "test") as bus:
        registries = [Registry(bus) for _ in range(4)]
        for registry in registries:
            await registry.open()
        given = await asyncio.gather(*(registry.register(wanted) for registry in registries))
    ids = [[one.id for one in listed] for listed in given]
    assert ids[0] == ids[1] == ids[2] == ids[3]
    assert len(set(ids[0])) == 30


async def test_a_reader_learns_of_new_symbols_by_refreshing(nats_url: str):
    async with connect(BusAddress([nats_url]), "test") as bus:
        reader, writer = Registry(bus), Registry(bus)
        await reader.open()
        await writer.open()
        await writer.register([instrument("新币USDT", "binance-usdm")])
        fresh = await reader.refresh()
    assert "新币USDT" in [one.native for one in fresh]
    assert reader.table.by_native("binance-usdm", "新币USDT") is not None


async def test_the_same_name_on_two_venues_is_two_symbols(nats_url: str):
    async with connect(BusAddress([nats_url]), "test") as bus:
        registry = Registry(bus)
        await registry.open()
        spot, future = await registry.register(
            [instrument("TWINUSDT"), instrument("TWINUSDT", "binance-usdm")]
        )
    assert spot.id != future.id


# What changes of a symbol


def changed(one: Instrument, **fields: object) -> Instrument:
    return msgspec.structs.replace(one, **fields)


@asynccontextmanager
async def registries(nats_url: str, count: int = 2) -> AsyncIterator[list[Registry]]:
    """Open registries with connections of their own."""
    async with AsyncExitStack() as stack:
        opened = [
            Registry(await stack.enter_async_context(connect(BusAddress([nats_url]), "test")))
            for _ in range(count)
        ]
        for registry in opened:
            await registry.open()
        yield opened


async def test_a_later_state_is_read_over_the_first_one(nats_url: str):
    async with registries(nats_url, 1) as [writer]:
        (one,) = await writer.register([instrument("STATEUSDT", "states")])
        ended = changed(one, is_active=False, ended_ms=1_000, price_precision=5)
        await writer.announce("states", [ended], 1_000)
        assert writer.table.by_id(one.id) == ended
    async with registries(nats_url, 1) as [reader]:
        assert reader.table.find("STATEUSDT") == ended


async def test_what_is_announced_is_heard_by_whoever_follows(nats_url: str):
    async with registries(nats_url) as [writer, reader]:
        (one,) = await writer.register([instrument("LIVEUSDT", "live")])
        await reader.refresh()
        heard = asyncio.Event()
        await reader.follow(heard.set)
        await reader.refresh()  # so that the server knows of the subscription
        await writer.announce("live", [changed(one, is_active=False)], 1)
        await asyncio.wait_for(heard.wait(), 10)
        assert not reader.table.find("LIVEUSDT").is_active


async def test_who_announces_hears_of_it_as_well(nats_url: str):
    async with registries(nats_url, 1) as [writer]:
        (one,) = await writer.register([instrument("OWNUSDT", "own")])
        heard = []
        await writer.follow(lambda: heard.append(writer.table.find("OWNUSDT").price_precision))
        await writer.announce("own", [changed(one, price_precision=6)], 1)
        assert heard
        assert set(heard) == {6}


async def test_an_announcement_of_symbols_that_are_not_known_yet_is_heard_and_holds(nats_url: str):
    async with registries(nats_url) as [writer, reader]:
        heard = asyncio.Event()
        await reader.follow(heard.set)
        await reader.refresh()
        (one,) = await writer.register([instrument("EARLYUSDT", "early")])
        await writer.announce("early", [changed(one, price_precision=6)], 1)
        await asyncio.wait_for(heard.wait(), 10)
        fresh = await reader.refresh()
    assert [each.price_precision for each in fresh if each.native == "EARLYUSDT"] == [6]
    assert reader.table.find("EARLYUSDT").price_precision == 6


async def test_an_older_announcement_changes_nothing(nats_url: str):
    async with registries(nats_url) as [writer, stale]:
        (one,) = await stale.register([instrument("OLDUSDT", "old")])
        await writer.refresh()
        await writer.announce("old", [changed(one, price_precision=4)], 2_000_000)
        await stale.announce("old", [changed(one, price_precision=9)], 5)
        await writer.refresh()
        assert writer.table.find("OLDUSDT").price_precision == 4


async def test_nothing_is_said_while_nothing_has_changed(nats_url: str):
    async with registries(nats_url, 1) as [writer]:
        (one,) = await writer.register([instrument("SAMEUSDT", "same")])
        await writer.announce("same", [one], 1)
        before = await writer._bus.last_sequence(STATES)
        await writer.announce("same", [one], 2)
        assert await writer._bus.last_sequence(STATES) == before


async def test_a_registry_of_an_older_program_is_read(nats_url: str):
    async with registries(nats_url, 1) as [registry]:
        old = b'{"id":0,"symbol":"AGEDUSDT","venue":"aged","native":"AGEDUSDT","price_precision":2}'
        await registry._bus.append_first(subjects.symbols("aged", "AGEDUSDT"), old)
        await registry.refresh()
        one = registry.table.find("AGEDUSDT")
    assert (one.is_active, one.ended_ms, one.tick_size) == (True, 0, "")


async def test_states_that_cannot_be_read_leave_the_first_ones(nats_url: str):
    async with registries(nats_url, 1) as [writer]:
        await writer.register([instrument("GARBLEDUSDT", "garbled")])
        await writer._bus.append(
            subjects.symbol_states("garbled"), b'{"version": 9, "symbols": {"GARBLEDUSDT": ['
        )
    async with registries(nats_url, 1) as [reader]:
        assert reader.table.find("GARBLEDUSDT").price_precision == 2


# A registry that was lost


@pytest.fixture
async def lost(tmp_path: Path) -> AsyncIterator[Registry]:
    """A registry on a bus of its own, which has none."""
    async with (
        nats_server(tmp_path, find_free_port(), {}) as nats,
        connect(BusAddress([nats.url]), "test") as bus,
    ):
        yield Registry(bus)


def numbered(symbol_id: int, native: str) -> Instrument:
    return changed(instrument(native), id=symbol_id)


async def test_a_lost_registry_is_restored_with_its_ids(lost):
    copy = [numbered(2, "TWOUSDT"), changed(numbered(5, "FIVEUSDT"), is_active=False, ended_ms=7)]
    assert await lost.restore(copy) == 5
    assert list(lost.table) == copy
    (new, five) = await lost.register([instrument("NEWUSDT"), instrument("FIVEUSDT")])
    assert (new.id, five) == (6, copy[1])


async def test_what_a_registry_lacks_at_its_end_is_appended(lost):
    await lost.open()
    (one,) = await lost.register([instrument("ONEUSDT")])
    assert await lost.restore([one, numbered(2, "TWOUSDT")]) == 1
    assert lost.table.find("TWOUSDT").id == 2


async def test_a_registry_that_has_everything_is_left_alone(lost):
    await lost.open()
    registered = await lost.register([instrument("ONEUSDT"), instrument("TWOUSDT")])
    assert await lost.restore(registered) == 0
    assert await lost.restore(registered[:1]) == 0
    assert await lost.restore([]) == 0
    assert len(lost.table) == 2


async def test_a_copy_that_contradicts_restores_nothing(lost):
    await lost.open()
    await lost.register([instrument("ONEUSDT")])
    assert await lost.restore([numbered(1, "OTHERUSDT"), numbered(2, "TWOUSDT")]) == 0
    assert [one.symbol for one in lost.table] == ["ONEUSDT"]


async def test_an_id_is_never_given_by_the_way(lost):
    await lost.open()
    assert await lost._bus.append_at("symbols.test.A", b"{}", 2) is False
    assert await lost._bus.append_at("symbols.test.A", b"{}", 1) is True
    assert await lost._bus.append_at("symbols.test.B", b"{}", 1) is False
