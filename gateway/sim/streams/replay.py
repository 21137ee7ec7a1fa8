"""Captured messages, served again through the same wire at their own pace.

    <receive time, ns since 1970> {"stream":"btcusdt@trade","data":{…}}

one a line, plain or gzip. Lines of another shape (snapshots that a recorder wrote between) are
passed over. A stream that the file has is played from it instead of from the market, from the moment
at which somebody first listens to any of them; the payloads are the captured ones, times and all.
REST goes on telling the simulated market.
"""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from gateway.sim.market.symbols import Board
from gateway.sim.streams.listeners import Delivery, Stream
from gateway.sim.streams.tapes import BURST

END_US: Final = 2**62
"""When a replay that has ended is next due."""
_LINE: Final = re.compile(r'(\d+) \{"stream":"([^"]+)","data":(\{.*\})\}\s*')
_SYMBOL: Final = re.compile(r'"s":"([^"]+)"')


class Captured(NamedTuple):
    """One line of the file."""

    received_ns: int
    board: Board
    stream: str
    payload: str


def read_captured(path: Path) -> Iterator[Captured]:
    """Read a file line by line."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        for line in lines:
            if matched := _LINE.fullmatch(line):
                received, stream, payload = matched.groups()
                yield Captured(int(received), board_of(stream, payload), stream, payload)


def board_of(stream: str, payload: str) -> Board:
    """Tell the market of a message by what only that market says."""
    if "_" in stream.partition("@")[0]:
        return Board.COINM
    if '"X":' in payload or '"pu":' in payload or '"st":' in payload or '"e":"bookTicker"' in payload:
        return Board.USDM
    return Board.SPOT


class Replay:
    """The source of all streams of a captured file."""

    def __init__(self, path: Path, speed: float, delivery: Delivery) -> None:
        if not speed > 0:
            raise ValueError(f"replay_speed must be above 0, not {speed}")
        self.streams: dict[str, Stream] = {}
        self.due_us = 0
        self._path = path
        self._speed = speed
        self._delivery = delivery
        self._known = {(one.board, one.stream): one.payload for one in read_captured(path)}
        self._lines: Iterator[Captured] = iter(())
        self._next: Captured | None = None
        self._first_ns = 0
        self._started_us = 0

    def stream(self, board: Board, name: str) -> Stream | None:
        """Make a stream that the file has."""
        payload = self._known.get((board, name))
        if payload is None:
            return None
        symbol = _SYMBOL.search(payload)
        return Stream(board, name, name.split("@")[1], symbol[1] if symbol else "")

    def start(self, now_us: int) -> None:
        self._lines = read_captured(self._path)
        self._next = next(self._lines, None)
        self._first_ns = self._next.received_ns if self._next else 0
        self._started_us = now_us
        self.due_us = now_us

    def run(self, now_us: int) -> None:
        for _ in range(BURST):
            if self._next is None:
                self.due_us = END_US
                return
            self.due_us = self._due(self._next)
            if self.due_us > now_us:
                return
            self._say(self._next, now_us)
            self._next = next(self._lines, None)
        self.due_us = now_us + 1

    def _due(self, captured: Captured) -> int:
        return self._started_us + int((captured.received_ns - self._first_ns) / 1000 / self._speed)

    def _say(self, captured: Captured, now_us: int) -> None:
        stream = self.streams.get(captured.stream)
        if stream is not None and stream.board is captured.board:
            self._delivery.say(stream, lambda _unit_us: captured.payload, now_us)
