"""What the tests of the pool share: an ear, a venue at a simulated exchange, one at a scripted one."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.server import ServerConnection, serve

from gateway.exchanges.venue import VENUES, Venue
from gateway.feeds.boundary import Boundary
from gateway.feeds.connections.connection import Patience
from gateway.feeds.connections.pool import ConnectionPool
from gateway.feeds.connections.turn import OnTurn, Turn
from gateway.sim.market.noise import key_of, unit
from gateway.sim.server import SimOptions, SimulatedExchange
from protocol.events import GapCause
from protocol.market import AggTrade, MarketEvent

PATH = {"binance": "", "binance-usdm": "/fstream", "binance-coinm": "/dstream"}
PATIENT = Patience(first_backoff_ms=20, longest_backoff_ms=100, overlap_s=0.05, quiet_s=0.3)
TIMEOUT_S = 20


class Heard:
    """What a pool has handed over; wakes whoever waits for something in it."""

    def __init__(self) -> None:
        self.events: list[MarketEvent] = []
        self.received_us: list[int] = []
        self.boundaries: list[Boundary] = []
        self._more = asyncio.Event()

    def __call__(self, turn: Turn, received_us: int) -> None:
        assert received_us > 1_700_000_000_000_000
        for native, events in turn.items():
            assert events
            assert {event.native for event in events} == {native}
            self.events += events
            self.received_us += [received_us] * len(events)
        self._more.set()

    def on_boundary(self, boundary: Boundary) -> None:
        self.boundaries.append(boundary)
        self._more.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition, looking whenever something arrives."""
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():
                self._more.clear()
                await self._more.wait()

    async def more(self, count: int = 5) -> None:
        """Wait for some events from now on."""
        goal = len(self.events) + count
        await self.until(lambda: len(self.events) >= goal)

    async def boundary(self, number: int = 1) -> Boundary:
        """Wait for the boundary of this number, counted from 1."""
        await self.until(lambda: len(self.boundaries) >= number)
        return self.boundaries[number - 1]

    def causes(self) -> list[GapCause]:
        return [one.cause for one in self.boundaries]

    def seen(self) -> set[tuple[type, str]]:
        return {(type(event), event.native) for event in self.events}

    def ids(self, native: str) -> list[int]:
        return [one.id for one in self.events if isinstance(one, AggTrade) and one.native == native]


def venue_at(sim: SimulatedExchange, name: str = "binance") -> Venue:
    return VENUES[name].with_endpoints(f"ws://127.0.0.1:{sim.port}{PATH[name]}", sim.url)


def pool_of(venue: Venue, on_turn: OnTurn, **options: Any) -> ConnectionPool:
    if isinstance(on_turn, Heard):
        options = {"on_boundary": on_turn.on_boundary, **options}
    return ConnectionPool(venue, ("aggTrade",), on_turn, **{"patience": PATIENT, **options})


def simulated(rate: float = 50, **options: Any) -> SimulatedExchange:
    return SimulatedExchange(SimOptions(symbols=5, rate=rate, **options))


FEW = 0.2


def seed_that_strikes(serial: int) -> int:
    """Return a seed with which the first fault of share FEW strikes this one of the first 10 connections."""
    for seed in range(10_000):
        key = key_of(seed, "fault", 1)
        if [number for number in range(1, 11) if unit(key, number) < FEW] == [serial]:
            return seed
    raise LookupError(serial)


async def assert_whole(sim: SimulatedExchange, heard: Heard, natives: Collection[str]) -> None:
    """From the first trade heard of each symbol to the last: all that REST knows of, and as it knows them."""
    async with httpx.AsyncClient(base_url=sim.url) as http:
        for native in natives:
            trades = {
                one.id: (one.price, one.quantity, one.taker_sold)
                for one in heard.events
                if isinstance(one, AggTrade) and one.native == native
            }
            expected = await _agg_trades(http, native, min(trades), max(trades))
            assert trades == expected, native


async def _agg_trades(
    http: httpx.AsyncClient, native: str, first: int, last: int
) -> dict[int, tuple[float, float, bool]]:
    found: dict[int, tuple[float, float, bool]] = {}
    while not found or max(found) < last:
        params = {"symbol": native, "fromId": max(found, default=first - 1) + 1, "limit": 1_000}
        rows = (await http.get("/api/v3/aggTrades", params=params)).raise_for_status().json()
        found.update({row["a"]: (float(row["p"]), float(row["q"]), row["m"]) for row in rows})
    return {number: trade for number, trade in found.items() if number <= last}


# An exchange that does what a test says


Script = Callable[[ServerConnection], Any]


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[Venue]:
    async with serve(script, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield VENUES["binance"].with_endpoints(f"ws://127.0.0.1:{port}")


def trade_of(name: str, trade_id: int = 1) -> str:
    native = name.partition("@")[0].upper()
    event = {
        "e": "aggTrade",
        "s": native,
        "a": trade_id,
        "p": "1",
        "q": "1",
        "f": 1,
        "l": 1,
        "T": 1,
        "m": True,
    }
    return json.dumps({"stream": name, "data": event}, separators=(",", ":"))


def ack_of(request: dict[str, Any]) -> str:
    return json.dumps({"result": None, "id": request["id"]})


async def answer_all(socket: ServerConnection) -> None:
    async for text in socket:
        request = json.loads(text)
        await socket.send(ack_of(request))
        for name in request["params"]:
            await socket.send(trade_of(name))
