"""Past trades by request: from the tape, from the venue, from neither."""

import asyncio

import pytest

from gateway.exchanges.venue import VENUES
from gateway.feeds.rest import Rest
from gateway.feeds.trades import requests as requests_of_trades
from gateway.feeds.trades.requests import TradeRequests
from gateway.sim.faults import Fault, FaultKind
from gateway.sim.server import SimOptions, SimulatedExchange
from processors.bus import Unavailable
from processors.price import PriceProcessor
from protocol.events import Kind, TradeFlag
from protocol.frames import decode_v2

SUBJECT = "request.trades.binance.BTCUSDT"


async def ask(requests: TradeRequests, first: int, last: int) -> list:
    reply = await requests.answer(SUBJECT, b'{"first":%d,"last":%d}' % (first, last))
    assert reply is not None
    frame = decode_v2(reply)
    assert frame.kind is Kind.TRADE
    return frame.rows()


@pytest.fixture
async def sim():
    async with SimulatedExchange(SimOptions(symbols=2, rate=50)) as running:
        yield running


@pytest.fixture
async def rest(sim):
    async with Rest(VENUES["binance"].with_endpoints(rest=sim.url), first_backoff_ms=1) as opened:
        yield opened


async def requests_with_the_newest(rest: Rest, count: int) -> tuple[TradeRequests, int]:
    """Make a worker that has the newest trades on its tape, and name the last."""
    processor = PriceProcessor("binance", 0, epoch_us=1)
    processor.add_symbol("BTCUSDT", 7)
    newest = await rest.agg_trades("BTCUSDT", None, count)
    for trade in newest:
        processor.on_event(trade, 1)
    requests = TradeRequests(processor, rest, lambda _native: newest[-1].id)
    requests.add_symbol("BTCUSDT")
    return requests, newest[-1].id


async def test_what_the_tape_has_is_answered_from_it(rest):
    requests, last = await requests_with_the_newest(rest, 20)
    rows = await ask(requests, last - 9, last)
    assert [row.id for row in rows] == list(range(last - 9, last + 1))
    assert {row.symbol_id for row in rows} == {7}
    assert not any(row.flags & TradeFlag.RECOVERED for row in rows)


async def test_what_the_tape_has_gone_past_is_fetched_from_the_venue(rest):
    requests, last = await requests_with_the_newest(rest, 20)
    rows = await ask(requests, last - 2_499, last)
    assert [row.id for row in rows] == list(range(last - 2_499, last + 1))
    fetched = [row.id for row in rows if row.flags & TradeFlag.RECOVERED]
    assert fetched == list(range(last - 2_499, last - 19))


async def test_a_request_is_answered_with_five_thousand_at_most(rest):
    requests, last = await requests_with_the_newest(rest, 1)
    rows = await ask(requests, last - 9_999, last)
    assert [row.id for row in rows] == list(range(last - 9_999, last - 4_999))


async def test_what_nobody_has_is_absent_from_the_reply(rest, sim):
    requests, last = await requests_with_the_newest(rest, 5)
    sim.inject(Fault(FaultKind.RATE_LIMIT, status=418, retry_after=7_200))
    assert [row.id for row in await ask(requests, last - 9, last)] == list(range(last - 4, last + 1))


async def test_what_is_newer_than_all_that_is_known_is_not_fetched(rest, sim):
    requests, last = await requests_with_the_newest(rest, 5)
    asked = sim.exchange.counted["rest.200"]
    assert await ask(requests, last + 1, last + 5_000) == []
    assert [row.id for row in await ask(requests, last, last + 100)] == [last]
    assert sim.exchange.counted["rest.200"] == asked


async def test_another_workers_symbol_is_met_with_silence(rest):
    requests, _ = await requests_with_the_newest(rest, 1)
    assert await requests.answer("request.trades.binance.ETHUSDT", b'{"first":1,"last":2}') is None


async def test_of_an_own_symbol_that_is_not_carried_there_is_nothing(rest, sim):
    requests = TradeRequests(PriceProcessor("binance", 0, epoch_us=1), rest, lambda _native: 0)
    requests.add_symbol("BTCUSDT")
    assert await ask(requests, 1, 100) == []
    assert not sim.exchange.counted["rest.200"]


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"first":0,"last":5}', b'{"first":1}', b"\xff"])
async def test_nonsense_is_refused(rest, payload: bytes):
    requests, _ = await requests_with_the_newest(rest, 1)
    with pytest.raises(KeyError):
        await requests.answer(SUBJECT, payload)


# All of it, or "not now"


async def ask_whole(requests: TradeRequests, first: int, last: int) -> list:
    reply = await requests.answer(SUBJECT, b'{"first":%d,"last":%d,"whole":true}' % (first, last))
    assert reply is not None
    return decode_v2(reply).rows()


async def test_the_whole_is_had_from_tape_and_venue(rest):
    requests, last = await requests_with_the_newest(rest, 5)
    assert [row.id for row in await ask_whole(requests, last - 9, last)] == list(range(last - 9, last + 1))


async def test_the_whole_comes_later_while_the_venue_cannot_be_reached(rest, sim, monkeypatch):
    monkeypatch.setattr(requests_of_trades, "FETCH_TIMEOUT_S", 0.05)
    requests, last = await requests_with_the_newest(rest, 5)
    sim.inject(Fault(FaultKind.RATE_LIMIT, retry_after=30))
    with pytest.raises(Unavailable, match="does not answer in time"):
        await ask_whole(requests, last - 9, last)
    assert len(await ask(requests, last - 9, last)) == 5


async def test_what_the_venue_will_not_tell_is_not_waited_for(rest, sim):
    requests, last = await requests_with_the_newest(rest, 5)
    sim.inject(Fault(FaultKind.RATE_LIMIT, status=418, retry_after=7_200))
    assert [row.id for row in await ask_whole(requests, last - 9, last)] == list(range(last - 4, last + 1))


async def test_of_trades_that_a_new_worker_has_not_heard_of_yet_it_does_not_speak(rest):
    requests, last = await requests_with_the_newest(rest, 5)
    with pytest.raises(Unavailable, match=f"newest trade of BTCUSDT that is known here is {last}"):
        await ask_whole(requests, last, last + 1)


async def test_who_wants_the_same_at_the_same_time_is_answered_by_one_question(rest, sim):
    requests, last = await requests_with_the_newest(rest, 5)
    asked = sim.exchange.counted["rest.200"]
    answers = await asyncio.gather(*[ask_whole(requests, last - 99, last) for _ in range(8)])
    assert all([row.id for row in rows] == list(range(last - 99, last + 1)) for rows in answers)
    assert sim.exchange.counted["rest.200"] == asked + 1
