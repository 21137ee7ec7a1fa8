"""Which stream an upgrade asks for: the protocol class that uvicorn hands a socket to.

uvicorn makes one for each upgrade, replays the request into it, and then makes it the socket's protocol. By
its path this chooses the client of a stream, and steps aside as soon as uvicorn has let go.
"""

import asyncio
from typing import Any, ClassVar, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway.ws.candles.stream import CandleClient
from gateway.ws.endpoint import Client, Clients
from gateway.ws.stream import StreamClient


class Door(asyncio.Protocol):
    """One upgrade."""

    __slots__ = ("_client", "_given", "_transport")

    streams: ClassVar[dict[bytes, type[Client]]]
    otherwise: ClassVar[type[Client]]
    """Refuses a path that is no stream."""

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        self._given = (config, server_state, app_state)
        self._transport = cast(asyncio.Transport, None)
        self._client: Client | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        client = self._client
        if client is None:
            client = self._client = self._open(data)
            asyncio.get_running_loop().call_soon(self._transport.set_protocol, client)
        client.data_received(data)

    def _open(self, request: bytes) -> Client:
        path = request.split(b" ", 2)[1].partition(b"?")[0]
        client = self.streams.get(path, self.otherwise)(*self._given)
        client.connection_made(self._transport)
        return client

    # Between the request and the next turn of the loop

    def connection_lost(self, exc: Exception | None) -> None:
        if self._client is not None:
            self._client.connection_lost(exc)

    def eof_received(self) -> None:
        if self._client is not None:
            self._client.eof_received()

    def pause_writing(self) -> None:
        if self._client is not None:
            self._client.pause_writing()

    def resume_writing(self) -> None:
        if self._client is not None:
            self._client.resume_writing()


def protocol_class(clients: Clients) -> type[Door]:
    """Make the class that uvicorn creates for each upgrade to this gateway."""
    shared = {"__slots__": (), "clients": clients, "max_message_bytes": clients.limits.max_message_bytes}
    streams: dict[bytes, type[Client]] = {
        one.path.encode(): type(f"Gateway{one.__name__}", (one,), shared)
        for one in (StreamClient, CandleClient)
    }
    otherwise = streams[StreamClient.path.encode()]
    return type("GatewayDoor", (Door,), {"streams": streams, "otherwise": otherwise})
