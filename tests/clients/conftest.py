"""A small gateway on a free port, made of the real parts: `Connection` and `ServerSession`."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.http11 import Request

from gateway.ws.connection import Connection, Refusal, frame_binary
from protocol.control import Ping, Pong, WatchEdit, format_message
from protocol.errors import ProtocolError
from protocol.events import (
    Candle,
    Enigma,
    Gap,
    GapCause,
    GapState,
    Price,
    PriceUpdate,
    Quote,
    SeriesKey,
    Trade,
)
from protocol.frames import encode_v1, encode_v2
from protocol.session import SUBPROTOCOL_V1, SUBPROTOCOL_V2, Limits, ServerSession
from protocol.standing import ANYBODY
from protocol.symbols import Instrument, SymbolTable

TIMEOUT_S = 10.0


def instrument(symbol_id: int, symbol: str, **more: object) -> Instrument:
    fields = {"venue": "simulated", "native": symbol, "price_precision": 2, "simulated": True, **more}
    return Instrument(id=symbol_id, symbol=symbol, **fields)  # type: ignore[arg-type]  # test values


class Peer(Connection):
    """The gateway's end of one client."""

    def __init__(self, gateway: "SmallGateway") -> None:
        self.subprotocols = gateway.subprotocols
        super().__init__(Config(lambda: None), ServerState(), {})
        self.gateway = gateway
        self.heard = asyncio.Event()
        self.ponged = asyncio.Event()
        self.lost = asyncio.Event()
        self.path = ""
        self.authorization: str | None = None
        self.edits: list[WatchEdit] = []
        self.since: dict[int, int] = {}
        self.answers = True
        """Whether it has come to what the client says: else all that it sends is from before."""
        self.asked: dict[SeriesKey, int | None] = {}
        """Which candles, and from which version on."""

    def on_request(self, request: Request) -> Refusal | None:
        self.path = request.path
        self.authorization = request.headers.get("Authorization")
        return self.gateway.refuse

    def on_open(self) -> None:
        self.session = ServerSession(
            2 if self.subprotocol == SUBPROTOCOL_V2 else 1,
            self.gateway.symbols,
            Limits(),
            self.gateway.standing,
        )
        self.gateway.peers.append(self)
        self.gateway.opened.put_nowait(self)

    def on_text(self, text: bytes) -> None:
        try:
            reaction = self.session.on_text(text, now_ms=0)
        except ProtocolError as error:
            self.close(error.close_code, str(error))
            return
        self.since |= reaction.since
        self.asked |= reaction.candles
        if reaction.edit is not None:
            self.edits.append(reaction.edit)
        for reply in reaction.replies if self.answers else ():
            self.send_text(reply)
        self.heard.set()
        if text == format_message(Pong()):
            self.ponged.set()

    def on_binary(self, data: bytes) -> None:
        raise AssertionError(f"a client sends no binary: {data!r}")

    def on_lost(self) -> None:
        self.lost.set()

    def send(self, payload: bytes) -> None:
        self.transport.write(frame_binary(payload))

    @property
    def closed_with(self) -> int | None:
        """The close code that the client sent, if it was the first to close."""
        return self.close_code

    async def heard_back(self) -> None:
        """Wait until the client has worked through all that was sent: it answers a ping in order."""
        self.ponged.clear()
        self.send_text(format_message(Ping()))
        async with asyncio.timeout(TIMEOUT_S):
            await self.ponged.wait()

    def price(self, symbol_id: int, price: float, *, delay_us: int = 500, changes: int = 1) -> None:
        if self.session.version == 1:
            self.send(encode_v1([PriceUpdate(symbol_id, price, 10.0)]))
        else:
            row = Price(symbol_id, changes << 8, delay_us, price, 10.0)
            self.send(encode_v2([row], self.gateway.time_us))

    def market_watch(self, *symbols: str) -> None:
        """Say what the user's market watch is now."""
        for reply in self.session.on_market_watch([f"BINANCE:{one}" for one in symbols]).replies:
            self.send_text(reply)

    def quote(self, symbol_id: int, bid: float, ask: float) -> None:
        self.send(encode_v2([Quote(symbol_id, 1 << 8, 700, bid, 1.0, ask, 2.0)], self.gateway.time_us))

    def candle(self, close: float, *, minute: int = 0, flags: int = 0, time_us: int | None = None) -> None:
        row = Candle(1, 1, flags, 0, minute * 60_000, 1.0, 9.0, 0.5, close, 2.0, 3, 0, 1.5)
        self.send(encode_v2([row], self.gateway.time_us if time_us is None else time_us))

    def enigma(self, level: float) -> None:
        self.send(encode_v2([Enigma(1, 1 << 8, 700, level, 1.0, 3.0)], self.gateway.time_us))

    def trades(self, *ids: int, flags: int = 0) -> None:
        rows = [Trade(1, flags, 1, one, 1_000 * one, 100.0, 1.0) for one in ids]
        self.send(encode_v2(rows, self.gateway.time_us))

    def gap(self, state: GapState, first_id: int, last_id: int) -> None:
        rows = [Gap(1, state, GapCause.SKIPPED, first_id, last_id, 1, 2)]
        self.send(encode_v2(rows, self.gateway.time_us))


class SmallGateway:
    def __init__(self) -> None:
        self.symbols = SymbolTable()
        self.symbols.add(instrument(1, "BTCUSDT"))
        self.symbols.add(instrument(2, "ETHUSDT", simulated=False, venue="binance"))
        self.peers: list[Peer] = []
        self.opened: asyncio.Queue[Peer] = asyncio.Queue()
        self.refuse: Refusal | None = None
        self.standing = ANYBODY
        self.subprotocols: tuple[str, ...] = (SUBPROTOCOL_V1, SUBPROTOCOL_V2)
        self.time_us = 1_700_000_000_000_000
        self.port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def peer(self) -> Peer:
        """Wait for the next client that has asked for something."""
        async with asyncio.timeout(TIMEOUT_S):
            peer = await self.opened.get()
            await peer.heard.wait()
            return peer


async def serve(protocol: Callable[[], asyncio.Protocol]) -> asyncio.Server:
    return await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)


@pytest.fixture
async def gateway() -> AsyncIterator[SmallGateway]:
    small = SmallGateway()
    server = await serve(lambda: Peer(small))
    small.port = server.sockets[0].getsockname()[1]
    async with server:
        yield small
        for peer in small.peers:
            peer.abort()
            await peer.lost.wait()
