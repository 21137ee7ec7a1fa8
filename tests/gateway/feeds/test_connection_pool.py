"""The connections to one venue, against the simulated exchange and, where it is too kind, scripted ones."""

import asyncio
import json
from dataclasses import replace

import pytest
from listening import PATIENT, Heard, answer_all, pool_of, scripted, simulated, trade_of, venue_at
from websockets.asyncio.server import ServerConnection

from gateway.exchanges.venue import VENUES, Venue
from gateway.feeds.connections.connection import Phase
from gateway.feeds.connections.pool import ConnectionPool
from gateway.feeds.connections.turn import Turn
from gateway.sim.faults import Fault, FaultKind
from gateway.sim.server import SimOptions, SimulatedExchange
from protocol.market import AggTrade, BookTop, DayTicker


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("binance", {"BTCUSDT", "ETHUSDT"}),
        ("binance-usdm", {"BTCUSDT", "ETHUSDT"}),
        ("binance-coinm", {"BTCUSD_PERP"}),
    ],
)
async def test_every_kind_of_every_wanted_symbol_arrives_and_nothing_else(
    name: str, wanted: set[str]
) -> None:
    heard = Heard()
    expected = {(kind, native) for kind in (AggTrade, BookTop, DayTicker) for native in wanted}
    async with simulated() as sim:
        pool = ConnectionPool(venue_at(sim, name), ("aggTrade", "bookTicker", "miniTicker"), heard)
        async with pool:
            pool.want(wanted)
            await heard.until(lambda: heard.seen() >= expected)
            assert [one.phase for one in pool.state()] == [Phase.LIVE] * 3
        assert heard.seen() == expected
        assert pool.bad_payloads.count == 0


async def test_symbols_come_and_go_without_a_seam_in_the_others() -> None:
    heard = Heard()
    async with simulated() as sim, pool_of(venue_at(sim), heard) as pool:
        pool.want({"BTCUSDT"})
        await heard.more()
        pool.want({"BTCUSDT", "ETHUSDT"})
        await heard.until(lambda: (AggTrade, "ETHUSDT") in heard.seen())
        pool.want({"BTCUSDT", "SOLUSDT"})
        await heard.until(lambda: (AggTrade, "SOLUSDT") in heard.seen())
        heard.events[:] = [one for one in heard.events if one.native == "BTCUSDT"]
        await heard.more(20)
        assert heard.seen() == {(AggTrade, "BTCUSDT"), (AggTrade, "SOLUSDT")}
        ids = heard.ids("BTCUSDT")
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        assert [one.reconnects for one in pool.state()] == [0]


async def test_when_nothing_is_wanted_nothing_is_connected() -> None:
    heard = Heard()
    async with simulated() as sim, ConnectionPool(venue_at(sim), ("aggTrade", "trade"), heard) as pool:
        assert pool.state() == []
        pool.want({"BTCUSDT"})
        await heard.more()
        pool.want(())
        assert pool.state() == []


async def test_more_streams_than_a_connection_may_have_are_spread() -> None:
    heard = Heard()
    async with simulated() as sim:
        venue = venue_at(sim)
        narrow = replace(venue, limits=replace(venue.limits, streams_per_connection=2))
        wanted = {"BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT"}
        async with pool_of(narrow, heard) as pool:
            pool.want(wanted)
            await heard.until(lambda: {native for _, native in heard.seen()} == wanted)
            assert sorted(len(one.streams) for one in pool.state()) == [1, 2, 2]


async def test_a_cut_connection_comes_back_with_its_streams() -> None:
    heard = Heard()
    async with simulated() as sim, pool_of(venue_at(sim), heard) as pool:
        pool.want({"BTCUSDT"})
        await heard.more()
        sim.inject(Fault(FaultKind.CUT))
        await heard.until(lambda: pool.state()[0].reconnects > 0)
        await heard.more()
        [state] = pool.state()
        assert state.phase is Phase.LIVE
        assert state.last_error == "the connection was lost"


async def test_malformed_messages_are_kept_and_stop_nothing() -> None:
    heard = Heard()
    async with simulated() as sim, pool_of(venue_at(sim), heard) as pool:
        sim.inject(Fault(FaultKind.MALFORMED, share=0.5))
        pool.want({"BTCUSDT"})
        await heard.until(lambda: pool.bad_payloads.count >= 4)
        await heard.more()
        [state] = pool.state()
        assert state.reconnects == 0
        assert state.bad_payloads == pool.bad_payloads.count
        newest = list(pool.bad_payloads)[-1]
        assert newest.connection == "aggTrade-0"
        assert newest.reason
        assert newest.data.startswith(b'{"stream":"btcusdt@aggTrade"')


async def test_an_announced_shutdown_is_not_waited_for() -> None:
    heard = Heard()
    async with simulated() as sim, pool_of(venue_at(sim), heard) as pool:
        pool.want({"BTCUSDT"})
        await heard.more()
        sim.inject(Fault(FaultKind.SHUTDOWN, seconds=60))
        await heard.until(lambda: pool.state()[0].reconnects > 0)
        assert "announced" in str(pool.state()[0].last_error)


