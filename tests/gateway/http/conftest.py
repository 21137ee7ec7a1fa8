"""A port that our HTTP protocol serves, on the loop that gateways run on, and a raw way to it."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
import uvicorn
import uvloop
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from gateway.addresses import TrustedProxies
from gateway.http.entrance import Entrance, HttpLimits
from gateway.http.protocol import http_protocol

LONG_BYTES = 4_000_000
"""More than two kernels keep for a client that does not read."""


def pytest_asyncio_loop_factories(config: Any, item: Any) -> dict[str, Callable[[], Any]]:
    return {"uvloop": uvloop.new_event_loop}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass
class Port:
    """A served port. `/wait` answers when the test says so, `/long` with a lot, all else what was asked."""

    number: int
    entrance: Entrance
    state: ServerState
    asked: list[Scope] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    has_come: asyncio.Event = field(default_factory=asyncio.Event)
    """An application has been asked."""

    async def open(self, source: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.number, local_addr=(source, 0))

    async def say(self, *pieces: bytes) -> bytes:
        """Send, and return all that comes until the connection is closed."""
        reader, writer = await self.open()
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        try:
            return await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()

    async def answer(self, *pieces: bytes) -> Answer:
        return read_answer(await self.say(*pieces))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope)
        self.has_come.set()
        request = Request(scope, receive)
        if scope["path"] == "/wait":
            await self.go_on.wait()
        size = len(await request.body())
        echo = JSONResponse({"path": scope["path"], "client": scope["client"][0], "bytes": size})
        answer = Response(bytes(LONG_BYTES)) if scope["path"] == "/long" else echo
        await answer(scope, receive, send)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something has become true."""
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110  # the parts under test tell nobody, they count
                await asyncio.sleep(0.005)


def read_answer(answer: bytes) -> Answer:
    """Read the one answer that there is."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return Answer(int(first.split(" ")[1]), headers, body)


@asynccontextmanager
async def serve(
    limits: HttpLimits, proxies: tuple[str, ...], ws: type | None, app: ASGIApp | None
) -> AsyncIterator[Port]:
    entrance, state = Entrance(limits, TrustedProxies(proxies)), ServerState()
    port = Port(0, entrance, state)
    config = uvicorn.Config(
        app or port, http=http_protocol(entrance), ws=ws or "none", log_config=None, proxy_headers=False
    )
    config.load()
    server = await asyncio.get_running_loop().create_server(
        lambda: config.http_protocol_class(config=config, server_state=state, app_state={}),
        "127.0.0.1",
        family=socket.AF_INET,
    )
    port.number = server.sockets[0].getsockname()[1]
    try:
        yield port
    finally:
        server.close()
        for one in tuple(state.connections):
            one.transport.abort()
        for task in tuple(state.tasks):
            task.cancel()


Serve = Callable[..., AbstractAsyncContextManager[Port]]


@pytest.fixture
def serve_port(caplog: pytest.LogCaptureFixture):
    """Serve ports with limits of the test's own; nothing of what is tried on them may be logged."""

    def make(
        *, proxies: tuple[str, ...] = (), ws: type | None = None, app: ASGIApp | None = None, **limits: Any
    ):
        return serve(HttpLimits(**limits), proxies, ws, app)

    with caplog.at_level(logging.INFO):
        yield make
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []
