"""Candles from a recorder to v2 clients, over a real bus and a real gateway."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from wire_recorder import Chart, WireRecorder, recording

from gateway.ws.candles import replays
from gateway.ws.endpoint import ClientLimits
from protocol.events import Candle, Enigma, Kind, SeriesKey
from protocol.frames import Frame, decode_v2


@pytest.fixture
async def recorder(rig, nats_url) -> AsyncIterator[WireRecorder]:
    """A recorder that the gateway has heard."""
    async with recording(rig, nats_url) as running:
        await is_heard(rig, running)
        yield running


@pytest.fixture
def btc(rig) -> str:
    return next(iter(rig.ids))


async def is_heard(rig, recorder: WireRecorder) -> None:
    """Publish, and wait until a client has what was published."""
    *_, spare = rig.ids
    async with watching(rig, spare) as client:
        await frame(client)
        change = recorder.change(spare, 0, float(recorder.sequence))
        await recorder.publish()
        while change not in await rows(client):
            pass
    await asyncio.wait_for(recorder.was_asked.wait(), 10)  # what this one began is not for a test to count


async def ask(client: ClientConnection, *symbols: str, kinds=("candle",), **more: Any) -> None:
    await client.send(json.dumps({"type": "subscribe", "symbols": symbols, "kinds": kinds, **more}))


async def text(client: ClientConnection) -> dict[str, Any]:
    message = await asyncio.wait_for(client.recv(), 10)
    assert isinstance(message, str), f"a text message was due, not {message!r}"
    return json.loads(message)


async def frame(client: ClientConnection, kind: Kind = Kind.CANDLE) -> Frame:
    message = await asyncio.wait_for(client.recv(), 10)
    assert isinstance(message, bytes), f"a frame was due, not {message!r}"
    decoded = decode_v2(message)
    assert decoded.kind is kind
    return decoded


async def rows(client: ClientConnection) -> list[Candle]:
    return (await frame(client)).rows()


@asynccontextmanager
async def watching(rig, *symbols: str, **more: Any) -> AsyncIterator[ClientConnection]:
    """Subscribe, read the dictionary, and leave the frames to the test."""
    async with rig.connect(2) as client:
        await ask(client, *symbols, **more)
        assert (await text(client))["type"] == "symbols"
        yield client


async def test_the_running_bar_comes_at_once_and_then_what_changes(rig, recorder, btc):
    recorder.change(btc, 0, 5.0, final=True)
    running = recorder.change(btc, 1, 6.0)
    await recorder.publish()
    await is_heard(rig, recorder)
    async with watching(rig, btc) as client:
        assert await rows(client) == []
        assert await rows(client) == [running]
        final, newer = recorder.change(btc, 1, 6.5, final=True), recorder.change(btc, 2, 7.0)
        version = await recorder.publish()
        news = await frame(client)
        assert news.rows() == [final, newer]
        assert news.time_us == version


async def test_a_client_without_a_version_joins_what_others_have_already(rig, recorder, btc):
    running = recorder.change(btc, 0, 5.0)
    async with watching(rig, btc) as first:
        assert [*await rows(first), *await rows(first)] == [running]
        asked = recorder.asked
        async with watching(rig, btc) as second:
            assert await rows(second) == [running]
            newer = recorder.change(btc, 0, 6.0)
            await recorder.publish()
            assert await rows(first) == await rows(second) == [newer]
    assert recorder.asked == asked


async def test_intervals_are_series_of_their_own(rig, recorder, btc):
    async with watching(rig, btc, intervals=["1m", "5m"]) as client, watching(rig, btc) as other:
        await frame(client), await frame(other)
        minute, five = recorder.change(btc, 0, 1.0), recorder.change(btc, 0, 1.0, interval=5)
        hour = recorder.change(btc, 0, 1.0, interval=60)
        await recorder.publish()
        assert await rows(client) == [minute, five]
        assert await rows(other) == [minute]
        assert hour.interval == 60


async def test_after_an_unsubscribe_no_candle_comes(rig, recorder, btc):
    eth = list(rig.ids)[1]
    async with watching(rig, btc, eth, intervals=["1m", "5m"]) as client:
        await frame(client)
        await client.send(json.dumps({"type": "unsubscribe", "symbols": [btc]}))
        await client.send('{"type":"ping"}')
        assert await text(client) == {"type": "pong"}
        recorder.change(btc, 0, 1.0)
        other = recorder.change(eth, 0, 1.0)
        await recorder.publish()
        assert await rows(client) == [other]


@pytest.mark.parametrize("version", [1, 2])
async def test_what_there_is_not_is_an_error_and_the_rest_is_served(rig, recorder, btc, version):
    async with rig.connect(version) as client:
        await ask(client, btc, kinds=["price", "candle", "enigma"], intervals=["1m", "7m", "x"])
        error, dictionary = await text(client), await text(client)
        assert dictionary["type"] == "symbols"
        if version == 1:
            assert (error["code"], error["message"]) == (
                "unsupported_kind",
                "no such kind here: candle, enigma",
            )
        else:
            assert (error["code"], error["intervals"]) == ("unknown_interval", ["7m", "x"])
            await frame(client)


async def test_enigma_levels_come_like_prices(rig, recorder, btc):
    level = Enigma(rig.ids[btc], 256, 0, 50.0, 1.0, 3.0)
    async with watching(rig, btc, kinds=["enigma"]) as client:
        await recorder.publish(enigma=[level])
        (row,) = (await frame(client, Kind.ENIGMA)).rows()
        assert (row.level, row.low, row.high) == (50.0, 1.0, 3.0)
        async with watching(rig, btc, kinds=["enigma"]) as late:
            assert (await frame(late, Kind.ENIGMA)).rows()[0].level == 50.0
        await recorder.publish(enigma=[level])  # said again, and no news
        await recorder.publish(enigma=[level._replace(level=51.0)])
        assert (await frame(client, Kind.ENIGMA)).rows()[0].level == 51.0


# Resuming


async def test_a_client_gets_what_changed_while_it_was_away(rig, recorder, btc):
    first = recorder.change(btc, 0, 5.0, final=True)
    async with watching(rig, btc) as client:
        while first not in await rows(client):
            pass
        recorder.change(btc, 1, 6.0)
        seen = await recorder.publish()
        while (await frame(client)).time_us != seen:
            pass
    final, running = recorder.change(btc, 1, 6.5, final=True), recorder.change(btc, 2, 7.0)
    asked = recorder.asked
    async with watching(rig, btc, since_us=seen) as client:
        version = await recorder.publish()
        got, last = [], None
        while last != version:
            last = (news := await frame(client)).time_us
            got += news.rows()
    assert got == [final, running]
    assert recorder.asked == asked  # the gateway had it all


async def test_what_the_gateway_never_heard_comes_from_the_recorder(rig, recorder, btc):
    seen = recorder.version
    changed = [recorder.change(btc, minute, 5.0, final=True) for minute in range(40)]
    await recorder.publish()
    async with watching(rig, btc, since_us=seen) as client:
        assert await rows(client) == changed
        newer = recorder.change(btc, 40, 1.0)
        await recorder.publish()
        assert await rows(client) == [newer]


async def test_a_long_replay_comes_in_parts_of_which_the_last_states_its_version(rig, recorder, btc):
    seen = recorder.version
    changed = [recorder.change(btc, minute, 5.0, final=True) for minute in range(1_700)]
    version = await recorder.publish()
    got, stated = [], []
    async with watching(rig, btc, since_us=seen) as client:
        while len(got) < len(changed):
            part = await frame(client)
            got += part.rows()
            stated.append(part.time_us)
    assert got == changed
    assert stated[:-1] == [seen] * (len(stated) - 1)
    assert len(stated) == 4
    assert seen < stated[-1] <= version


async def test_a_client_that_is_ahead_of_the_gateway_gets_nothing_older(rig, recorder, btc):
    async with watching(rig, btc) as client:
        await frame(client)
        recorder.change(btc, 0, 5.0, final=True)
        ahead = await recorder.publish(loses=True)
        async with watching(rig, btc, since_us=ahead) as other:
            assert await rows(other) == []
            newer = recorder.change(btc, 1, 6.0)
            await recorder.publish()
            assert await rows(other) == [newer]


@pytest.mark.parametrize("since_us", [1, 2**63 - 1])
async def test_what_cannot_be_replayed_is_told_and_what_comes_is_live(rig, recorder, btc, since_us):
    for minute in range(5_001):
        recorder.change(btc, minute, 5.0, final=True, interval=5)
    await recorder.publish()
    async with watching(rig, btc, intervals=["5m"], since_us=since_us) as client:
        error = await text(client)
        assert error["code"] == "candles_out_of_reach"
        assert (error["symbols"], error["intervals"]) == ([btc], ["5m"])
        newer = recorder.change(btc, 6_000, 6.0, interval=5)
        await recorder.publish()
        while newer not in await rows(client):
            pass


async def test_a_recorder_that_stays_away_is_told_too(monkeypatch, rig, recorder, btc):
    monkeypatch.setattr(replays, "PATIENCE_S", 0.2)
    recorder.is_away = True
    async with watching(rig, btc, since_us=recorder.version) as client:
        assert (await text(client))["code"] == "candles_out_of_reach"
        assert await rows(client) == []


async def test_a_recorder_that_comes_back_soon_is_waited_for(rig, recorder, btc):
    seen, changed = recorder.version, recorder.change(btc, 0, 5.0)
    recorder.is_away = True
    async with watching(rig, btc, since_us=seen) as client:
        recorder.is_away = False
        assert await rows(client) == [changed]


@pytest.mark.parametrize("bars", [1, 40])
async def test_many_clients_that_come_back_ask_once(rig, recorder, btc, bars):
    seen = recorder.version
    changed = [recorder.change(btc, minute, 5.0) for minute in range(bars)]
    recorder.gate.clear()
    recorder.was_asked.clear()
    asked = recorder.asked
    async with asyncio.TaskGroup() as tasks:

        async def come_back() -> list[Candle]:
            async with watching(rig, btc, since_us=seen) as client:
                return await rows(client)

        clients = [tasks.create_task(come_back()) for _ in range(20)]
        await asyncio.wait_for(recorder.was_asked.wait(), 10)
        recorder.gate.set()
    assert all(one.result() == changed for one in clients)
    assert recorder.asked <= asked + 2  # the reader begins each series, too


# A slow client


async def test_a_slow_client_gets_the_newest_of_each_bar_and_no_final_one_is_left_out(make_rig, nats_url):
    symbols = [f"SLOWCANDLE{number}USDT" for number in range(20)]
    intervals = ["1m", "5m", "15m"]
    limits = ClientLimits(max_buffer_bytes=4_096)
    async with make_rig(symbols, limits, send_buffer=4_096) as rig, recording(rig, nats_url) as recorder:
        async with watching(rig, *symbols, intervals=intervals) as client:
            client.transport.pause_reading()
            await change_until_slow(rig, recorder)
            for minute in range(3):
                change_all(recorder, minute, final=True)
                await recorder.publish()
            change_all(recorder, 1, final=True, revision=1)
            version = await recorder.publish()
            client.transport.resume_reading()
            chart = Chart()
            while chart.version != version:
                chart.on_frame(await frame(client))
        for symbol in symbols:
            for interval in (1, 5, 15):
                key = SeriesKey(rig.ids[symbol], interval)
                assert chart.series(key) == recorder.bars(key)


def change_all(recorder: WireRecorder, number: int, **more: Any) -> None:
    for symbol in recorder.ids:
        for interval in (1, 5, 15):
            recorder.change(symbol, number * interval, float(recorder.sequence), interval=interval, **more)


async def change_until_slow(rig, recorder: WireRecorder) -> None:
    async with asyncio.timeout(20), httpx.AsyncClient(base_url=rig.http) as http:
        while not (await http.get("/stats")).json()["slow_clients"]:
            change_all(recorder, 0)
            await recorder.publish()


# Loss on the bus


async def test_a_final_bar_that_the_bus_lost_is_asked_for(rig, recorder, btc):
    begun = recorder.change(btc, 0, 4.0)
    async with watching(rig, btc) as client:
        assert [*await rows(client), *await rows(client)] == [begun]
        recorder.change(btc, 0, 5.0)
        before = await recorder.publish()
        while (await frame(client)).time_us != before:
            pass
        lost = recorder.change(btc, 0, 5.5, final=True)
        await recorder.publish(loses=True)
        running = recorder.change(btc, 1, 6.0)
        newest = await recorder.publish()
        came = []
        while not came or came[-1].time_us != newest:
            came.append(await frame(client))
    assert {row for one in came for row in one.rows()} == {running, lost}
    # Before the lost one is there, it is not safe to resume from later than what came before it.
    place = next(place for place, one in enumerate(came) if lost in one.rows())
    assert {one.time_us for one in came[:place]} <= {before}
    assert sum(lost in one.rows() for one in came) == 1


async def test_a_recorder_that_began_anew_is_asked_for_what_it_did_meanwhile(rig, recorder, btc):
    async with watching(rig, btc) as client:
        await frame(client)
        quietly = recorder.change(btc, 0, 5.5, final=True)
        recorder._dirty.clear()
        recorder.restart()
        await recorder.publish()
        assert await rows(client) == [quietly]


async def test_a_recorder_that_cannot_answer_is_asked_again_until_it_can(rig, recorder, btc):
    async with watching(rig, btc) as client:
        await frame(client)
        recorder.is_away = True
        lost = recorder.change(btc, 0, 5.5, final=True)
        await recorder.publish(loses=True)
        other = recorder.change(btc, 1, 6.0)
        await recorder.publish()
        assert await rows(client) == [other]
        recorder.is_away = False
        assert await rows(client) == [lost]


async def test_garbage_from_the_recorder_harms_nobody(rig, recorder, btc):
    async with watching(rig, btc) as client:
        await frame(client)
        for garbage in (b"", b"x", b"\xff" * 100):
            await rig.bus.publish(f"recorded.{rig.venue}", garbage)
        change = recorder.change(btc, 0, 5.0)
        await recorder.publish()
        assert await rows(client) == [change]
