"""The JSON candle stream at `/ws`, over a real bus and a real gateway."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from wire_recorder import START_MS, WireRecorder, recording

from gateway.ws.endpoint import ClientLimits
from protocol.errors import CloseCode


@pytest.fixture
async def recorder(rig, nats_url) -> AsyncIterator[WireRecorder]:
    async with recording(rig, nats_url) as running:
        yield running


@pytest.fixture
def btc(rig) -> str:
    return next(iter(rig.ids))


def open_stream(rig, query: str = "") -> connect:
    return connect(f"ws://127.0.0.1:{rig.port}/ws{query}")


async def message(client: ClientConnection) -> dict[str, Any]:
    text = await asyncio.wait_for(client.recv(), 10)
    assert isinstance(text, str), f"only text comes here, not {text!r}"
    return json.loads(text)


async def candle(client: ClientConnection) -> tuple[str, bool, int, float]:
    """Read symbol, final, minute and close of the next candle."""
    one = await message(client)
    assert one["type"] == "candle", one
    open_ms, *_, close, _volume = one["data"]
    return one["symbol"], one["final"], (open_ms - START_MS) // 60_000, close


@asynccontextmanager
async def welcomed(rig, query: str) -> AsyncIterator[ClientConnection]:
    async with open_stream(rig, query) as client:
        assert (await message(client))["event"] == "welcome"
        yield client


async def test_it_greets_and_then_sends_final_candles(rig, recorder, btc):
    eth = list(rig.ids)[1]
    async with open_stream(rig, f"?symbols={btc},{eth}&intervals=1m,5m") as client:
        assert await message(client) == {
            "event": "welcome",
            "symbols": [btc, eth],
            "intervals": ["1m", "5m"],
            "partials": False,
        }
        recorder.change(btc, 0, 4.0)
        recorder.change(eth, 0, 5.0, final=True)
        await recorder.publish()
        assert await message(client) == {
            "type": "candle",
            "symbol": eth,
            "interval": "1m",
            "final": True,
            "data": [START_MS, 1.0, 9.0, 0.5, 5.0, 2.0],
        }


async def test_running_candles_come_if_the_address_asks_for_them(rig, recorder, btc):
    async with welcomed(rig, f"?symbols={btc}&partials=1") as client:
        for close in (4.0, 5.0):
            recorder.change(btc, 0, close)
            await recorder.publish()
            assert await candle(client) == (btc, False, 0, close)


async def test_symbols_can_be_asked_for_and_taken_off_later(rig, recorder, btc):
    eth = list(rig.ids)[1]
    async with welcomed(rig, "") as client:
        assert (await message(client))["code"] == "no_symbols"
        await client.send(json.dumps({"type": "subscribe", "symbols": [btc, eth], "intervals": ["5m", "7m"]}))
        error = await message(client)
        assert (error["code"], error["intervals"]) == ("unknown_interval", ["7m"])
        await client.send(json.dumps({"type": "unsubscribe", "symbols": [btc]}))
        await client.send('{"type":"ping"}')
        assert await message(client) == {"type": "pong"}
        for symbol in (btc, eth):
            recorder.change(symbol, 0, 4.0, interval=5, final=True)
        await recorder.publish()
        assert await candle(client) == (eth, True, 0, 4.0)


async def test_a_symbol_that_there_is_not_is_an_error_and_the_others_are_served(rig, recorder, btc):
    async with welcomed(rig, f"?symbols=NOSUCH,{btc}") as client:
        error = await message(client)
        assert (error["code"], error["symbols"]) == ("unknown_symbol", ["NOSUCH"])
        recorder.change(btc, 0, 4.0, final=True)
        await recorder.publish()
        assert await candle(client) == (btc, True, 0, 4.0)


async def test_a_correction_is_told_and_then_that_it_is_done(rig, recorder, btc):
    async with welcomed(rig, f"?symbols={btc}") as client:
        for revision, close in ((0, 4.0), (1, 4.5)):
            recorder.change(btc, 0, close, final=True, revision=revision)
            await recorder.publish()
            assert await candle(client) == (btc, True, 0, close)
        assert await message(client) == {"type": "resync_done", "interval": "1m", "symbols": [btc]}


async def test_what_was_missed_comes_late_and_then_that_it_is_done(rig, recorder, btc):
    async with welcomed(rig, f"?symbols={btc}") as client:
        recorder.change(btc, 0, 4.0, final=True)
        await recorder.publish()
        assert await candle(client) == (btc, True, 0, 4.0)
        recorder.change(btc, 1, 5.0, final=True)
        await recorder.publish(loses=True)
        recorder.change(btc, 2, 6.0, final=True)
        await recorder.publish()
        assert await candle(client) == (btc, True, 2, 6.0)
        assert await candle(client) == (btc, True, 1, 5.0)
        assert await message(client) == {"type": "resync_done", "interval": "1m", "symbols": [btc]}


async def test_it_goes_on_from_a_version_as_the_binary_stream_does(rig, recorder, btc):
    seen = recorder.version
    recorder.change(btc, 0, 4.0, final=True)
    async with welcomed(rig, f"?symbols={btc}&since_us={seen}") as client:
        assert await candle(client) == (btc, True, 0, 4.0)


async def test_a_slow_client_gets_every_final_candle_when_it_reads_again(make_rig, nats_url):
    symbols = [f"SLOWJSON{number}USDT" for number in range(40)]
    limits, query = ClientLimits(max_buffer_bytes=4_096), f"?symbols={','.join(symbols)}&partials=1"
    async with (
        make_rig(symbols, limits, send_buffer=4_096) as rig,
        recording(rig, nats_url) as recorder,
        welcomed(rig, query) as client,
    ):
        client.transport.pause_reading()
        wanted = await change_until_slow(rig, recorder)
        for symbol in symbols:
            recorder.change(symbol, 1, 7.0, final=True)
            recorder.change(symbol, 2, 8.0)
            wanted |= {(symbol, True, 1, 7.0), (symbol, False, 2, 8.0)}
        await recorder.publish()
        client.transport.resume_reading()
        async with asyncio.timeout(20):
            while wanted:
                wanted.discard(await candle(client))


async def change_until_slow(rig, recorder: WireRecorder) -> set[tuple[str, bool, int, float]]:
    """Change all running bars until the gateway's client is slow, and then make them final."""
    async with asyncio.timeout(20), httpx.AsyncClient(base_url=rig.http) as http:
        while not (await http.get("/stats")).json()["slow_clients"]:
            for symbol in rig.ids:
                recorder.change(symbol, 0, float(recorder.sequence))
            await recorder.publish()
    for symbol in rig.ids:
        recorder.change(symbol, 0, 6.0, final=True)
    await recorder.publish()
    return {(symbol, True, 0, 6.0) for symbol in rig.ids}


@pytest.mark.parametrize("query", ["?partials=yes", "?colour=red", "?since_us=-1", "?since_us=1e9"])
async def test_an_address_that_makes_no_sense_is_refused(rig, query):
    with pytest.raises(InvalidStatus) as refused:
        async with open_stream(rig, query):
            pass
    assert refused.value.response.status_code == 400
    assert query[1:].partition("=")[0].encode() in refused.value.response.body


async def test_a_full_gateway_refuses_with_503(make_rig):
    async with make_rig(["FULLJSONUSDT"], ClientLimits(max_connections=1)) as rig, rig.connect():
        with pytest.raises(InvalidStatus) as refused:
            async with open_stream(rig):
                pass
        assert refused.value.response.status_code == 503


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("{", CloseCode.BAD_MESSAGE),
        (b"\x00", CloseCode.UNSUPPORTED_DATA),
        ("x" * 70_000, CloseCode.MESSAGE_TOO_BIG),
    ],
)
async def test_malformed_input_closes_with_the_codes_of_the_binary_stream(rig, sent, code):
    async with open_stream(rig) as client:
        await client.send(sent)
        async with asyncio.timeout(10):
            await client.wait_closed()
        assert client.close_code == code
