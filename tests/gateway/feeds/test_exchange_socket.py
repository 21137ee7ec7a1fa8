"""Failures to connect, in words that whoever runs the gateway understands."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from gateway.feeds.connections import socket as socket_module
from gateway.feeds.connections.socket import open_socket
from gateway.feeds.errors import Refused, Unreachable, explain
from gateway.sim.server import SimOptions, SimulatedExchange


def ignore(*what: object) -> None:
    """Take whatever the socket has to say."""


async def connect(url: str, timeout_s: float = 10.0) -> None:
    async with open_socket(url, ignore, ignore, ignore, timeout_s):
        pass


async def wait_closed(connection: ServerConnection) -> None:
    await connection.wait_closed()


def port_of(server: object) -> int:
    [listener] = server.sockets  # type: ignore[attr-defined]  # any server of sockets
    return int(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("status", "words"), [(451, "does not serve the country"), (404, "endpoint"), (503, "Service")]
)
async def test_a_refused_handshake_names_the_status(status: int, words: str) -> None:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(HTTPStatus(status), "no")

    async with serve(wait_closed, "127.0.0.1", 0, process_request=refuse) as server:
        with pytest.raises(Refused, match=words) as caught:
            await connect(f"ws://127.0.0.1:{port_of(server)}/stream")
    assert caught.value.status == status


async def test_tls_against_a_plain_port() -> None:
    async with SimulatedExchange(SimOptions(symbols=1)) as sim:
        with pytest.raises(Unreachable, match="TLS failed"):
            await connect(f"wss://127.0.0.1:{sim.port}/stream")


async def test_a_port_that_says_nothing_is_given_up_in_time() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(Unreachable, match="no answer in time"),
    ):
        await connect(f"ws://127.0.0.1:{silent.getsockname()[1]}/stream", timeout_s=0.2)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "ws://", "nonsense", "ws://127.0.0.1:99999/"])
async def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(Unreachable):
        await connect(url)


async def test_leaving_the_block_closes_the_connection() -> None:
    async with serve(wait_closed, "127.0.0.1", 0) as server:
        await connect(f"ws://127.0.0.1:{port_of(server)}/stream")


def test_a_cause_is_found_behind_the_librarys_own_words() -> None:
    certificate = ssl.SSLCertVerificationError()
    certificate.verify_message = "self-signed certificate"
    for cause, words in (
        (socket.gaierror(-2, "Name or service not known"), "cannot be resolved"),
        (certificate, "certificate is not trusted"),
        (ConnectionResetError(), "reset"),
        (TimeoutError(), "no answer in time"),
    ):
        wrapped = RuntimeError("all attempts failed")
        wrapped.__cause__ = cause
        assert words in explain(wrapped)
    group = RuntimeError("all attempts failed")
    group.__cause__ = ExceptionGroup("one for each address", [ConnectionRefusedError(), OSError()])
    assert "connection refused" in explain(group)
    assert explain(RuntimeError("the moon")) == "the moon"


# Turns


class Taken:
    """What a socket has handed over."""

    def __init__(self) -> None:
        self.turns: list[list[bytes]] = []
        self.before_end: list[bytes] | None = None
        """What had been taken when the end was told; None before that."""
        self._more = asyncio.Event()

    def on_messages(self, messages: list[bytes], received_us: int) -> None:
        assert messages
        assert received_us > 1_700_000_000_000_000
        self.turns.append(messages)
        self._more.set()

    def on_end(self) -> None:
        self.before_end = self.messages()
        self._more.set()

    def messages(self) -> list[bytes]:
        return [message for turn in self.turns for message in turn]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._more.clear()
                await self._more.wait()


def frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    return Frame(Opcode(opcode), payload, fin=final).serialize(mask=False)


@asynccontextmanager
async def exchange(answer_to_ping: bytes, *writes: bytes) -> AsyncIterator[str]:
    """Accept a connection, write what it says, each at once; then answer pings with one write too."""

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        protocol = ServerProtocol()
        protocol.receive_data(await reader.readuntil(b"\r\n\r\n"))
        [request] = protocol.events_received()
        assert isinstance(request, Request)
        protocol.send_response(protocol.accept(request))
        writer.write(b"".join(protocol.data_to_send()) + writes[0])
        for one in writes[1:]:
            await writer.drain()
            writer.write(one)
        while not protocol.close_expected() and (data := await reader.read(1_000)):
            protocol.receive_data(data)
            events = protocol.events_received()
            if any(isinstance(event, Frame) and event.opcode is Opcode.PING for event in events):
                writer.write(answer_to_ping)
        writer.close()

    async with await asyncio.start_server(serve_one, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{port_of(server)}/stream"


async def test_what_comes_together_is_handed_over_together_and_in_order() -> None:
    sent = [f"message {number}".encode() for number in range(100)]
    taken, burst = Taken(), b"".join(frame(Opcode.TEXT, one) for one in sent)
    async with (
        exchange(b"", b"", burst) as url,
        open_socket(url, taken.on_messages, ignore, taken.on_end, 10.0),
    ):
        await taken.until(lambda: len(taken.messages()) == 100)
    assert taken.messages() == sent
    assert len(taken.turns) < 10


async def test_a_long_turn_is_handed_over_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_module, "MOST_A_TURN", 7)
    sent = [b"%d" % number for number in range(50)]
    taken, burst = Taken(), b"".join(frame(Opcode.TEXT, one) for one in sent)
    async with exchange(b"", burst) as url, open_socket(url, taken.on_messages, ignore, taken.on_end, 10.0):
        await taken.until(lambda: len(taken.messages()) == 50)
    assert taken.messages() == sent
    assert max(map(len, taken.turns)) == 7


async def test_a_message_in_fragments_keeps_its_place() -> None:
    burst = frame(Opcode.TEXT, b"one") + frame(Opcode.TEXT, b"t", final=False) + frame(Opcode.PING, b"?")
    burst += frame(Opcode.CONT, b"wo") + frame(Opcode.TEXT, b"three")
    taken = Taken()
    async with exchange(b"", burst) as url, open_socket(url, taken.on_messages, ignore, taken.on_end, 10.0):
        await taken.until(lambda: len(taken.messages()) == 3)
    assert taken.messages() == [b"one", b"two", b"three"]


async def test_what_came_before_a_close_is_handed_over_and_what_is_behind_it_is_not() -> None:
    close = frame(Opcode.CLOSE, Close(1001, "moving").serialize())
    burst = frame(Opcode.TEXT, b"last words") + close + frame(Opcode.TEXT, b"too late")
    taken = Taken()
    async with (
        exchange(b"", burst) as url,
        open_socket(url, taken.on_messages, ignore, taken.on_end, 10.0) as socket_,
    ):
        await taken.until(lambda: taken.before_end is not None)
        assert socket_.end == "closed by the exchange: 1001 moving"
    assert taken.before_end == taken.messages() == [b"last words"]


async def test_what_came_before_a_broken_frame_is_handed_over() -> None:
    burst = frame(Opcode.TEXT, b"one") + frame(Opcode.TEXT, b"two") + b"\xff\xff nonsense"
    taken = Taken()
    async with exchange(b"", burst) as url, open_socket(url, taken.on_messages, ignore, taken.on_end, 10.0):
        await taken.until(lambda: taken.before_end is not None)
    assert taken.before_end
    assert taken.before_end[0] == b"one"


async def test_a_pong_that_ends_a_turn_does_not_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_module, "IDLE_PING_S", 1.0)
    monkeypatch.setattr(socket_module, "PONG_TIMEOUT_S", 1.0)
    answer = frame(Opcode.TEXT, b"news") + frame(Opcode.PONG, b"")
    taken = Taken()
    async with exchange(answer, b"") as url, open_socket(url, taken.on_messages, ignore, taken.on_end, 10.0):
        await taken.until(lambda: bool(taken.turns))
    assert taken.messages()[0] == b"news"
