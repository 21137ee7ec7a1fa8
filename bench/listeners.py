"""Many stream clients in one process, as cheap as they can be, to measure what a gateway does.

Run as `python -m bench.listeners`, told by one JSON line on standard input; answers `ready`
when every client has its first frame, starts to measure at the line `start`, and at the line
`stop` prints one JSON line. Every frame is decoded and its CRC checked.
"""

import asyncio
import base64
import json
import os
import random
import resource
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, cast

import numpy as np
import uvloop

from protocol import control
from protocol.frames import decode_v2
from protocol.session import SUBPROTOCOL_V2

BATCH: Final = 100
"""How many clients connect at a time."""


@dataclass(slots=True)
class Tally:
    """What all listeners of this process have seen since the start."""

    is_measuring: bool = False
    frames: int = 0
    bytes: int = 0
    bad_frames: int = 0
    lost_clients: int = 0
    age_us: list[int] = field(default_factory=list)
    """From the exchange's send to the end of our decode, per record."""
    last_hop_us: list[int] = field(default_factory=list)
    """From the gateway's encode to the end of our decode, per frame."""


class Listener(asyncio.Protocol):
    """One client: asks for its watchlist, then decodes what comes."""

    def __init__(self, host: str, symbols: list[str], tally: Tally) -> None:
        loop = asyncio.get_running_loop()
        self.is_open: asyncio.Future[None] = loop.create_future()
        self.has_frames: asyncio.Future[None] = loop.create_future()
        self._host = host
        self._symbols = symbols
        self._tally = tally
        self._buffer = b""
        self._transport = cast(asyncio.Transport, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            f"GET /api/v1/ws HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: {SUBPROTOCOL_V2}\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._tally.lost_clients += 1
        for awaited in (self.is_open, self.has_frames):
            if not awaited.done():
                awaited.set_exception(exc or ConnectionError("closed before the first frame"))

    def subscribe(self) -> None:
        self._transport.write(_masked(0x81, control.format_message(control.Subscribe(self._symbols))))

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data if self._buffer else data
        place = 0 if self.is_open.done() else self._read_handshake(data)
        while self.is_open.done() and place < len(data):
            header, size = _frame_size(data, place)
            if not header or place + header + size > len(data):
                break
            self._on_message(data[place] & 0x0F, data[place + header : place + header + size])
            place += header + size
        self._buffer = data[place:]

    def _read_handshake(self, data: bytes) -> int:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return 0
        if not data.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(data[:end].decode(errors="replace"))
        self.is_open.set_result(None)
        return end + 4

    def _on_message(self, opcode: int, payload: bytes) -> None:
        if opcode == 0x9:
            self._transport.write(_masked(0x8A, payload))
        elif opcode == 0x2:
            self._on_frame(payload)
            if not self.has_frames.done():
                self.has_frames.set_result(None)

    def _on_frame(self, payload: bytes) -> None:
        frame = decode_v2(payload)
        tally = self._tally
        if not tally.is_measuring:
            return
        hop_us = time.time_ns() // 1000 - frame.time_us
        tally.frames += 1
        tally.bytes += len(payload)
        tally.last_hop_us.append(hop_us)
        for delay_us in frame.records["delay_us"].tolist():
            tally.age_us.append(hop_us + delay_us)


def _frame_size(data: bytes, place: int) -> tuple[int, int]:
    """Return header and payload length of the server's frame at this place; (0, 0) if it is cut."""
    left = len(data) - place
    if left < 2:
        return 0, 0
    size = data[place + 1]
    if size < 126:
        return 2, size
    if size == 126:
        return (4, int.from_bytes(data[place + 2 : place + 4], "big")) if left >= 4 else (0, 0)
    return (10, int.from_bytes(data[place + 2 : place + 10], "big")) if left >= 10 else (0, 0)


def _masked(first: int, payload: bytes) -> bytes:
    """Build a client frame. The mask is zero: it is there, as the protocol wants, and changes nothing."""
    size = len(payload)
    header = bytes((first, 0x80 | size)) if size < 126 else bytes((first, 0xFE)) + size.to_bytes(2, "big")
    return header + b"\0\0\0\0" + payload


def draw_watchlists(
    symbols: list[str], clients: int, size: int, distinct: int, seed: int = 1
) -> list[list[str]]:
    """Draw the clients' watchlists: `distinct` different ones, shared in turn."""
    draw = random.Random(seed)
    lists = [sorted(draw.sample(symbols, min(size, len(symbols)))) for _ in range(distinct)]
    return [lists[client % distinct] for client in range(clients)]


async def listen(order: dict[str, Any]) -> None:
    """Connect, say ready, measure from `start` to `stop`, and print what was seen."""
    loop = asyncio.get_running_loop()
    tally = Tally()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    lists = draw_watchlists(order["symbols"], order["clients"], order["watchlist"], order["watchlists"])
    listeners = [Listener(order["host"], wanted, tally) for wanted in lists]
    for first in range(0, len(listeners), BATCH):
        made = listeners[first : first + BATCH]
        for listener in made:
            await loop.create_connection(partial(_itself, listener), order["host"], order["port"])
        await asyncio.gather(*(listener.is_open for listener in made))
    for listener in listeners:
        listener.subscribe()
    await asyncio.gather(*(listener.has_frames for listener in listeners))
    _say("ready")
    await loop.run_in_executor(None, sys.stdin.readline)
    tally.is_measuring = True
    await loop.run_in_executor(None, sys.stdin.readline)
    tally.is_measuring = False
    _say(json.dumps(_summary(tally)))


def _itself(listener: Listener) -> Listener:
    return listener


def _summary(tally: Tally) -> dict[str, Any]:
    return {
        "frames": tally.frames,
        "bytes": tally.bytes,
        "records": len(tally.age_us),
        "lost_clients": tally.lost_clients,
        "age": _quantiles(tally.age_us),
        "last_hop": _quantiles(tally.last_hop_us),
    }


def _quantiles(values: list[int]) -> dict[str, float]:
    if not values:
        return {"p50_us": 0.0, "p99_us": 0.0, "p999_us": 0.0}
    p50, p99, p999 = np.quantile(np.array(values), [0.5, 0.99, 0.999]).tolist()
    return {"p50_us": p50, "p99_us": p99, "p999_us": p999}


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(listen(json.loads(sys.stdin.readline())))
