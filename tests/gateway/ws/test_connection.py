"""One WebSocket connection, by hand: how it ends, and what it says before."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request

from gateway.ws.connection import Connection, frame_text
from protocol.errors import CloseCode

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Told(Connection):
    """A connection that notes what it is told, and by then whether its socket was still its own."""

    def __init__(self) -> None:
        super().__init__(Config(lambda: None), ServerState(), {})
        self.told: asyncio.Queue[str] = asyncio.Queue()

    def on_request(self, _: Request) -> None:
        """Everybody may."""

    def on_open(self) -> None:
        self.told.put_nowait("open")

    def on_text(self, text: bytes) -> None:
        self.told.put_nowait(text.decode())

    def on_ping(self) -> None:
        self.told.put_nowait("ping")

    def on_closing(self) -> None:
        is_ours = self.transport.get_extra_info("socket").fileno() >= 0
        self.told.put_nowait("closing" if is_ours else "too late")

    def on_lost(self) -> None:
        self.told.put_nowait("lost")


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Told, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that is open, and the client's ends of it."""
    connection = Told()
    server = await asyncio.get_running_loop().create_server(lambda: connection, "127.0.0.1", 0)
    async with server, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(REQUEST)
        await reader.readuntil(b"\r\n\r\n")
        assert await connection.told.get() == "open"
        yield connection, reader, writer
        writer.close()
        if connection.is_open:
            connection.abort()
            while await connection.told.get() != "lost":
                pass


def client_frame(opcode: Opcode, payload: bytes = b"") -> bytes:
    return Frame(opcode, payload).serialize(mask=True)


def closing(code: int, reason: bytes = b"") -> bytes:
    """The CLOSE that we write."""
    payload = code.to_bytes(2, "big") + reason
    return bytes([0x88, len(payload)]) + payload


async def until_lost(connection: Told) -> list[str]:
    told = [await connection.told.get()]
    while told[-1] != "lost":
        told.append(await connection.told.get())
    return told


async def test_it_is_told_of_the_end_before_the_socket_is_gone_when_the_client_closes(pair):
    connection, reader, writer = pair
    writer.write(client_frame(Opcode.CLOSE, b"\x0f\xa0bye") + client_frame(Opcode.TEXT, b"late"))
    assert await reader.read() == closing(4000, b"bye")
    assert (await until_lost(connection))[0] == "closing"
    assert connection.close_code == 4000


async def test_and_when_the_client_makes_a_mistake(pair):
    connection, reader, writer = pair
    writer.write(
        client_frame(Opcode.TEXT, b"good") + b"\x83\x80\0\0\0\0" + client_frame(Opcode.TEXT, b"late")
    )
    assert await reader.read() == closing(1002, b"invalid opcode")
    told = await until_lost(connection)
    assert told[:2] == ["good", "closing"]
    assert "late" not in told
    assert connection.close_code == 1002


async def test_and_when_the_client_only_goes(pair):
    connection, reader, writer = pair
    writer.write_eof()
    assert await reader.read() == b""
    assert (await until_lost(connection))[0] == "closing"
    assert connection.close_code is None


async def test_and_when_the_client_is_torn_away(pair):
    connection, _, writer = pair
    linger = b"\1\0\0\0\0\0\0\0"
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
    assert (await until_lost(connection))[0] == "closing"


async def test_and_at_once_when_we_close_or_abort(pair):
    connection, reader, writer = pair
    connection.close(CloseCode.TOO_SLOW, "too slow")
    assert connection.told.get_nowait() == "closing"
    assert not connection.can_speak
    assert await reader.readexactly(12) == closing(4508, b"too slow")
    connection.abort()
    assert connection.told.get_nowait() == "closing"
    assert connection.close_code == CloseCode.TOO_SLOW
    writer.close()


async def test_after_our_close_nothing_is_heard_but_the_answer_to_it(pair):
    connection, reader, writer = pair
    connection.close(4400, "ä" * 100)
    writer.write(client_frame(Opcode.TEXT, b"late") + client_frame(Opcode.PING))
    writer.write(client_frame(Opcode.CLOSE, b"\x0f\xa0"))
    assert await reader.read() == closing(4400, "ä".encode() * 61)  # 123 bytes at most, in whole characters
    assert {*await until_lost(connection)} == {"closing", "lost"}
    assert connection.close_code == 4400


async def test_a_ping_is_answered_with_what_it_says(pair):
    connection, reader, writer = pair
    writer.write(client_frame(Opcode.PING, b"1234"))
    assert await reader.readexactly(6) == b"\x8a\x041234"
    assert await connection.told.get() == "ping"


async def test_what_comes_with_the_request_is_read_after_it():
    connection = Told()
    server = await asyncio.get_running_loop().create_server(lambda: connection, "127.0.0.1", 0)
    async with server, asyncio.timeout(10):
        for cut in (10, len(REQUEST) - 2, len(REQUEST), len(REQUEST) + 3):
            connection = Told()
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            stream = REQUEST + client_frame(Opcode.TEXT, b"early")
            writer.write(stream[:cut])
            await writer.drain()
            writer.write(stream[cut:])
            await reader.readuntil(b"\r\n\r\n")
            assert [await connection.told.get(), await connection.told.get()] == ["open", "early"]
            connection.send_text(b"hello")
            assert await reader.readexactly(7) == frame_text(b"hello")
            writer.close()
            await until_lost(connection)
