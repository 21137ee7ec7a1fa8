"""WebSocket clients that mean harm: closed with the code that says why, and others do not notice."""

import asyncio
import json
import os
import struct

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from protocol.errors import CloseCode

PATHS = ["/api/v1/ws", "/ws"]


async def closed_with(stream: ClientConnection) -> int:
    """Read until the gateway closes, and return its code."""
    try:
        async with asyncio.timeout(20):
            while True:
                await stream.recv(decode=False)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006


def frame(
    opcode: int, payload: bytes, *, final: bool = True, masked: bool = True, reserved: int = 0
) -> bytes:
    """Write one frame, also a wrong one."""
    size = len(payload)
    length = bytes([size]) if size < 126 else b"\x7e" + struct.pack("!H", size)
    if size >= 65_536:
        length = b"\x7f" + struct.pack("!Q", size)
    first = bytes([opcode | (0x80 if final else 0) | reserved])
    if not masked:
        return first + length + payload
    return first + bytes([length[0] | 0x80]) + length[1:] + bytes(4) + payload


def subscribe(*symbols: str) -> str:
    return json.dumps({"type": "subscribe", "symbols": symbols})


@pytest.mark.parametrize("path", PATHS)
async def test_a_message_of_a_megabyte_is_not_read(target, path):
    async with target.stream(path) as stream:
        await stream.send("a" * 1_000_000)
        assert await closed_with(stream) == CloseCode.MESSAGE_TOO_BIG
    await target.serves_others()


async def test_a_megabyte_in_many_pieces_is_not_read_either(target):
    async with target.stream() as stream:
        stream.transport.write(frame(1, b"a" * 1_000, final=False))
        for _ in range(1_000):
            stream.transport.write(frame(0, b"a" * 1_000, final=False))
        assert await closed_with(stream) == CloseCode.MESSAGE_TOO_BIG


async def test_ten_thousand_symbols_in_a_message_are_too_long_or_named(target):
    async with target.stream() as stream:
        await stream.send(subscribe(*(f"SYMBOL{number}USDT" for number in range(10_000))))
        assert await closed_with(stream) == CloseCode.MESSAGE_TOO_BIG
    async with target.stream() as stream:
        await stream.send(subscribe("BTCUSDT", *(f"S{number}" for number in range(6_000))))
        async with asyncio.timeout(20):
            while json.loads(message := await stream.recv())["type"] != "error":
                pass
        assert len(message) < 65_536
        await stream.send('{"type":"ping"}')
    await target.serves_others()


async def test_ten_thousand_times_the_same_symbol_is_one(target):
    async with target.stream() as stream:
        await stream.send(subscribe(*["BTCUSDT"] * 5_000))
        async with asyncio.timeout(20):
            while (said := json.loads(await stream.recv()))["type"] != "symbols":
                pass
    assert [one["symbol"] for one in said["symbols"]] == ["BTCUSDT"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"\xff\xfe", 1007),
        (b'{"type":"subscribe","symbols":["\xc3\x28"]}', 1007),
        (b"", CloseCode.BAD_MESSAGE),
        (b"null", CloseCode.BAD_MESSAGE),
        (b"[" * 60_000, CloseCode.BAD_MESSAGE),
        (b'{"type":' * 8_000, CloseCode.BAD_MESSAGE),
        (b'{"type":"subscribe"}', CloseCode.BAD_MESSAGE),
        (b'{"type":"subscribe","symbols":"BTCUSDT"}', CloseCode.BAD_MESSAGE),
        (b'{"type":"subscribe","symbols":[{"$ne":null}]}', CloseCode.BAD_MESSAGE),
        (b'{"type":"subscribe","symbols":["BTCUSDT"],"since":{"BTCUSDT":1e400}}', CloseCode.BAD_MESSAGE),
        (b'{"type":"subscribe","symbols":["BTCUSDT"],"since":{"BTCUSDT":-1}}', CloseCode.BAD_MESSAGE),
        (b'{"type":"reboot"}', CloseCode.BAD_MESSAGE),
        (b'{"type":"auth","session_token":"' + b"a" * 5_000 + b'"}', CloseCode.NOT_LOGGED_IN),
        (b'{"type":"auth","session_token":"\' OR 1=1 --"}', CloseCode.NOT_LOGGED_IN),
    ],
)
async def test_a_message_that_is_none_ends_the_stream_with_a_reason(target, text, code):
    async with target.stream() as stream:
        stream.transport.write(frame(1, text))
        assert await closed_with(stream) == code


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(2, b"abc"), 1003),
        (frame(1, b"{}", masked=False), 1002),
        (frame(1, b"{}", reserved=0x40), 1002),
        (frame(3, b""), 1002),
        (frame(0, b"a"), 1002),
        (frame(9, b"a" * 126), 1002),
        (frame(9, b"a", final=False), 1002),
        (frame(8, b"\x00"), 1002),
        (frame(8, struct.pack("!H", 999)), 1002),
        (b"\x81\xff" + b"\xff" * 8, 1009),
        (b"GET / HTTP/1.1\r\n\r\n", 1002),
    ],
)
async def test_what_is_no_frame_ends_the_stream(target, sent, code):
    async with target.stream() as stream:
        stream.transport.write(sent)
        assert await closed_with(stream) == code
    await target.until(lambda: not target.entrance.by_address["127.0.0.1"])


async def test_any_bytes_end_the_stream_or_are_ignored(target):
    for _ in range(20):
        async with target.stream() as stream:
            stream.transport.write(os.urandom(200))
            stream.transport.write(frame(8, b"\x03\xe8"))
            await closed_with(stream)
    await target.serves_others()


@pytest.mark.parametrize("path", PATHS)
async def test_messages_that_come_too_fast_end_the_stream(target, path):
    async with target.stream(path) as stream:
        for _ in range(1_000):
            stream.transport.write(frame(1, b'{"type":"ping"}'))
        assert await closed_with(stream) == CloseCode.TOO_MANY_MESSAGES


@pytest.mark.parametrize("opcode", [9, 10])
async def test_a_flood_of_control_frames_ends_the_stream(target, opcode):
    """Each ping has to be answered, into the memory of whoever does not read."""
    async with target.stream() as stream:
        for _ in range(5_000):
            stream.transport.write(frame(opcode, b"a" * 125))
        assert await closed_with(stream) == CloseCode.TOO_MANY_MESSAGES


@pytest.mark.parametrize(
    "changed",
    [
        (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", b"Sec-WebSocket-Key: short"),
        (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", b"X: y"),
        (b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 99"),
        (b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: \xff\xfe"),
        (b"GET", b"POST"),
        (b"/api/v1/ws", b"/nowhere"),
        (b"Host: a", b"Host: a\r\nOrigin: https://evil.example"),
        (b"Host: a", b"Host: a\r\nAuthorization: Bearer tg_a_b"),
        (b"Host: a", b"Host: a\r\nX: " + b"y" * 10_000),
    ],
)
async def test_a_handshake_that_is_none_is_refused(target, changed):
    handshake = (
        b"GET /api/v1/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    said = await target.say(handshake.replace(*changed))
    assert said == b"" or said.startswith(b"HTTP/1.1 4")
    await target.until(lambda: not target.entrance.connections)


async def test_guessing_tokens_at_the_stream_is_slowed_down_too(target):
    seen = set()
    for number in range(120):
        with pytest.raises(InvalidStatus) as refused:
            await target.stream(Authorization=f"Bearer {number:043d}")
        seen.add(refused.value.response.status_code)
    assert seen == {401, 429}
    await target.serves_others()
