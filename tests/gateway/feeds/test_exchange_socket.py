"""Failures to connect, in words that whoever runs the gateway understands."""

import socket
import ssl
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

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
