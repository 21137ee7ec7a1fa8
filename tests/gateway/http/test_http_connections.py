"""How long a connection may do nothing, and how many there may be."""

import asyncio
import socket

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gateway.http import protocol
from gateway.ws.connection import Connection

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Echo(Connection):
    """A WebSocket that says what it is told."""

    def on_request(self, request):  # noqa: ARG002  # whatever it is
        return None

    def on_text(self, text):
        self.send_text(text)


async def closes(reader: asyncio.StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionResetError:
        return b""


async def test_a_connection_that_asks_nothing_is_closed_without_a_word(serve_port):
    async with serve_port(read_timeout_s=0.1) as port:
        assert await port.say() == b""
        assert await port.say(b"\r\n\r\n") == b""
        await port.until(lambda: port.entrance.connections == 0)


@pytest.mark.parametrize(
    "sent",
    [
        b"G",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: ",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
    ],
)
async def test_half_a_request_is_given_up_and_no_handler_waits_for_it(serve_port, sent):
    async with serve_port(read_timeout_s=0.1) as port:
        answer = await port.answer(sent)
        assert (answer.status, answer.json["error"]) == (408, "request_timeout")
        assert port.asked == []


async def test_sending_a_byte_now_and_then_gains_no_time(serve_port):
    async with serve_port(read_timeout_s=0.3) as port:
        reader, writer = await port.open()
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        said = asyncio.ensure_future(closes(reader))
        while not said.done():
            writer.write(b"a")
            await asyncio.sleep(0.02)
        assert (await said).startswith(b"HTTP/1.1 408")
        writer.close()


async def test_the_next_request_of_a_connection_has_its_own_time(serve_port):
    async with serve_port(read_timeout_s=0.2) as port:
        reader, writer = await port.open()
        writer.write(GET + b"GET / HT")  # the second has begun
        await reader.readuntil(b"}")
        assert (await closes(reader)).startswith(b"HTTP/1.1 408")
        writer.close()


async def test_an_answer_may_take_longer_than_a_request(serve_port):
    async with serve_port(read_timeout_s=0.05) as port:
        reader, writer = await port.open()
        writer.write(b"GET /wait HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        await asyncio.wait_for(port.has_come.wait(), 5)
        other = await port.answer(b"G")  # what is late meanwhile is late
        port.go_on.set()
        assert (other.status, (await closes(reader))[:12]) == (408, b"HTTP/1.1 200")
        writer.close()


async def test_a_client_that_does_not_read_its_answer_is_cut_off(serve_port):
    async with serve_port(send_timeout_s=0.1) as port:
        _, writer = await port.open()
        writer.transport.pause_reading()
        writer.write(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
        await port.until(lambda: bool(port.asked))
        await port.until(lambda: port.entrance.connections == 0)
        writer.close()


async def test_a_client_that_reads_slowly_gets_all_of_its_answer(serve_port):
    async with serve_port(send_timeout_s=0.3) as port:
        reader, writer = await port.open()
        writer.write(b"GET /long HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        size = 0
        while piece := await reader.read(65_536):
            size += len(piece)
            await asyncio.sleep(0.005)
        assert size > 4_000_000
        writer.close()


async def test_one_address_has_so_many_connections_and_another_its_own(serve_port):
    async with serve_port(max_per_address=3) as port:
        held = [await port.open() for _ in range(3)]
        await port.until(lambda: port.entrance.connections == 3)
        answer = await port.answer(GET)
        assert (answer.status, answer.json["error"]) == (503, "too_many_connections")
        assert "retry-after" in answer.headers
        assert port.asked == []
        reader, writer = await port.open("127.0.0.2")
        writer.write(GET)
        assert b"200" in await reader.readline()
        writer.close()
        held.pop()[1].close()
        await port.until(lambda: port.entrance.by_address["127.0.0.1"] == 2)
        reader, writer = await port.open()
        writer.write(GET)
        assert b"200" in await reader.readline()
        writer.close()
        for _, one in held:
            one.close()
        await port.until(lambda: not port.entrance.by_address)


async def test_there_are_so_many_connections_in_all(serve_port):
    async with serve_port(max_connections=2) as port:
        held = [await port.open(f"127.0.0.{number}") for number in (1, 2)]
        await port.until(lambda: port.entrance.connections == 2)
        assert (await port.answer(GET)).status == 503
        for _, writer in held:
            writer.close()


async def test_of_those_that_are_too_many_only_few_are_told_so(serve_port, monkeypatch):
    monkeypatch.setattr(protocol, "MOST_TURNED_AWAY", 2)
    async with serve_port(max_connections=1) as port:
        held = [await port.open() for _ in range(3)]
        await port.until(lambda: port.entrance.turned_away == 2)
        assert await port.say() == b""
        assert port.entrance.rejected == {"too_many_connections": 1}
        for _, writer in held:
            writer.close()
        await port.until(lambda: port.entrance.turned_away == 0)


async def test_a_websocket_counts_from_its_first_byte_until_it_is_gone(serve_port):
    async with serve_port(ws=Echo, max_per_address=1) as port:
        url = f"ws://127.0.0.1:{port.number}/"
        async with connect(url) as client:
            await client.send("x")
            assert await client.recv() == "x"
            assert port.entrance.by_address == {"127.0.0.1": 1}
            with pytest.raises(InvalidStatus, match="503"):
                await connect(url)
        await port.until(lambda: port.entrance.connections == 0)
        assert port.entrance.by_address == {}
        assert port.state.connections == set()


async def test_a_websocket_that_is_cut_off_is_counted_no_longer(serve_port):
    async with serve_port(ws=Echo) as port:
        reader, writer = await port.open()
        writer.write(HANDSHAKE)
        assert b"101" in await reader.readline()
        own = writer.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, not an end
        writer.transport.abort()
        await port.until(lambda: port.entrance.connections == 0)


async def test_half_a_handshake_is_given_up(serve_port):
    async with serve_port(ws=Echo, read_timeout_s=0.1) as port:
        assert (await port.answer(HANDSHAKE[:-2])).status == 408
        await port.until(lambda: port.entrance.connections == 0)


async def test_a_websocket_is_not_timed_as_a_request(serve_port):
    async with (
        serve_port(ws=Echo, read_timeout_s=0.05) as port,
        connect(f"ws://127.0.0.1:{port.number}/") as client,
    ):
        assert (await port.answer(b"G")).status == 408  # so much time has passed
        await client.send("x")
        assert await client.recv() == "x"


async def test_an_upgrade_waits_for_nobody(serve_port):
    """What is written to a WebSocket may not mix with an answer that is still to come."""
    async with serve_port(ws=Echo) as port:
        reader, writer = await port.open()
        writer.write(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        await port.until(lambda: bool(port.asked))
        writer.write(HANDSHAKE)
        await port.until(lambda: port.entrance.rejected == {"too_many_at_once": 1})
        port.go_on.set()
        said = await closes(reader)
        assert (said.count(b"HTTP/1.1"), said[:12]) == (1, b"HTTP/1.1 200")
        writer.close()


async def test_behind_a_proxy_its_clients_are_counted_and_not_the_proxy(serve_port):
    limits = {"proxies": ("127.0.0.1",), "max_per_address": 1}
    async with serve_port(ws=Echo, **limits) as port:
        url, one = f"ws://127.0.0.1:{port.number}/", {"X-Forwarded-For": "9.9.9.9"}
        async with connect(url, additional_headers=one):
            assert port.entrance.by_address == {"9.9.9.9": 1}
            with pytest.raises(InvalidStatus, match="503"):
                await connect(url, additional_headers=one)
            async with connect(url, additional_headers={"X-Forwarded-For": "9.9.9.8"}):
                assert (await port.answer(GET.replace(b"Host", b"Connection: close\r\nHost"))).status == 200
        await port.until(lambda: not port.entrance.by_address)


async def test_connections_end_with_the_server(serve_port):
    async with serve_port() as port:
        idle, half = await port.open(), await port.open()
        half[1].write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        await port.until(lambda: len(port.state.connections) == 2)
        for one in tuple(port.state.connections):
            one.shutdown()
        for reader, writer in (idle, half):
            assert await closes(reader) == b""
            writer.close()
