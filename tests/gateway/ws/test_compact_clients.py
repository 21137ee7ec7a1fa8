"""Clients of compact prices beside clients of prices: whatever they go through, they know the same.

Real clients' ends, real sessions, the real fan-out; only the network is scripted, so that its moments are
the test's.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

from compact_reader import messages
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway.ws.candles.replays import CandleReplays
from gateway.ws.delivery import Replays
from gateway.ws.door import protocol_class
from gateway.ws.endpoint import ClientLimits, Clients
from gateway.ws.fanout import Fanout
from processors.bus import BusError
from protocol.batches import Batch
from protocol.client_session import ClientSession
from protocol.events import Kind, Price, PriceUpdate, Trade
from protocol.frames import Frame, decode_v2, encode_v2
from protocol.symbols import Instrument, SymbolTable

NOW_US = 1_790_000_000_000_000
SYMBOLS = ("AUSDT", "BUSDT")
TWINS = 3
UPGRADE = (
    b"GET /api/v1/ws HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: tickgate.v2\r\n\r\n"
)


class Wire(asyncio.Transport):
    """A client's socket, as the gateway sees it: it takes what is written, and is full when the test says."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__({"socket": sock})
        self.written = bytearray()
        self.fills_up = False
        self.is_full = False
        self._protocol: Any = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data
        if self.fills_up and not self.is_full:
            self.is_full = True
            self._protocol.pause_writing()

    def drain(self) -> None:
        self.fills_up = False
        if self.is_full:
            self.is_full = False
            self._protocol.resume_writing()

    def hear(self, data: bytes) -> None:
        self._protocol.data_received(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """It is full when the test says."""

    def get_write_buffer_size(self) -> int:
        return 1 if self.is_full else 0

    def is_closing(self) -> bool:
        return False


class Peer:
    """A client of one kind, and what it knows."""

    def __init__(self, kind: str, open_door: Callable[[], Any], sock: socket.socket) -> None:
        self._kind = kind
        self._session = ClientSession(2)
        self.wire = Wire(sock)
        self.known: dict[int, tuple[float, float]] = {}
        door = open_door()
        self.wire.set_protocol(door)
        door.connection_made(self.wire)
        self.wire.hear(UPGRADE)
        assert self.wire.written.endswith(b"\r\n\r\n"), "the handshake"
        self.wire.written.clear()

    def subscribe(self, symbols: list[str]) -> None:
        self._say(self._session.subscribe(symbols, [self._kind]))

    def unsubscribe(self, symbols: list[str]) -> None:
        self._say(self._session.unsubscribe(symbols))

    def _say(self, text: bytes) -> None:
        assert len(text) < 65_536
        self.wire.hear(struct.pack("!BBHI", 0x81, 0x80 | 126, len(text), 0) + text)  # masked with zeros

    def read(self) -> dict[int, tuple[float, float]]:
        """Read all that was written; return what is known by then."""
        for is_binary, payload in messages(bytes(self.wire.written)):
            if not is_binary:
                self._session.on_text(payload)
                continue
            decoded = self._session.on_binary(payload)
            rows: list[Price | PriceUpdate] = decoded.rows() if isinstance(decoded, Frame) else decoded
            self.known.update({row.symbol_id: (row.price, row.volume) for row in rows})
        self.wire.written.clear()
        return self.known


class Gateway:
    """The fan-out, and clients in pairs that differ in nothing but their kind."""

    def __init__(self, sock: socket.socket) -> None:
        symbols = SymbolTable()
        for number, name in enumerate(SYMBOLS, 1):
            symbols.add(
                Instrument(
                    id=number, symbol=name, venue="sim", native=name, price_precision=2, quantity_precision=2
                )
            )
        self.fanout = Fanout(symbols)
        replays = Replays(self.fanout, _no_trades), CandleReplays(self.fanout, _no_bars)
        clients = Clients(*replays, symbols, ClientLimits())
        door, state = protocol_class(clients), ServerState()
        config = Config(app=lambda: None)

        def open_door() -> Any:
            return door(config, state, {})

        self.open_door = open_door
        self.twins = [
            (Peer("price", open_door, sock), Peer("compact", open_door, sock)) for _ in range(TWINS)
        ]

    def publish(self, values: dict[int, tuple[float, float]]) -> None:
        rows = [Price(symbol_id, 256, 0, *amounts) for symbol_id, amounts in values.items()]
        frame = decode_v2(encode_v2(rows, NOW_US, Kind.PRICE))
        self.fanout.on_batch(Batch(1, 1, NOW_US, [frame]))


async def _no_trades(_symbol_id: int, _first: int, _last: int, _look_twice: bool) -> list[Trade]:
    return []


async def _no_bars(*_: Any) -> Any:
    raise BusError("there is no recorder")


NEAR = st.sampled_from([1.0, 1.01, 1.02])
"""In reach of each other."""
FAR = st.one_of(st.sampled_from([1e6, 1e9, 0.001]), st.floats(0.0, 1e18))
"""Out of reach, or nothing that hundredths can say."""
VALUES = st.one_of(st.tuples(NEAR, NEAR), st.tuples(NEAR, NEAR), st.tuples(NEAR, FAR), st.tuples(FAR, FAR))
NEWS = st.dictionaries(st.integers(1, len(SYMBOLS)), VALUES, min_size=1)
SOME = st.lists(st.sampled_from(SYMBOLS), min_size=1, unique=True)
WHO = st.integers(0, TWINS - 1)
STEPS = st.one_of(
    st.tuples(st.just("publish"), NEWS),
    st.tuples(st.just("publish and flush"), NEWS),
    st.tuples(st.just("publish and flush"), NEWS),
    st.tuples(st.just("subscribe"), st.tuples(WHO, SOME)),
    st.tuples(st.just("unsubscribe"), st.tuples(WHO, SOME)),
    st.tuples(st.just("fill up"), WHO),
    st.tuples(st.just("drain"), WHO),
)


@settings(deadline=None, max_examples=40)
@given(st.lists(STEPS, min_size=20, max_size=60))
def test_compact_clients_know_what_price_clients_know(steps: list[tuple[str, Any]]):
    with socket.socket() as sock:
        asyncio.run(live_through(sock, steps))


async def live_through(sock: socket.socket, steps: list[tuple[str, Any]]) -> None:
    gateway = Gateway(sock)
    truth: dict[int, tuple[float, float]] = {}
    for verb, what in steps:
        match verb:
            case "publish" | "publish and flush":
                gateway.publish(what)
                truth |= what
                if verb != "publish":
                    await asyncio.sleep(0)
            case "subscribe" | "unsubscribe":
                for peer in gateway.twins[what[0]]:
                    getattr(peer, verb)(what[1])
            case "fill up":
                for peer in gateway.twins[what]:
                    peer.wire.fills_up = True
            case "drain":
                for peer in gateway.twins[what]:
                    peer.wire.drain()
        for price, compact in gateway.twins:
            assert compact.read() == price.read()
    await asyncio.sleep(0)
    for price, compact in gateway.twins:
        for peer in (price, compact):
            peer.wire.drain()
            peer.subscribe(list(SYMBOLS))
        assert compact.read() == price.read() == truth
