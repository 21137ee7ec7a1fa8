"""Two hundred clients with fifty watchlists hold exactly what the exchange traded last."""

import asyncio
import json
import os
import random
import signal
from collections import deque
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from bench.demo import ANSWER_TIMEOUT_S, until
from processors.bus import BusAddress
from processors.bus import connect as connect_bus
from protocol.frames import Records, decode_v1, decode_v2

CLIENTS = 200
WATCHLISTS = 50


async def test_every_client_holds_the_exchanges_newest_price_of_each_of_its_symbols(start_demo):
    async with start_demo("--symbols", "30", "--rate", "10", "--workers", "2") as demo:
        symbols = {one["symbol"]: one["id"] for one in await demo.get("/api/v1/symbols")}
        last_trades: dict[int, Any] = {}

        def on_trade(_subject: str, payload: bytes) -> None:
            for row in decode_v2(payload).rows():
                last_trades[row.symbol_id] = row

        address = BusAddress([nats_url_of(demo)])
        async with connect_bus(address, "test") as bus, asyncio.TaskGroup() as tasks:
            await bus.subscribe("trades.>", on_trade)
            clients = await connect_clients(demo.ws, sorted(symbols), tasks)
            await clients_have_moved(clients)
            os.kill(demo.children("sim")[0].pid, signal.SIGSTOP)  # the market stands still
            await everything_has_arrived(demo.http, clients)
            held = [(client.watchlist, dict(client.prices)) for client in clients]
            heard = dict(last_trades)
            os.kill(demo.children("sim")[0].pid, signal.SIGCONT)
            for client in clients:
                client.reading.cancel()
        truth = await traded_prices(demo.sim, symbols, heard)
        assert set(truth) == set(symbols)
        for watchlist, prices in held:
            assert prices == {symbols[name]: truth[name] for name in watchlist}


class Client:
    """Keeps the newest price per id of its stream."""

    def __init__(self, stream: ClientConnection, watchlist: list[str], version: int) -> None:
        self.watchlist = watchlist
        self.prices: dict[int, float] = {}
        self.frames = 0
        self._stream = stream
        self._version = version
        self.reading: asyncio.Task[None]

    async def read(self) -> None:
        try:
            async for message in self._stream:
                if isinstance(message, bytes):
                    self._take(decode_v1(message) if self._version == 1 else decode_v2(message).records)
        finally:
            await self._stream.close()

    def _take(self, records: Records) -> None:
        ids, prices = records["symbol_id"].tolist(), records["price"].tolist()
        self.prices |= dict(zip(ids, prices, strict=True))
        self.frames += 1


async def connect_clients(url: str, symbols: list[str], tasks: asyncio.TaskGroup) -> list[Client]:
    draw = random.Random(4)
    watchlists = [draw.sample(symbols, draw.randint(1, 12)) for _ in range(WATCHLISTS)]
    clients = []
    for number in range(CLIENTS):
        version, watchlist = 1 + number % 2, watchlists[number % WATCHLISTS]
        stream = await connect(url, subprotocols=[f"tickgate.v{version}"])
        await stream.send(json.dumps({"type": "subscribe", "symbols": watchlist}))
        client = Client(stream, watchlist, version)
        client.reading = tasks.create_task(client.read())
        clients.append(client)
    return clients


async def clients_have_moved(clients: list[Client]) -> None:
    async def have_moved() -> bool:
        return min(client.frames for client in clients) >= 10

    await until(have_moved, 60)


async def everything_has_arrived(url: str, clients: list[Client]) -> None:
    """Wait until the gateway has written nothing new and no client has read anything for a while."""
    looks: deque[tuple[int, int]] = deque(maxlen=10)
    async with httpx.AsyncClient(base_url=url, timeout=ANSWER_TIMEOUT_S) as http:

        async def is_quiet() -> bool:
            written = (await http.get("/stats")).json()["frames_written"]
            looks.append((written, sum(client.frames for client in clients)))
            return len(looks) == looks.maxlen and len(set(looks)) == 1

        await until(is_quiet)


async def traded_prices(sim: str, symbols: dict[str, int], trades: dict[int, Any]) -> dict[str, float]:
    """Ask the exchange itself at which price the last trade that was heard happened."""
    prices = {}
    async with httpx.AsyncClient(base_url=sim, timeout=ANSWER_TIMEOUT_S) as http:
        for name, symbol_id in symbols.items():
            query = {"symbol": name, "fromId": trades[symbol_id].id, "limit": 1}
            (trade,) = (await http.get("/api/v3/aggTrades", params=query)).json()
            prices[name] = float(trade["p"])
    return prices


def nats_url_of(demo) -> str:
    """Read the port from the configuration that the demo wrote."""
    lines = (demo.data / "nats" / "nats.conf").read_text().splitlines()
    port = next(line.partition(":")[2].strip() for line in lines if line.startswith("port:"))
    return f"nats://127.0.0.1:{port}"
