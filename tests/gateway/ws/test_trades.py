"""Trades from a feed to clients over a real bus and a real gateway."""

import asyncio
import json
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection

from gateway import repair, trade_fetcher
from gateway.ws.endpoint import ClientLimits
from protocol.events import Gap, GapCause, GapState, Kind, Trade, TradeFlag
from protocol.frames import decode_v2


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up what cannot be had in less than a second."""
    monkeypatch.setattr(repair, "HOLD_BACK_S", 0.3)
    monkeypatch.setattr(repair, "GIVE_UP_S", 0.6)
    monkeypatch.setattr(trade_fetcher, "WHOLE_PATIENCE_S", 0.3)


async def ask(client: ClientConnection, symbol: str, **more: Any) -> None:
    await client.send(json.dumps({"type": "subscribe", "symbols": [symbol], "kinds": ["trade"], **more}))
    reply = json.loads(await asyncio.wait_for(client.recv(), 5))
    assert reply["type"] == "symbols", reply


@asynccontextmanager
async def watching(rig: Any, symbol: str, **more: Any):
    async with rig.connect(2) as client:
        await ask(client, symbol, **more)
        yield client


async def rows_until(client: ClientConnection, last_id: int) -> list[Trade | Gap]:
    """Read trades and gaps until one has this last id."""
    rows: list[Trade | Gap] = []
    async with asyncio.timeout(15):
        while not rows or last_of(rows[-1]) != last_id:
            message = await client.recv()
            assert isinstance(message, bytes), message
            frame = decode_v2(message)
            assert frame.kind in (Kind.TRADE, Kind.GAP)
            rows += frame.rows()
    return rows


def last_of(row: Trade | Gap) -> int:
    return row.id if isinstance(row, Trade) else row.last_id


def ids(rows: list[Trade | Gap]) -> list[int]:
    assert all(isinstance(row, Trade) for row in rows), rows
    return [row.id for row in rows]


async def heard(rig: Any, symbol: str, count: int) -> list[int]:
    """Trade, and wait until a client has it: then the gateway knows these."""
    async with watching(rig, symbol) as client:
        traded = rig.trades(symbol, count)
        await rows_until(client, traded[-1])
    return traded


async def test_every_trade_comes_once_in_the_order_of_its_ids(rig):
    btc = next(iter(rig.ids))
    async with watching(rig, btc) as client:
        traded = [one for _ in range(20) for one in rig.trades(btc, 13)]
        rows = await rows_until(client, traded[-1])
    assert ids(rows) == traded
    assert {row.symbol_id for row in rows} == {rig.ids[btc]}
    assert not any(row.flags & TradeFlag.RECOVERED for row in rows)


async def test_a_new_subscriber_starts_with_the_newest_trade(rig):
    btc = next(iter(rig.ids))
    await heard(rig, btc, 5)
    async with watching(rig, btc) as client:
        assert ids(await rows_until(client, 5)) == [5]
        rig.trades(btc, 2)
        assert ids(await rows_until(client, 7)) == [6, 7]


async def test_prices_and_trades_of_one_subscription_come_side_by_side(rig):
    btc = next(iter(rig.ids))
    async with watching(rig, btc, kinds=["price", "trade"]) as client:
        rig.trades(btc, 1)
        kinds = set()
        async with asyncio.timeout(5):
            while kinds != {Kind.PRICE, Kind.TRADE}:
                kinds.add(decode_v2(await client.recv()).kind)


async def test_a_client_resumes_after_the_last_trade_it_has(rig):
    btc = next(iter(rig.ids))
    await heard(rig, btc, 50)
    async with watching(rig, btc, since={btc: 20}) as client:
        assert ids(await rows_until(client, 50)) == list(range(21, 51))
        rig.trades(btc, 3)
        assert ids(await rows_until(client, 53)) == [51, 52, 53]


async def test_a_client_that_has_all_gets_only_what_comes(rig):
    btc = next(iter(rig.ids))
    await heard(rig, btc, 5)
    async with watching(rig, btc, since={btc: 5}) as client:
        rig.trades(btc, 2)
        assert ids(await rows_until(client, 7)) == [6, 7]


async def test_a_client_that_is_ahead_gets_nothing_it_has(rig):
    btc = next(iter(rig.ids))
    await heard(rig, btc, 5)
    async with watching(rig, btc, since={btc: 8}) as client:
        rig.trades(btc, 5)
        assert ids(await rows_until(client, 10)) == [9, 10]


async def test_what_the_gateway_never_heard_comes_from_the_feed(rig):
    btc = next(iter(rig.ids))
    rig.trades(btc, 10, loses=True)
    await heard(rig, btc, 5)
    async with watching(rig, btc, since={btc: 3}) as client:
        assert ids(await rows_until(client, 15)) == list(range(4, 16))


async def test_a_gateway_that_has_heard_nothing_yet_asks_the_feed(rig):
    btc = next(iter(rig.ids))
    rig.trades(btc, 10, loses=True)
    async with watching(rig, btc, since={btc: 3}) as client:
        assert ids(await rows_until(client, 10)) == list(range(4, 11))
        rig.trades(btc, 2)
        assert ids(await rows_until(client, 12)) == [11, 12]


async def test_what_nobody_has_any_more_is_a_gap_before_the_rest(impatient, rig):
    btc = next(iter(rig.ids))
    rig.last_ids[btc] = 1_000
    await heard(rig, btc, 5)
    async with watching(rig, btc, since={btc: 900}) as client:
        gap, *rest = await rows_until(client, 1_005)
    assert (gap.state, gap.cause) == (GapState.LOST, GapCause.OUT_OF_REACH)
    assert (gap.first_id, gap.last_id) == (901, 1_000)
    assert ids(rest) == [1_001, 1_002, 1_003, 1_004, 1_005]


async def test_a_client_that_was_away_for_very_long_is_told_what_it_does_not_get(impatient, rig):
    btc = next(iter(rig.ids))
    rig.last_ids[btc] = 70_000
    rig.answers = False
    await heard(rig, btc, 5)
    async with watching(rig, btc, since={btc: 1}) as client:
        rows = await rows_until(client, 70_005)
    gaps = [row for row in rows if isinstance(row, Gap)]
    assert [(gap.first_id, gap.last_id) for gap in gaps[:2]] == [(2, 20_005), (20_006, 25_005)]
    assert gaps[-1].last_id == 70_000


async def test_trades_lost_on_the_bus_are_asked_for_and_come_in_order(rig):
    btc = next(iter(rig.ids))
    await heard(rig, btc, 3)
    async with watching(rig, btc, since={btc: 3}) as client:
        rig.trades(btc, 4, loses=True)
        rig.trades(btc, 2)
        rows = await rows_until(client, 9)
    assert ids(rows) == [4, 5, 6, 7, 8, 9]
    assert [bool(row.flags & TradeFlag.RECOVERED) for row in rows] == [True] * 4 + [False] * 2


async def test_the_last_trades_before_a_silence_are_asked_for_too(rig):
    btc = next(iter(rig.ids))
    await heard(rig, btc, 3)
    async with watching(rig, btc, since={btc: 3}) as client:
        rig.trades(btc, 4, loses=True)  # only the heartbeat shows that batches are missing
        assert ids(await rows_until(client, 7)) == [4, 5, 6, 7]


async def test_what_the_bus_lost_for_good_is_told_in_its_place(impatient, rig):
    btc = next(iter(rig.ids))
    await heard(rig, btc, 3)
    rig.answers = False
    entries: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    await rig.bus.subscribe(f"gaps.{rig.venue}.*", lambda _, payload: entries.put_nowait(json.loads(payload)))
    async with watching(rig, btc, since={btc: 3}) as client:
        rig.trades(btc, 4, loses=True)
        rig.trades(btc, 2)
        gap, *rest = await rows_until(client, 9)
        assert (gap.state, gap.cause, gap.first_id, gap.last_id) == (GapState.OPEN, GapCause.BUS, 4, 7)
        assert 0 < gap.first_us <= gap.last_us
        assert ids(rest) == [8, 9]
        (lost,) = await rows_until(client, 7)
    assert (lost.state, lost.first_id, lost.last_id) == (GapState.LOST, 4, 7)
    for state in (GapState.OPEN, GapState.LOST):
        entry = await asyncio.wait_for(entries.get(), 5)
        assert (entry["native"], entry["state"], entry["missing"]) == (btc, state, 4)


async def test_what_the_feed_finds_late_comes_late(impatient, monkeypatch, rig):
    monkeypatch.setattr(repair, "GIVE_UP_S", 30.0)
    btc = next(iter(rig.ids))
    await heard(rig, btc, 3)
    rig.answers = False
    async with watching(rig, btc, since={btc: 3}) as client:
        rig.trades(btc, 4, loses=True)
        rig.trades(btc, 2)
        assert [last_of(row) for row in await rows_until(client, 9)] == [7, 8, 9]
        rig.answers = True
        *late, filled = [*await rows_until(client, 7), *await rows_until(client, 7)]
    assert ids(late) == [4, 5, 6, 7]
    assert all(row.flags & TradeFlag.RECOVERED for row in late)
    assert (filled.state, filled.first_id, filled.last_id) == (GapState.FILLED, 4, 7)


async def test_another_gateway_that_has_just_started_replays_for_a_client(rig, start_gateway):
    btc = next(iter(rig.ids))
    await heard(rig, btc, 30)
    async with start_gateway() as port, watching(rig.at(port), btc, since={btc: 10}) as client:
        assert ids(await rows_until(client, 30)) == list(range(11, 31))
        rig.trades(btc, 2)
        assert ids(await rows_until(client, 32)) == [31, 32]


async def test_gaps_of_the_feed_stand_between_the_trades(rig):
    btc = next(iter(rig.ids))
    await heard(rig, btc, 3)
    async with watching(rig, btc, since={btc: 3}) as client:
        rig.gap(btc, GapState.OPEN, 4, 6)
        rig.last_ids[btc] = 6
        rig.trades(btc, 2)
        opened, *newer = await rows_until(client, 8)
        assert (opened.state, opened.first_id, opened.last_id) == (GapState.OPEN, 4, 6)
        assert ids(newer) == [7, 8]
        rig.recover(btc, [4, 6])
        rig.gap(btc, GapState.LOST, 5, 5)
        *late, lost = await rows_until(client, 5)
        assert ids(late) == [4, 6]
        assert all(row.flags & TradeFlag.RECOVERED for row in late)
        assert (lost.state, lost.first_id, lost.last_id) == (GapState.LOST, 5, 5)
        rig.trades(btc, 1)
        assert ids(await rows_until(client, 9)) == [9]


async def test_a_gap_that_is_open_is_told_to_a_client_that_resumes_before_it(rig):
    btc = next(iter(rig.ids))
    await heard(rig, btc, 3)
    rig.gap(btc, GapState.OPEN, 4, 6)
    rig.last_ids[btc] = 6
    await heard(rig, btc, 2)
    async with watching(rig, btc, since={btc: 2}) as client:
        third, gap, *newer = await rows_until(client, 8)
        assert (third.id, gap.state, gap.first_id, gap.last_id) == (3, GapState.OPEN, 4, 6)
        assert ids(newer) == [7, 8]
        rig.recover(btc, [4, 5, 6])
        assert ids(await rows_until(client, 6)) == [4, 5, 6]


async def test_what_a_restarted_feed_has_forgotten_is_asked_for(rig):
    btc = next(iter(rig.ids))
    await heard(rig, btc, 3)
    async with watching(rig, btc, since={btc: 3}) as client:
        rig.gap(btc, GapState.OPEN, 4, 5)
        assert len(await rows_until(client, 5)) == 1
        rig.trades(btc, 2, loses=True)
        rig.trades(btc, 1)
        assert ids(await rows_until(client, 6)) == [6]
        rig.shell.processor.epoch_us += 1
        rig.shell.processor._sequence = 0  # a new process counts from one
        assert ids(await rows_until(client, 5)) == [4, 5]
        rig.trades(btc, 1)
        assert ids(await rows_until(client, 7)) == [7]


async def test_ids_that_begin_anew_are_told_and_followed(rig):
    btc = next(iter(rig.ids))
    rig.last_ids[btc] = 90_000
    await heard(rig, btc, 3)
    async with watching(rig, btc, since={btc: 90_003}) as client:
        rig.begin_anew(btc)
        rig.trades(btc, 3)
        reset, *rows = await rows_until(client, 3)
        assert (reset.state, reset.first_id, reset.last_id) == (GapState.LOST, 0, 0)
        assert ids(rows) == [1, 2, 3]
    async with watching(rig, btc, since={btc: 90_003}) as client:
        (reset,) = await rows_until(client, 0)
        rig.trades(btc, 1)
        assert ids(await rows_until(client, 4)) == [4]


async def test_a_slow_client_gets_every_trade(make_rig):
    symbols = [f"SLOWTRADE{number}USDT" for number in range(20)]
    limits = ClientLimits(max_buffer_bytes=4_096)
    async with make_rig(symbols, limits, send_buffer=4_096) as rig, rig.connect(2) as client:
        await client.send(json.dumps({"type": "subscribe", "symbols": symbols, "kinds": ["trade"]}))
        await client.recv()
        client.transport.pause_reading()
        await trade_until(rig, "slow_clients", 1)
        client.transport.resume_reading()
        rows = await rows_of_all(client, {rig.ids[one]: rig.last_ids[one] for one in symbols})
    for symbol in symbols:
        assert ids(rows[rig.ids[symbol]]) == list(range(1, rig.last_ids[symbol] + 1))


async def test_a_client_that_is_too_slow_for_the_log_goes_on_from_the_tapes(impatient, make_rig):
    limits = ClientLimits(max_buffer_bytes=4_096)
    async with make_rig(["LOGUSDT"], limits, send_buffer=4_096) as rig, watching(rig, "LOGUSDT") as client:
        client.transport.pause_reading()
        await trade_until(rig, "slow_clients", 1)
        for _ in range(9):  # a socket that was called full takes some more of them
            await heard(rig, "LOGUSDT", 2_000)
        client.transport.resume_reading()
        last = rig.last_ids["LOGUSDT"]
        rows = await rows_until(client, last)
    told = []
    for row in rows:
        told += [row.id] if isinstance(row, Trade) else range(row.first_id, row.last_id + 1)
    assert told == list(range(1, last + 1))
    assert {row.cause for row in rows if isinstance(row, Gap)} == {GapCause.OVERFLOW}


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 40), st.booleans(), st.booleans()), min_size=1, max_size=8))
async def test_a_client_that_comes_and_goes_ends_with_exactly_what_was_traded(rig, steps):
    btc = next(iter(rig.ids))
    known = rig.last_ids[btc]
    start, seen = known, []
    for count, loses, stays in steps:
        async with watching(rig, btc, **({"since": {btc: known}} if rig.last_ids[btc] else {})) as client:
            traded = rig.trades(btc, count, loses=loses)
            traded += rig.trades(btc, 1)
            if stays:
                rows = await rows_until(client, traded[-1])
                seen += ids(rows)
                known = seen[-1]
    async with watching(rig, btc, since={btc: known}) as client:
        last = rig.trades(btc, 1)[0]
        seen += ids(await rows_until(client, last))
    assert [one for one in seen if one > start] == list(range(start + 1, last + 1))


async def trade_until(rig: Any, counter: str, value: int) -> None:
    """Trade all symbols again and again until the gateway's counter says so."""
    async with asyncio.timeout(20), httpx.AsyncClient(base_url=rig.http) as http:
        while (await http.get("/stats")).json()[counter] != value:
            for symbol in rig.ids:
                rig.trades(symbol, 1_000 // len(rig.ids))


async def rows_of_all(client: ClientConnection, wanted: dict[int, int]) -> dict[int, list[Trade | Gap]]:
    """Read until every symbol has come to its last id."""
    rows: dict[int, list[Trade | Gap]] = {symbol_id: [] for symbol_id in wanted}
    missing = dict(wanted)
    async with asyncio.timeout(20):
        while missing:
            for row in decode_v2(await client.recv()).rows():
                rows[row.symbol_id].append(row)
                if missing.get(row.symbol_id) == last_of(row):
                    del missing[row.symbol_id]
    return rows