async def test_a_connection_is_replaced_before_the_venue_cuts_it() -> None:
    heard = Heard()
    async with simulated() as sim:
        venue = venue_at(sim)
        short = replace(venue, limits=replace(venue.limits, max_life_s=2))
        patience = replace(PATIENT, spare_life_s=1.9)
        async with pool_of(short, heard, patience=patience, jitter=lambda: 0.5) as pool:
            pool.want({"BTCUSDT"})
            await heard.until(lambda: pool.state()[0].reconnects > 0)
            assert "limit of age" in str(pool.state()[0].last_error)


async def test_what_the_taker_raises_ends_the_pool() -> None:
    def refuse(turn: Turn, received_us: int) -> None:
        raise LookupError(*turn)

    async def run(venue: Venue) -> None:
        async with asyncio.timeout(20), pool_of(venue, refuse) as pool:
            pool.want({"BTCUSDT"})
            await asyncio.Event().wait()

    async with simulated() as sim:
        with pytest.raises(ExceptionGroup) as caught:
            await run(venue_at(sim))
    assert caught.group_contains(LookupError, match="BTCUSDT")


async def test_a_venue_that_is_away_is_tried_until_it_is_there() -> None:
    heard, failures = Heard(), asyncio.Queue[None]()

    def jitter() -> float:
        failures.put_nowait(None)
        return 0.5

    async with simulated() as gone:
        port = gone.port
    venue = VENUES["binance"].with_endpoints(f"ws://127.0.0.1:{port}")
    async with pool_of(venue, heard, jitter=jitter) as pool:
        pool.want({"BTCUSDT"})
        async with asyncio.timeout(20):
            for _ in range(3):
                await failures.get()
        assert "connection refused" in str(pool.state()[0].last_error)
        async with SimulatedExchange(SimOptions(symbols=5, rate=50, port=port)):
            await heard.more()


def test_a_kind_that_the_venue_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="no streams of kind depth"):
        ConnectionPool(VENUES["binance"], ("aggTrade", "depth"), Heard())


# Exchanges that do what the simulated one does not


async def test_a_rejected_stream_is_named_and_harms_no_other() -> None:
    async def refuse_bad(socket: ServerConnection) -> None:
        async for text in socket:
            request = json.loads(text)
            if "badusdt@aggTrade" in request["params"]:
                await socket.send(json.dumps({"error": {"code": -1121, "msg": "no"}, "id": request["id"]}))
                await socket.send(trade_of("ausdt@aggTrade"))
                continue
            await socket.send(json.dumps({"result": None, "id": request["id"]}))
            for name in request["params"]:
                await socket.send(trade_of(name))

    heard = Heard()
    async with scripted(refuse_bad) as venue, pool_of(venue, heard) as pool:
        pool.want({"AUSDT", "BADUSDT", "CUSDT", "DUSDT"})
        await heard.until(lambda: bool(pool.state()[0].rejected) and len(heard.seen()) == 3)
        assert {native for _, native in heard.seen()} == {"AUSDT", "CUSDT", "DUSDT"}
        [state] = pool.state()
        assert state.rejected == {"badusdt@aggTrade": "no (code -1121)"}
        assert state.reconnects == 0


async def test_a_subscribe_without_an_answer_ends_the_connection() -> None:
    connections = 0

    async def answer_the_second(socket: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        if connections == 1:
            await socket.wait_closed()
        await answer_all(socket)

    heard = Heard()
    patience = replace(PATIENT, ack_s=0.2)
    async with scripted(answer_the_second) as venue, pool_of(venue, heard, patience=patience) as pool:
        pool.want({"BTCUSDT"})
        await heard.more(1)
        assert "no answer" in str(pool.state()[0].last_error)


async def test_pings_are_answered_with_their_payload() -> None:
    answered = asyncio.Event()

    async def ping(socket: ServerConnection) -> None:
        await (await socket.ping(b"1780000000123"))  # only a pong with the same payload ends this
        answered.set()
        await answer_all(socket)

    async with scripted(ping) as venue, pool_of(venue, Heard()) as pool:
        pool.want({"BTCUSDT"})
        async with asyncio.timeout(20):
            await answered.wait()


async def test_a_message_in_fragments_is_one_message() -> None:
    async def cut_up(socket: ServerConnection) -> None:
        await socket.send(list(trade_of("btcusdt@aggTrade")))
        await answer_all(socket)

    heard = Heard()
    async with scripted(cut_up) as venue, pool_of(venue, heard) as pool:
        pool.want({"BTCUSDT"})
        await heard.more(2)
        assert pool.bad_payloads.count == 0


async def test_a_close_is_reported_in_the_venues_words() -> None:
    async def turn_away(socket: ServerConnection) -> None:
        await socket.close(1008, "too many requests")

    heard = Heard()
    async with scripted(turn_away) as venue, pool_of(venue, heard) as pool:
        pool.want({"BTCUSDT"})
        assert "too many requests" in (await heard.boundary()).detail
        assert "too many requests" in str(pool.state()[0].last_error)


async def test_leaving_the_pool_says_goodbye() -> None:
    closed = asyncio.Queue[int | None]()

    async def watch(socket: ServerConnection) -> None:
        await answer_all(socket)
        closed.put_nowait(socket.close_code)

    heard = Heard()
    async with scripted(watch) as venue:
        async with ConnectionPool(venue, ("aggTrade", "bookTicker"), heard) as pool:
            pool.want({"BTCUSDT"})
            await heard.more(2)
        async with asyncio.timeout(20):
            assert [await closed.get(), await closed.get()] == [1000, 1000]
