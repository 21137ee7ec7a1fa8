"""What clients watch, what peers send them, and what the clients themselves send. Pure.

A client watches one of the watchlists: client number C the list C modulo their number. A payload is a v1
frame of one list's symbols. A peer has one payload a list in its file, all of one size, and writes the time
of a round over the first price, at byte 8. The CRC before it stays as it was: peers only send.

    part of the reader's file: u32 length of the handshake, u32 length of the first message, both of them
"""

import struct
from collections.abc import Iterator, Sequence
from random import Random
from typing import Final, TypeVar

from protocol.control import Subscribe, format_message
from protocol.events import PriceUpdate
from protocol.frames import encode_v1
from protocol.symbols import Instrument

VENUE: Final = "binance"
_PART: Final = struct.Struct("<II")
_TEXT: Final = 0x81
_SEED: Final = 1

Symbol = TypeVar("Symbol", str, int)


def instruments(count: int) -> Iterator[Instrument]:
    """List the symbols that are watched; a registry that is empty gives them the ids from 1 on."""
    for number in range(count):
        name = f"S{number}USDT"
        yield Instrument(symbol=name, venue=VENUE, native=name, price_precision=2, simulated=True)


def watchlists(symbols: int, size: int, distinct: int) -> list[list[int]]:
    """Draw so many watchlists, as numbers of symbols."""
    return draw(range(symbols), size, distinct)


def draw(symbols: Sequence[Symbol], size: int, distinct: int) -> list[list[Symbol]]:
    """Draw so many watchlists, the same whenever it is asked."""
    chance = Random(_SEED)
    return [sorted(chance.sample(symbols, min(size, len(symbols)))) for _ in range(distinct)]


def payloads(lists: Sequence[Sequence[int]]) -> bytes:
    """Encode what peers send, one payload a list."""
    return b"".join(encode_v1([PriceUpdate(one + 1, 1.0, 1000.0 + one) for one in each]) for each in lists)


def conversations(port: int, lists: Sequence[Sequence[int]]) -> bytes:
    """Write for each list what its clients send to the gateway: a handshake, then what they watch."""
    return b"".join(conversation(port, [f"S{number}USDT" for number in each]) for each in lists)


def conversation(port: int, symbols: Sequence[str], subprotocol: str | None = None) -> bytes:
    """Write what a client of the gateway sends: a handshake, then what it watches."""
    handshake = _handshake("/api/v1/ws", port, subprotocol)
    return _part(handshake, _masked(format_message(Subscribe(list(symbols)))))


def handshakes(port: int, lists: int) -> bytes:
    """Write for each list what its clients send to a peer: a handshake, with the list's number as path."""
    return b"".join(_part(_handshake(f"/{number}", port), b"") for number in range(lists))


def _part(handshake: bytes, message: bytes) -> bytes:
    return _PART.pack(len(handshake), len(message)) + handshake + message


def _handshake(path: str, port: int, subprotocol: str | None = None) -> bytes:
    offer = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
    # The key is RFC 6455's example, whose answer the plainest of the servers knows by heart.
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
    ).encode()


def _masked(text: bytes) -> bytes:
    """Build a client's text frame. The mask is there, as the protocol wants, and zero: it changes nothing."""
    size = len(text)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes((_TEXT,)) + length + b"\0\0\0\0" + text
