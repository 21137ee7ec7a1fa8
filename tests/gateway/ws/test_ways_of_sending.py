"""Whichever way frames are sent, clients get the same."""

import asyncio
import contextlib
import json
import os
import re
from pathlib import Path

import pytest
from stream_rig import open_metadata, prices, run_guarded, say, told
from websockets.asyncio.client import ClientConnection

import gateway.ws as gateway_ws
from gateway.native.sender import Sender
from gateway.ws.connection import frame_binary, frame_text
from gateway.ws.endpoint import ClientLimits
from protocol.events import PriceUpdate
from protocol.frames import decode_v1, encode_v1

MUCH = 8_000_001
"""Bytes: more than a socket takes at once."""
MANY = [f"WAY{number}USDT" for number in range(200)]


@pytest.fixture(params=["uring", "loop", "python"])
def way(request: pytest.FixtureRequest) -> str:
    with Sender(request.param) as sender:
        if sender.way != request.param:
            pytest.skip(f"the best way here is {sender.way}")
    return request.param


async def test_a_client_that_stops_reading_for_a_while_gets_whole_frames_and_the_newest(make_rig, way):
    limits = ClientLimits(max_buffer_bytes=4_096, max_lag_s=60, send=way)
    async with (
        make_rig(MANY, limits, send_buffer=4_096) as rig,
        rig.connect() as slow,
        rig.connect() as quick,
    ):
        for client in (slow, quick):
            await client.send(json.dumps({"type": "subscribe", "symbols": MANY}))
            await client.recv()
        slow.transport.pause_reading()
        for step in range(1, 41):
            for number, symbol in enumerate(MANY):
                rig.trade(symbol, step + number / 1_000)
            await until_newest(quick, rig.ids[MANY[-1]], step + 0.199)
        slow.transport.resume_reading()
        await until_newest(slow, rig.ids[MANY[-1]], 40.199)


async def until_newest(client: ClientConnection, symbol_id: int, price: float) -> None:
    """Read frames, each of which has to be whole, until a symbol has this price."""
    async with asyncio.timeout(20):
        while True:
            message = await client.recv()
            assert isinstance(message, bytes)
            if (symbol_id, price) in [row[:2] for row in decode_v1(message).tolist()]:
                return


@pytest.fixture
async def gateway(nats_url: str, tmp_path: Path, way: str):
    async with (
        open_metadata(tmp_path) as database,
        run_guarded(nats_url, database, anonymous=True, limits=ClientLimits(send=way)) as running,
    ):
        yield running


async def test_prices_do_not_overtake_what_one_client_is_told(nats_url, tmp_path, way):
    limits = ClientLimits(max_buffer_bytes=1 << 26, send=way)  # so that nobody counts as slow
    async with (
        open_metadata(tmp_path) as database,
        run_guarded(nats_url, database, anonymous=True, limits=limits) as gateway,
        gateway.open() as stream,
    ):
        await say(stream, "subscribe", symbols=["BTCUSDT"])
        await told(stream)
        gateway.price("BTCUSDT", 1.0)
        await prices(stream)
        (client,) = gateway.clients.connected
        stream.transport.pause_reading()
        text = bytes(MUCH)
        client.send_text(text)
        seen = read_now(stream)  # its socket takes more from now on, and what waits for that comes first
        assert client.transport.get_write_buffer_size()
        gateway.price("BTCUSDT", 2.0)
        gateway.clients.fanout.flush()
        frame = frame_binary(encode_v1([PriceUpdate(gateway.clients.symbols.find("BTCUSDT").id, 2.0, 1.0)]))
        due = frame_text(text) + frame
        async with asyncio.timeout(20):
            while len(seen) < len(due):
                await asyncio.sleep(0)
                seen += read_now(stream)
        stream.transport.abort()  # it cannot go on: all that was read past it
        assert seen == due


def read_now(stream: ClientConnection) -> bytearray:
    """Read what there is at a client's socket, past the loop."""
    number, seen = stream.transport.get_extra_info("socket").fileno(), bytearray()
    with contextlib.suppress(BlockingIOError):
        while read := os.read(number, 1 << 20):
            seen += read
    return seen


def test_the_transport_of_a_client_is_written_to_in_one_place():
    lines = [
        (source.name, line.strip())
        for source in Path(gateway_ws.__file__).parent.rglob("*.py")
        for line in source.read_text().splitlines()
        if re.search(r"transport\.write(lines)?\(", line)
    ]
    assert lines == [("connection.py", "self.transport.write(data)")]


@pytest.mark.parametrize("ends_by", ["close", "abort"])
async def test_who_is_closed_is_in_no_audience_from_that_moment_on(gateway, ends_by):
    async with gateway.open() as stays, gateway.open() as goes:
        for stream in (stays, goes):
            await say(stream, "subscribe", symbols=["BTCUSDT"])
            await told(stream)
        (audience,) = gateway.clients.fanout.audiences
        peer = goes.local_address
        (client,) = [one for one in gateway.clients.connected if one.peer == tuple(peer)]
        assert len(audience.targets.transports) == 2
        client.close(4000) if ends_by == "close" else client.abort()
        assert len(audience.targets.transports) == 1
        gateway.price("BTCUSDT", 7.0)
        assert [price for _, price in await prices(stays)] == [7.0]
        await asyncio.wait_for(goes.wait_closed(), 10)
