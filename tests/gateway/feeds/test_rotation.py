"""Replacing a connection make-before-break: the next one delivers before the old one goes."""

import asyncio
import json
from dataclasses import replace

import pytest
from listening import PATIENT, Heard, ack_of, assert_whole, pool_of, scripted, simulated, trade_of, venue_at
from websockets.asyncio.server import ServerConnection

from gateway.feeds.connections.connection import Phase
from gateway.sim.faults import Fault, FaultKind
from protocol.events import GapCause

WANTED = frozenset({"BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT"})


async def test_20_rotations_under_load_lose_nothing():
    heard = Heard()
    async with simulated(rate=200) as sim:
        async with pool_of(venue_at(sim), heard) as pool:
            pool.want(WANTED)
            await heard.until(lambda: {native for _, native in heard.seen()} == WANTED)
            for number in range(1, 21):
                pool.rotate()
                boundary = await heard.boundary(number)
                assert (boundary.cause, boundary.natives) == (GapCause.ROTATED, WANTED)
            await heard.more(100)
            [state] = pool.state()
            assert (state.phase, state.reconnects) == (Phase.LIVE, 20)
        await assert_whole(sim, heard, WANTED)


async def test_a_boundary_says_when_the_old_connection_was_last_heard():
    heard = Heard()
    async with simulated() as sim, pool_of(venue_at(sim), heard) as pool:
        pool.want(WANTED)
        await heard.more()
        pool.rotate()
        boundary = await heard.boundary()
        assert (boundary.kind, boundary.connection) == ("aggTrade", "aggTrade-0")
        assert 0 < boundary.last_message_us <= boundary.at_us
        assert "asked for" in boundary.detail


@pytest.mark.parametrize("redundancy", [1, 2])
async def test_an_announced_shutdown_is_a_planned_rotation(redundancy):
    heard = Heard()
    async with simulated(rate=200) as sim:
        async with pool_of(venue_at(sim), heard, redundancy=redundancy) as pool:
            pool.want(WANTED)
            await heard.until(lambda: {native for _, native in heard.seen()} == WANTED)
            sim.inject(Fault(FaultKind.SHUTDOWN, seconds=60))
            await heard.boundary(redundancy)
            await heard.more(100)
            assert heard.causes() == [GapCause.ROTATED] * redundancy
            assert all("announced" in one.detail for one in heard.boundaries)
        await assert_whole(sim, heard, WANTED)


async def test_a_connection_is_replaced_before_the_limit_of_age_and_loses_nothing():
    heard = Heard()
    async with simulated(rate=200) as sim:
        venue = venue_at(sim)
        short = replace(venue, limits=replace(venue.limits, max_life_s=2))
        async with pool_of(short, heard, patience=replace(PATIENT, spare_life_s=1.9)) as pool:
            pool.want(WANTED)
            assert "limit of age" in (await heard.boundary()).detail
            await heard.more(100)
        assert set(heard.causes()) == {GapCause.ROTATED}
        await assert_whole(sim, heard, WANTED)


async def test_quiet_streams_are_handed_over_once_they_are_acknowledged():
    async def acknowledge(socket: ServerConnection) -> None:
        async for text in socket:
            await socket.send(ack_of(json.loads(text)))

    heard = Heard()
    async with scripted(acknowledge) as venue, pool_of(venue, heard) as pool:
        pool.want({"BTCUSDT"})
        pool.rotate()
        assert (await heard.boundary()).cause is GapCause.ROTATED
        assert heard.events == []


async def test_the_old_connection_stays_while_the_next_one_does_not_deliver():
    sockets: list[ServerConnection] = []
    successors = asyncio.Queue[ServerConnection]()

    async def only_the_first_delivers(socket: ServerConnection) -> None:
        sockets.append(socket)
        async for text in socket:
            await socket.send(ack_of(json.loads(text)))
            if len(sockets) == 1:
                await socket.send(trade_of("btcusdt@aggTrade"))
            else:
                successors.put_nowait(socket)
                await sockets[0].send(trade_of("btcusdt@aggTrade", len(sockets)))

    heard = Heard()
    patience = replace(PATIENT, takeover_s=0.2)
    async with scripted(only_the_first_delivers) as venue, pool_of(venue, heard, patience=patience) as pool:
        pool.want({"BTCUSDT"})
        await heard.more(1)
        pool.rotate()
        async with asyncio.timeout(20):
            for _ in range(3):
                await successors.get()
        await heard.until(lambda: heard.ids("BTCUSDT")[:3] == [1, 2, 3])
        assert heard.boundaries == []
        assert pool.state()[0].reconnects == 0


async def test_a_successor_takes_over_when_the_old_connection_dies_meanwhile():
    sockets: list[ServerConnection] = []

    async def end_the_first(socket: ServerConnection) -> None:
        sockets.append(socket)
        async for text in socket:
            if len(sockets) == 2:
                await sockets[0].close(1001, "going away")
            await socket.send(ack_of(json.loads(text)))
            await socket.send(trade_of("btcusdt@aggTrade", len(sockets)))

    heard = Heard()
    async with scripted(end_the_first) as venue, pool_of(venue, heard) as pool:
        pool.want({"BTCUSDT"})
        await heard.more(1)
        pool.rotate()
        boundary = await heard.boundary()
        await heard.until(lambda: heard.ids("BTCUSDT") == [1, 2])
        assert "going away" in boundary.detail
        assert len(sockets) == 2
