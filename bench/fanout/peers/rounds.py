"""When a peer sends: told `go N` on standard input, N rounds at a pace, and then it says `done`.

PROGRAM PORT RATE SIZE FILE     the file holds payloads of SIZE bytes, one for each watchlist
"""

import asyncio
import struct
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple

PRICE: Final = struct.Struct("<d")
PRICE_AT: Final = 8
"""In a v1 frame: behind CRC, count and the first symbol's id."""


class Order(NamedTuple):
    """What a peer is started with."""

    port: int
    rate: float
    payloads: list[bytearray]

    def stamped(self) -> list[bytes]:
        """Return the payloads of a round that is sent now."""
        time_us = float(time.time_ns() // 1000)
        for payload in self.payloads:
            PRICE.pack_into(payload, PRICE_AT, time_us)
        return [bytes(payload) for payload in self.payloads]


def read_order(arguments: list[str]) -> Order:
    port, rate, size = int(arguments[0]), float(arguments[1]), int(arguments[2])
    data = Path(arguments[3]).read_bytes()
    return Order(port, rate, [bytearray(data[at : at + size]) for at in range(0, len(data), size)])


def rounds_of(line: str) -> int:
    """Return how many rounds are asked for."""
    return int(line.removeprefix("go "))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def serve_rounds(rate: float, send: Callable[[], Awaitable[None]]) -> None:
    """Send rounds as they are asked for, until the standard input ends."""
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    say("ready")
    while line := (await lines.readline()).decode():
        start_s = loop.time()
        for number in range(rounds_of(line)):
            await asyncio.sleep(max(start_s + number / rate - loop.time(), 0))
            await send()
        say("done")
