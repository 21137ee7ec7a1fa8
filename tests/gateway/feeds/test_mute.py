"""Connections that stand and deliver nothing: found by their rhythm, proven by a second connection."""

import json
from dataclasses import replace
from itertools import pairwise

from listening import (
    FEW,
    PATIENT,
    Heard,
    ack_of,
    pool_of,
    scripted,
    seed_that_strikes,
    simulated,
    trade_of,
    venue_at,
)
from websockets.asyncio.server import ServerConnection

from gateway.feeds.boundary import Boundary
from gateway.feeds.connections.pool import ConnectionPool
from gateway.feeds.connections.rhythm import RhythmRules
from gateway.sim.faults import Fault, FaultKind
from protocol.events import GapCause
from protocol.market import AggTrade

WANTED = frozenset({"BTCUSDT", "ETHUSDT", "SOLUSDT"})
QUICK = RhythmRules(
    window_ms=500, learn_steps=5, learn_ms=500, least_all_ms=300, least_one_ms=500, first_data_ms=300
)
IMPATIENT = replace(PATIENT, opinion_s=0.5, opinion_every_s=0.1, lag_s=0.1, rhythm=QUICK)
STEADY_US = 1_300_000
HICCUP_US = 250_000


async def learned(heard: Heard) -> None:
    """Wait until every symbol has been heard steadily for two windows: a busy machine hiccups."""
    await heard.until(lambda: all(is_steady(heard, native) for native in WANTED))


def is_steady(heard: Heard, native: str) -> bool:
    moments = [
        us for event, us in zip(heard.events, heard.received_us, strict=True) if event.native == native
    ]
    if not moments or heard.received_us[-1] - moments[0] < STEADY_US:
        return False
    since_us = heard.received_us[-1] - STEADY_US
    steps = pairwise([since_us, *(us for us in moments if us >= since_us), heard.received_us[-1]])
    return all(later - earlier < HICCUP_US for earlier, later in steps)


async def test_a_connection_that_falls_silent_is_replaced_and_the_cause_named():
    heard = Heard()
    async with (
        simulated(seed=seed_that_strikes(1)) as sim,
        pool_of(venue_at(sim), heard, patience=IMPATIENT) as pool,
    ):
        pool.want(WANTED)
        await learned(heard)
        sim.inject(Fault(FaultKind.MUTE, share=FEW))
        boundary = await heard.boundary()
        assert (boundary.cause, boundary.natives) == (GapCause.MUTE, WANTED)
        assert boundary.detail.startswith("all silent: nothing for ")
        await heard.more(20)
        assert pool.state()[0].reconnects == 1
        assert pool.state()[0].mute == ""


async def test_the_boundary_comes_before_what_the_next_connection_brings():
    class Ordered(Heard):
        before: int | None = None

        def on_boundary(self, boundary: Boundary) -> None:
            self.before = len(self.ids("BTCUSDT"))
            super().on_boundary(boundary)

    heard = Ordered()
    async with (
        simulated(seed=seed_that_strikes(1)) as sim,
        pool_of(venue_at(sim), heard, patience=IMPATIENT) as pool,
    ):
        pool.want(WANTED)
        await learned(heard)
        sim.inject(Fault(FaultKind.MUTE, share=FEW))
        await heard.boundary()
        await heard.until(lambda: len(heard.ids("BTCUSDT")) > heard.before + 1)
    ids = heard.ids("BTCUSDT")
    assert ids[: heard.before] == list(range(ids[0], ids[0] + heard.before))
    assert ids[heard.before] > ids[heard.before - 1] + 1, "the hole is behind the boundary"


async def test_a_connection_that_acknowledges_and_never_delivers_is_replaced():
    heard = Heard()
    async with (
        simulated(seed=seed_that_strikes(1)) as sim,
        pool_of(venue_at(sim), heard, patience=IMPATIENT) as pool,
    ):
        sim.inject(Fault(FaultKind.MUTE, share=FEW))
        pool.want(WANTED)
        boundary = await heard.boundary()
        assert boundary.cause is GapCause.MUTE
        assert boundary.detail.startswith("acked but no data: nothing from BTCUSDT")
        assert boundary.last_message_us > 0, "the acknowledgement"
        await heard.more(20)


async def test_one_silent_stream_among_others_is_found_and_named():
    heard = Heard()
    async with (
        simulated(seed=seed_that_strikes(1)) as sim,
        pool_of(venue_at(sim), heard, patience=IMPATIENT) as pool,
    ):
        pool.want(WANTED)
        await learned(heard)
        sim.inject(Fault(FaultKind.MUTE, share=FEW, symbols=("ETHUSDT",)))
        boundary = await heard.boundary()
        assert boundary.detail.startswith("silent after data: nothing from ETHUSDT for ")
        count = len(heard.ids("ETHUSDT"))
        await heard.until(lambda: len(heard.ids("ETHUSDT")) > count)


