"""Prices, trades and questions over a real nats-server, as a service has them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import msgspec
import numpy as np
import pytest
from services_rig import TIME_US, TIMEOUT_S, Market, market_on, reading, until

from clients.bus.errors import NoAnswer, NotThere
from clients.services import Services
from clients.updates import Connected, Disconnected, Overrun, StreamGap, StreamPrice
from gateway.natsd import nats_server
from gateway.processes.ports import find_free_port
from gateway.registry import Registry
from processors.bus import Bus, BusAddress, Endpoint, connect
from protocol import subjects
from protocol.bars import BAR, AnswerState, BarsAnswer, encode_answer, parse_query
from protocol.demand import Demand, Question, format_demand, parse_demand
from protocol.errors import UnknownInterval, UnknownSymbol
from protocol.events import Enigma, GapCause, GapState, Quote
from protocol.frames import encode_v2
from protocol.symbols import Instrument


@pytest.fixture
async def market(nats_url: str) -> AsyncIterator[Market]:
    async with market_on(nats_url) as one:
        yield one


async def serve(market: Market, name: str, subject: str, answer: object) -> None:
    endpoint = Endpoint(name, subject, answer)  # type: ignore[arg-type]  # a test's lambda
    await market.bus.serve(f"test-{name}", "1.0.0", "for a test", [endpoint], {})


# Prices, quotes, levels


async def test_a_price_carries_all_that_is_known_of_it(market):
    async with market.services() as services, reading(services.prices(market.name)) as prices:
        await market.price(64_000.5, changes=3)
        price = await prices.next()
    assert isinstance(price, StreamPrice)
    assert (price.symbol, price.entry.name, price.simulated) == ("BTCUSDT", market.name, True)
    assert (price.price, price.volume, price.changes) == (64_000.5, 10.0, 3)
    assert (price.exchange_us, price.delay_us) == (TIME_US - 500, 500)


async def test_quotes_and_levels_come_on_lanes_of_their_own(market):
    async with (
        market.services() as services,
        reading(services.quotes(market.name)) as quotes,
        reading(services.enigma(market.name)) as levels,
    ):
        quote = Quote(market.btc.id, 1 << 8, 700, 1.0, 2.0, 3.0, 4.0)
        await market.bus.publish(subjects.quotes(market.venue, "BTCUSDT"), encode_v2([quote], TIME_US))
        level = Enigma(market.btc.id, 1 << 8, 700, 50.0, 1.0, 3.0)
        await market.bus.publish(subjects.enigma(market.venue, "BTCUSDT"), encode_v2([level], TIME_US))
        assert (await quotes.next()).ask == 3.0
        assert (await levels.next()).level == 50.0


async def test_a_slow_reader_gets_the_newest_price_and_is_told_for_how_many_it_stands(market):
    async with market.services() as services, reading(services.prices(market.name)) as prices:
        for price in range(5):
            await market.price(float(price))
        await until(lambda: services.stats.messages == 5)
        newest = await prices.next()
    assert (newest.price, newest.changes) == (4.0, 5)


async def test_plain_iteration_yields_updates_alone(market):
    async with market.services() as services, asyncio.timeout(TIMEOUT_S), asyncio.TaskGroup() as tasks:
        talking = tasks.create_task(talk(market))
        async for price in services.prices(market.name):
            assert isinstance(price, StreamPrice)
            break
        talking.cancel()


async def talk(market: Market) -> None:
    while True:
        await market.price(1.0)
        await asyncio.sleep(0.01)  # until somebody has subscribed


async def test_what_is_not_a_frame_of_this_lane_is_counted_and_left_out(market):
    async with market.services() as services, reading(services.prices(market.name)) as prices:
        subject = subjects.prices(market.venue, "BTCUSDT")
        await market.bus.publish(subject, b"garbage")
        await market.bus.publish(subject, market.trade_frame([1]))
        await market.price(7.0)
        assert (await prices.next()).price == 7.0
        assert services.stats.bad_messages == 2


async def test_a_symbol_that_is_not_listed_is_an_error(market):
    async with market.services(listed_within_s=0.0) as services:
        with pytest.raises(UnknownSymbol, match="NOSUCHUSDT"):
            await anext(services.prices("NOSUCHUSDT").items())


async def test_a_symbol_that_is_listed_soon_is_waited_for(market):
    async with market.services() as services, asyncio.TaskGroup() as tasks:
        found = tasks.create_task(anext(services.prices(f"{market.venue}:NEWUSDT").items()))
        new = Instrument(
            symbol="NEWUSDT",
            exchange=market.venue.upper(),
            venue=market.venue,
            native="NEWUSDT",
            price_precision=1,
        )
        registry = Registry(market.bus)
        await registry.register([new])
        assert isinstance(await found, Connected)


async def test_how_a_symbol_is_now_is_what_its_prices_say(market):
    registry = Registry(market.bus)
    await registry.open()
    coarser = msgspec.structs.replace(market.btc, price_precision=1, simulated=False)
    async with market.services() as services, reading(services.prices(market.name)) as prices:
        await registry.announce(market.venue, [coarser], now_ms=1)
        await market.bus.flush()
        while True:
            await market.price(1.0)
            price = await prices.next()
            if price.entry.price_precision == 1:  # two subjects have no common order
                break
    assert not price.simulated


# Trades


async def test_trades_come_in_order_and_once(market):
    async with market.services() as services, reading(services.trades(market.name)) as trades:
        await market.trades(41, 42)
        await market.trades(42, 43)
        assert [one.id for one in await trades.take(3)] == [41, 42, 43]


def worker(market: Market, has: set[int]) -> object:
    """What a feed worker answers that has these trades."""

    def answer(_subject: str, payload: bytes) -> bytes:
        asked = json.loads(payload)
        assert asked["last"] - asked["first"] < 5_000
        return market.trade_frame(sorted(one for one in has if asked["first"] <= one <= asked["last"]))

    return answer


async def test_what_the_bus_lost_is_asked_for(market):
    place = subjects.request_trades(market.venue, "BTCUSDT")
    await serve(market, "trades", place, worker(market, set(range(40, 60))))
    async with market.services() as services, reading(services.trades(market.name)) as trades:
        await market.trades(41)
        await market.trades(45)
        found = await trades.take(5)
        assert [(one.id, one.recovered) for one in found] == [
            (41, False), (42, True), (43, True), (44, True), (45, False),
        ]  # fmt: skip
        assert services.stats.recovered_trades == 3


async def test_a_service_goes_on_after_the_trade_that_it_has(market):
    place = subjects.request_trades(market.venue, "BTCUSDT")
    await serve(market, "trades", place, worker(market, set(range(1, 20_000))))
    since = {market.name: 10}
    async with market.services() as services, reading(services.trades(market.name, since=since)) as trades:
        await market.trades(12_001)
        found = await trades.take(11_991)
    assert [one.id for one in found] == list(range(11, 12_002))


async def test_what_cannot_be_had_is_a_gap_in_its_place(market):
    place = subjects.request_trades(market.venue, "BTCUSDT")
    await serve(market, "trades", place, worker(market, {43}))
    async with market.services() as services, reading(services.trades(market.name)) as trades:
        await market.trades(41)
        await market.trades(45)
        first, before, between, after, last = await trades.take(5)
        assert [one.id for one in (first, between, last)] == [41, 43, 45]
        assert isinstance(before, StreamGap)
        assert (before.first_id, before.last_id, before.state) == (42, 42, GapState.OPEN)
        assert (after.first_id, after.last_id, after.explained) == (44, 44, False)
        assert services.stats.missing_trades == 2
        await market.trades(44)  # late after all
        assert (await trades.next()).id == 44


async def test_what_the_ledger_says_is_told_and_not_asked_for(market):
    async with market.services() as services, reading(services.trades(market.name)) as trades:
        await market.trades(41)
        assert (await trades.next()).id == 41
        await market.gap(GapState.LOST, 42, 49, cause=GapCause.BUS)  # between others
        await market.gap(GapState.LOST, 42, 49, stream="bookTicker")
        await market.gap(GapState.LOST, 42, 44)
        gap = await trades.next()
        assert (gap.first_id, gap.last_id, gap.explained) == (42, 44, True)
        await market.trades(45)
        assert (await trades.next()).id == 45
        assert services.stats.missing_trades == 0


async def test_ids_that_begin_anew_are_a_beginning(market):
    async with market.services() as services, reading(services.trades(market.name)) as trades:
        await market.trades(41)
        await trades.next()
        await market.gap(GapState.LOST, 0, 0, missing=0)
        assert isinstance(await trades.next(), StreamGap)
        await market.trades(1, 2)
        assert [one.id for one in await trades.take(2)] == [1, 2]


async def test_a_program_that_is_too_slow_is_told_and_gets_the_trades_all_the_same(market):
    place = subjects.request_trades(market.venue, "BTCUSDT")
    await serve(market, "trades", place, worker(market, set(range(1, 20_000))))
    async with market.services() as services, reading(services.trades(market.name)) as trades:
        for start in range(1, 10_002, 5_000):
            await market.trades(*range(start, start + 5_000))
        await until(lambda: services.stats.overrun == 1)
        assert [one.id for one in await trades.take(10_000)] == list(range(1, 10_001))
        assert await trades.next() == Overrun(1)
        await market.trades(15_001)
        assert [one.id for one in await trades.take(5_001)] == list(range(10_001, 15_002))


# What is watched


class Demands:
    """What is said on `control.symbols` of one venue."""

    def __init__(self, bus: Bus, venue: str) -> None:
        self._bus = bus
        self._venue = venue
        self._said: asyncio.Queue[list[str]] = asyncio.Queue()

    async def listen(self) -> None:
        await self._bus.subscribe(subjects.CONTROL_SYMBOLS, self._on_message)
        await self._bus.flush()

    def _on_message(self, _subject: str, payload: bytes) -> None:
        message = parse_demand(payload)
        if isinstance(message, Demand) and message.node.startswith("watcher"):
            self._said.put_nowait(message.wants.get(self._venue, []))

    async def until(self, wanted: list[str]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while await self._said.get() != wanted:
                pass


async def test_what_is_watched_is_wanted_and_no_longer_afterwards(market):
    demands = Demands(market.bus, market.venue)
    await demands.listen()
    async with market.services(name="watcher") as services:
        async with reading(services.prices(market.name)), reading(services.trades(market.name)):
            await demands.until(["BTCUSDT"])
            await market.bus.publish(subjects.CONTROL_SYMBOLS, format_demand(Question()))
            await demands.until(["BTCUSDT"])
            async with reading(services.quotes(market.eth.name)):
                await demands.until(["BTCUSDT", "ETHUSDT"])
            await demands.until(["BTCUSDT"])
        await demands.until([])


# Questions


async def test_a_price_is_asked_for(market):
    body = {
        "symbol": "BTCUSDT", "name": market.name, "price": 1.5, "bid": 1.0, "ask": None, "volume": 9.0,
        "timestamp": 1_700_000_000_000, "simulated": True, "later": "fields are left out",
    }  # fmt: skip
    subject = subjects.request_price(market.venue, "BTCUSDT")
    await serve(market, "price", subject, lambda _subject, _payload: json.dumps(body).encode())
    async with market.services() as services:
        price = await services.price(market.name)
    assert (price.price, price.bid, price.ask, price.simulated) == (1.5, 1.0, None, True)


async def test_a_question_that_nobody_answers_says_so(market):
    async with market.services() as services:
        with pytest.raises(NoAnswer, match="nobody serves it"):
            await services.price(market.name)


async def test_a_price_that_there_is_not_yet_is_told_from_no_answer(market):
    def nothing(_subject: str, _payload: bytes) -> bytes:
        raise KeyError("no price")

    await serve(market, "price", subjects.request_price(market.venue, "BTCUSDT"), nothing)
    async with market.services() as services:
        with pytest.raises(NotThere):
            await services.price(market.name)


@pytest.mark.parametrize("answer", [b"", b"{}", b"\xff"])
async def test_an_answer_that_makes_no_sense_is_none(market, answer):
    subject = subjects.request_price(market.venue, "BTCUSDT")
    await serve(market, "price", subject, lambda _subject, _payload: answer)
    async with market.services() as services:
        with pytest.raises(NoAnswer, match="makes no sense"):
            await services.price(market.name)


async def test_all_symbols_are_listed_with_their_ids(market):
    async with market.services() as services:
        listed = await services.symbols()
    assert [one for one in listed if one.venue == market.venue] == [market.btc, market.eth]


@pytest.fixture
async def own_bus(tmp_path) -> AsyncIterator[Market]:
    """A market on a server of its own, for subjects that all venues share."""
    async with nats_server(tmp_path, find_free_port(), {}) as server, market_on(server.url) as one:
        yield one


async def test_bars_come_oldest_first_and_page_by_page(own_bus):
    def answer(_subject: str, payload: bytes) -> bytes:
        query = parse_query(payload)
        last = min(query.to_ms // 60_000, 10)
        bars = np.zeros(min(3, last), BAR)
        bars["open_ms"] = [minute * 60_000 for minute in range(last - len(bars), last)]
        more = AnswerState.MORE if query.countback > len(bars) else AnswerState(0)
        return encode_answer(BarsAnswer(9_000 - last, last, more, bars))

    await serve(own_bus, "bars", subjects.REQUEST_BARS, answer)
    async with own_bus.services() as services:
        bars = await services.bars(own_bus.name, "1m", 7)
        with pytest.raises(UnknownInterval):
            await services.bars(own_bus.name, "7m")
    assert (bars.bars["open_ms"] // 60_000).tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert (bars.as_of_us, bars.last_id) == (8_990, 10)


# The connection


async def test_it_waits_for_a_server_that_is_not_there_yet(tmp_path):
    port = find_free_port()
    services = Services(f"nats://127.0.0.1:{port}")
    async with asyncio.timeout(TIMEOUT_S), asyncio.TaskGroup() as tasks:
        opening = tasks.create_task(services.__aenter__())
        async with nats_server(tmp_path, port, {}):
            await opening
            assert services.is_connected
            await services.__aexit__()
    assert not services.is_connected


async def test_it_goes_on_after_a_server_was_away_and_says_that_it_was(tmp_path):
    port = find_free_port()
    async with asyncio.timeout(TIMEOUT_S), AsyncExitStack() as stack:
        async with nats_server(tmp_path, port, {}) as server, market_on(server.url) as market:
            services = await stack.enter_async_context(market.services())
            prices = await stack.enter_async_context(reading(services.prices(market.name)))
        assert isinstance(await prices.next(), Disconnected)
        async with nats_server(tmp_path, port, {}), connect(BusAddress([market.url]), "test") as market.bus:
            back = await prices.next()
            assert isinstance(back, Connected)
            assert back.away_ms > 0
            await market.price(3.0)
            assert (await prices.next()).price == 3.0
            assert services.stats.reconnects == 1


async def test_leaving_in_the_middle_of_a_lane_leaves_nothing_behind(market):
    async with market.services() as services:
        lane = services.trades(market.name).items()
        await anext(lane)
    with pytest.raises(RuntimeError, match="open it first"):
        services.prices(market.name)
    assert isinstance(await anext(lane, None), Disconnected | None)
    assert await anext(lane, None) is None
    await lane.aclose()
