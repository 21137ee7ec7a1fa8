"""A simulated exchange per test, and the two ways to talk to it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from gateway.sim.server import SimOptions, SimulatedExchange

PATIENCE_S = 10.0


class Ear:
    """A client of its own kind: the `websockets` library and JSON, nothing of ours."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def hear(self) -> Any:
        async with asyncio.timeout(PATIENCE_S):
            return json.loads(await self.connection.recv())

    async def hear_some(self, count: int, wanted: Callable[[Any], bool] = bool) -> list[Any]:
        heard: list[Any] = []
        while len(heard) < count:
            message = await self.hear()
            if wanted(message):
                heard.append(message)
        return heard

    async def ask(self, method: str, params: Any = None, request_id: Any = 1) -> Any:
        request = {"method": method, "id": request_id}
        await self.connection.send(json.dumps(request if params is None else {**request, "params": params}))
        return (await self.hear_some(1, lambda said: "e" not in said and "data" not in said))[0]

    async def closed(self) -> int | None:
        """Listen until the connection is gone; return the code it was closed with, if with any."""
        with contextlib.suppress(websockets.ConnectionClosed):
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    await self.connection.recv()
        return self.connection.close_code


class Desk:
    """Everything that a test needs of one exchange."""

    def __init__(self, sim: SimulatedExchange, http: httpx.AsyncClient) -> None:
        self.sim = sim
        self.http = http

    @contextlib.asynccontextmanager
    async def listen(self, path: str) -> AsyncIterator[Ear]:
        # Unbounded, for a client that pauses reading would take seconds to close.
        async with websockets.connect(
            self.sim.url.replace("http", "ws") + path, max_queue=None
        ) as connection:
            yield Ear(connection)

    async def listen_elsewhere(self, count: int) -> None:
        """Let time pass: as much as another symbol needs for so many trades."""
        async with self.listen("/ws/ethusdt@aggTrade") as other:
            await other.hear_some(count)

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def refused(self, path: str, **params: Any) -> tuple[int, Any]:
        answer = await self.http.get(path, params=params)
        return answer.status_code, answer.json()

    async def state(self) -> Any:
        return await self.get("/sim/state")


Open = Callable[..., contextlib.AbstractAsyncContextManager[Desk]]


@contextlib.asynccontextmanager
async def _open(**options: Any) -> AsyncIterator[Desk]:
    options = {"symbols": 3, "rate": 200.0, **options}
    async with (
        SimulatedExchange(SimOptions(**options)) as sim,
        httpx.AsyncClient(base_url=sim.url, timeout=PATIENCE_S) as http,
    ):
        yield Desk(sim, http)


@pytest.fixture(name="exchange")
def exchange_fixture() -> Open:
    """Open an exchange: `async with exchange(rate=…) as desk`."""
    return _open
