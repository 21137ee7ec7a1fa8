"""The exchange's socket, for one contender: a process that speaks Binance's combined stream.

The rules of this file:
- It begins when a connection has asked for every symbol. All connections that have get the same messages
  from then on, and the slowest of them sets the pace.
- `burst`: a block goes out as soon as the one before has been taken. `paced N`: one message after the other,
  N a second. `idle`: every symbol trades once a second, so that nobody takes the exchange for dead.
- `quiet`: nothing goes out any more, once each symbol has traded equally often and the kernel has all of it.
  This alone is answered: with how many messages and bytes there have been since the beginning.

It is one thread around select(2), whose timeouts are exact to microseconds; an event loop's are not.
"""

import os
import random
import select
import socket
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from bench.ingest.blocks import Block, Listed
from bench.ingest.connections import Connection
from bench.ingest.lines import read_order, say

STDIN: Final = 0
LINE_BYTES: Final = 4_096
IDLE_S: Final = 1.0
VARIANTS: Final = 8
"""Blocks with prices and quantities of their own, used in turn."""
BLOCK_MESSAGES: Final = 1_000
"""Of a burst, at least."""


class Tape:
    """What has been sent: blocks one after the other, and what is left of one that goes out singly."""

    def __init__(self, listed: Sequence[Listed], micro: bool, seed: int) -> None:
        draw, rounds = random.Random(seed), -(-BLOCK_MESSAGES // len(listed))
        self._large = [Block(listed, rounds, micro, draw) for _ in range(VARIANTS)]
        self._small = [Block(listed, 1, micro, draw) for _ in range(VARIANTS)]
        self._symbols = len(listed)
        self._blocks = 0
        self._rounds = 0
        """How often each symbol has traded."""
        self._bytes = 0
        self._singles: list[bytes] = []
        """The next one last."""

    def totals(self) -> tuple[int, int]:
        """Return how many messages and bytes there have been."""
        return self._rounds * self._symbols, self._bytes

    def block(self) -> bytes:
        """Return the next large block."""
        return self._fill(self._large[self._blocks % VARIANTS])

    def round(self) -> bytes:
        """Return one message of each symbol."""
        return self._fill(self._small[self._blocks % VARIANTS])

    def single(self) -> bytes:
        """Return the next message of a round."""
        if not self._singles:
            ends = self._small[self._blocks % VARIANTS].ends
            frames = self.round()
            self._singles = [frames[start:end] for start, end in pairwise((0, *ends))][::-1]
        return self._singles.pop()

    def rest(self) -> bytes:
        """Return what is left of a round."""
        left, self._singles = b"".join(reversed(self._singles)), []
        return left

    def _fill(self, block: Block) -> bytes:
        frames = block.fill(self._rounds, time.time_ns() // 1_000)
        self._blocks += 1
        self._rounds += block.rounds
        self._bytes += len(frames)
        return frames


class Server:
    def __init__(self, listed: Sequence[Listed], seed: int) -> None:
        self._listed = listed
        self._names = {f"{one.native.lower()}@aggTrade" for one in listed}
        self._seed = seed
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[Connection] = []
        self._tape: Tape | None = None
        """From when the first connection has asked for everything."""
        self._mode = "idle"
        self._every_s = 0.0
        self._due_s = 0.0

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def run(self) -> None:
        """Serve until stdin ends."""
        while True:
            timeout_s = self._send_due()
            full = [one for one in self._connections if one.is_full]
            wanted: list[Any] = [STDIN, self._listener, *self._connections]
            readable, writable, _ = select.select(wanted, full, [], timeout_s)
            for one in writable:
                one.push()
            if self._listener in readable:
                self._connections.append(Connection(self._listener.accept()[0]))
            for one in readable:
                if isinstance(one, Connection):
                    one.read()
            self._forget_lost()
            if STDIN in readable:
                lines = os.read(STDIN, LINE_BYTES).decode().splitlines()
                if not lines:
                    return
                for line in lines:
                    self._obey(line)

    def _send_due(self) -> float | None:
        """Send what is due, and say how soon more will be; None: not before something happens."""
        live = [one for one in self._connections if self._names <= one.names]
        if not live or any(one.is_full for one in live):
            return None
        self._tape = self._tape or Tape(self._listed, live[0].is_micro, self._seed)
        match self._mode:
            case "burst":
                _send(live, self._tape.block())
                return 0
            case "paced":
                while self._due_s <= time.monotonic():
                    _send(live, self._tape.single())
                    self._due_s += self._every_s
            case "idle":
                if self._due_s <= time.monotonic():
                    _send(live, self._tape.rest() + self._tape.round())
                    self._due_s = time.monotonic() + IDLE_S
            case "quiet":
                return self._become_quiet(live, self._tape)
            case "silent":
                return None
        return max(self._due_s - time.monotonic(), 0)

    def _become_quiet(self, live: list[Connection], tape: Tape) -> float | None:
        if rest := tape.rest():
            _send(live, rest)
            return 0
        self._mode = "silent"
        messages, size = tape.totals()
        say(f"{messages} {size}")
        return None

    def _obey(self, line: str) -> None:
        self._mode, _, rate = line.partition(" ")
        if rate:
            self._every_s = 1 / float(rate)
        self._due_s = time.monotonic()

    def _forget_lost(self) -> None:
        for one in [one for one in self._connections if one.is_lost]:
            one.close()
            self._connections.remove(one)


def _send(live: list[Connection], frames: bytes) -> None:
    for one in live:
        one.send(frames)


def main() -> None:
    order = read_order()
    server = Server([Listed(*one) for one in order["listed"]], order["seed"])
    say(str(server.port))
    server.run()


if __name__ == "__main__":
    main()
