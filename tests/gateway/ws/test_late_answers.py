"""An upgrade request whose answer has to wait: nothing more is read from its socket until then."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request

from gateway.ws.connection import LATER, Connection, Later, Refusal

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
HELLO = Frame(Opcode.TEXT, b"hello").serialize(mask=True)


class Waiting(Connection):
    """A connection that answers when the test does."""

    def __init__(self) -> None:
        super().__init__(Config(lambda: None), ServerState(), {})
        self.asked, self.gone = asyncio.Event(), asyncio.Event()
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()
        self.has_opened = False

    def on_request(self, request: Request) -> Refusal | Later | None:  # noqa: ARG002  # any request will do
        self.asked.set()
        return LATER

    def on_open(self) -> None:
        self.has_opened = True

    def on_text(self, text: bytes) -> None:
        self.heard.put_nowait(text)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.gone.set()


@pytest.fixture
async def asked() -> AsyncIterator[tuple[Waiting, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that has been asked for an upgrade, and the client's ends of it."""
    connection = Waiting()
    server = await asyncio.get_running_loop().create_server(lambda: connection, "127.0.0.1", 0)
    async with server, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(REQUEST)
        await connection.asked.wait()
        yield connection, reader, writer
        writer.close()
        connection.abort()
        await connection.gone.wait()


async def test_what_comes_before_the_answer_is_read_after_it(asked):
    connection, reader, writer = asked
    writer.write(HELLO)
    await writer.drain()
    assert not connection.transport.is_reading()
    connection.answer(None)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    assert await connection.heard.get() == b"hello"


async def test_a_refusal_says_what_it_has_to_say(asked):
    connection, reader, _ = asked
    connection.answer(Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "later\n", (("Retry-After", "5"),)))
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 5\r\n" in answer
    assert answer.endswith(b"\r\n\r\nlater\n")
    assert not connection.has_opened


async def test_an_answer_to_somebody_who_has_gone_is_none(asked):
    connection, _, _ = asked
    connection.abort()
    await connection.gone.wait()
    connection.answer(None)
    assert not connection.has_opened


async def test_a_request_is_answered_once(asked):
    connection, reader, _ = asked
    connection.answer(None)
    connection.answer(Refusal(HTTPStatus.UNAUTHORIZED, "no\n"))
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    assert connection.can_speak


async def test_a_server_that_stops_does_not_wait_for_it(asked):
    connection, reader, _ = asked
    connection.shutdown()
    assert await reader.read() == b""