async def test_a_halted_symbol_raises_no_alarm():
    heard = Heard()
    async with simulated() as sim, pool_of(venue_at(sim), heard, patience=IMPATIENT) as pool:
        pool.want(WANTED)
        await learned(heard)
        sim.inject(Fault(FaultKind.HALT, symbols=("ETHUSDT",)))
        await heard.until(lambda: "second connection hears nothing" in pool.state()[0].mute)
        assert heard.boundaries == []
        count = len(heard.ids("ETHUSDT"))
        sim.exchange.clear_faults()
        await heard.until(lambda: len(heard.ids("ETHUSDT")) > count)
        await heard.until(lambda: pool.state()[0].mute == "")
        assert pool.state()[0].reconnects == 0


async def test_who_is_silent_and_is_let_go_is_no_trouble_any_more():
    heard = Heard()
    async with simulated() as sim, pool_of(venue_at(sim), heard, patience=IMPATIENT) as pool:
        pool.want(WANTED)
        await learned(heard)
        sim.inject(Fault(FaultKind.HALT, symbols=("ETHUSDT",)))
        await heard.until(lambda: "second connection hears nothing" in pool.state()[0].mute)
        pool.want(WANTED - {"SOLUSDT"})
        assert pool.state()[0].mute
        pool.want(WANTED - {"ETHUSDT"})
        assert pool.state()[0].mute == ""


async def test_a_quiet_symbol_beside_a_busy_one_raises_no_alarm():
    heard = Heard()
    async with simulated(rate=0.2) as sim, pool_of(venue_at(sim), heard, patience=IMPATIENT) as pool:
        pool.want(WANTED)
        async with (
            simulated() as other,
            ConnectionPool(venue_at(other), ("aggTrade",), heard, patience=IMPATIENT) as busy,
        ):
            busy.want({"BTCUSDT"})
            await heard.until(lambda: (AggTrade, "BTCUSDT") in heard.seen())
            await heard.more(150)  # three seconds of another market, to pass the time
        assert heard.boundaries == []
        assert pool.state()[0].reconnects == 0


async def test_a_whole_market_that_falls_silent_is_on_record_and_nothing_is_cut():
    heard = Heard()
    async with simulated() as sim, pool_of(venue_at(sim), heard, patience=IMPATIENT) as pool:
        pool.want(WANTED)
        await learned(heard)
        sim.inject(Fault(FaultKind.MUTE))
        boundary = await heard.boundary()
        assert boundary.cause is GapCause.MUTE
        assert boundary.detail.endswith("a second connection hears nothing either")
        sim.exchange.clear_faults()
        await heard.more(20)
        assert pool.state()[0].reconnects == 0


async def test_a_dead_address_is_called_so_and_not_stormed():
    heard = Heard()
    async with (
        simulated(faults=(Fault(FaultKind.STALE),)) as sim,
        ConnectionPool(
            venue_at(sim, "binance-usdm"), ("aggTrade", "bookTicker"), heard, patience=IMPATIENT
        ) as pool,
    ):
        pool.want(WANTED)
        dead, alive = pool.state()
        await heard.until(lambda: "the address is dead" in pool.state()[0].mute)
        dead, alive = pool.state()
        assert dead.mute.startswith("acked but no data")
        assert alive.mute == ""
        assert sim.exchange.counted["attempts"] <= 4


async def test_a_later_subscribe_without_an_answer_costs_the_others_nothing():
    sockets: list[ServerConnection] = []

    async def forget_the_second_request(socket: ServerConnection) -> None:
        sockets.append(socket)
        asked = 0
        async for text in socket:
            asked += 1
            if len(sockets) > 1 or asked == 1:
                request = json.loads(text)
                await socket.send(ack_of(request))
                for name in request["params"]:
                    await socket.send(trade_of(name, len(sockets)))

    heard = Heard()
    patience = replace(PATIENT, ack_s=0.3)
    async with scripted(forget_the_second_request) as venue, pool_of(venue, heard, patience=patience) as pool:
        pool.want({"BTCUSDT"})
        await heard.more(1)
        pool.want({"BTCUSDT", "ETHUSDT"})
        boundary = await heard.boundary()
        assert (boundary.cause, boundary.detail[:6]) == (GapCause.MUTE, "no ack")
        assert heard.ids("BTCUSDT") == [1, 2]
        assert heard.ids("ETHUSDT") == [2]
