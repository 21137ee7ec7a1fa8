"""Blocks of WebSocket frames as Binance's combined stream sends them, made ready in advance.

    {"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1763769600000000,"s":"BTCUSDT","a":3000000001,
     "p":"67123.45000000","q":"0.01240000","f":4000000001,"l":4000000001,"T":1763769600000000,"m":true,"M":true}}

A block holds every symbol equally often, in a random order. Only ids and times change from one use of a
block to the next, and their digits are written into it by numpy: a frame costs well under a microsecond.
"""

import random
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

FIRST_ID: Final = 3_000_000_000
"""The id of each symbol's first trade."""
DIGITS: Final = 9
"""Of an id, behind its first digit, which never changes: `a` begins with a 3, `f` and `l` with a 4."""
FINAL_TEXT: Final = 0x81
STEPS: Final = 50
"""A price is at most so many ticks away from the one it began with."""

_Places: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]


class Listed(NamedTuple):
    """A symbol, as the exchange lists it."""

    native: str
    price: float
    price_digits: int
    quantity_digits: int


class Block:
    """One block: `fill` gives it its ids and times."""

    def __init__(self, listed: Sequence[Listed], rounds: int, micro: bool, draw: random.Random) -> None:
        """`rounds` is how often each symbol is in it; `micro`: times are in microseconds."""
        order = [symbol for symbol in range(len(listed)) for _ in range(rounds)]
        draw.shuffle(order)
        self.rounds = rounds
        self._time_digits = 16 if micro else 13
        frames = [_frame(listed[symbol], self._time_digits, draw) for symbol in order]
        self.ends = list(accumulate(map(len, frames)))
        """Where each frame ends."""
        self._bytes = np.frombuffer(b"".join(frames), np.uint8).copy()
        self._nth = _occurrences(order)
        starts = [end - len(frame) for end, frame in zip(self.ends, frames, strict=True)]
        self._ids = _places(frames, starts, (b'"a":3', b'"f":4', b'"l":4'), DIGITS)
        self._times = _places(frames, starts, (b'"E":', b'"T":'), self._time_digits)

    def fill(self, done_rounds: int, now_us: int) -> bytes:
        """Return its frames, with the ids that follow after so many rounds of all symbols."""
        now = now_us if self._time_digits == 16 else now_us // 1_000
        self._bytes[self._ids] = _digits(self._nth + done_rounds, DIGITS)[:, None, :]
        self._bytes[self._times] = _digits(np.array([now]), self._time_digits)
        return self._bytes.tobytes()


def _frame(one: Listed, time_digits: int, draw: random.Random) -> bytes:
    tick = 10.0**-one.price_digits
    price = _decimal(max(one.price + draw.randint(-STEPS, STEPS) * tick, tick), one.price_digits)
    lots = max(round(draw.lognormvariate(3.0, 1.5)), 1)
    quantity = _decimal(lots * 10.0**-one.quantity_digits, one.quantity_digits)
    time, count = "0" * time_digits, "0" * DIGITS
    text = (
        f'{{"stream":"{one.native.lower()}@aggTrade","data":{{"e":"aggTrade","E":{time},"s":"{one.native}",'
        f'"a":3{count},"p":"{price}","q":"{quantity}","f":4{count},"l":4{count},"T":{time},'
        f'"m":{draw.choice(("true", "false"))},"M":true}}}}'
    ).encode()
    return bytes((FINAL_TEXT, 126)) + len(text).to_bytes(2, "big") + text


def _decimal(value: float, digits: int) -> str:
    """Write a number as spot does: with eight decimals, whatever its step is."""
    return f"{value:.{digits}f}" + "0" * (8 - digits)


def _occurrences(order: list[int]) -> _Places:
    """Count for each place how often its symbol stands before it."""
    seen: dict[int, int] = {}
    counts = []
    for symbol in order:
        counts.append(seen.get(symbol, 0))
        seen[symbol] = counts[-1] + 1
    return np.array(counts)


def _places(frames: list[bytes], starts: list[int], marks: tuple[bytes, ...], digits: int) -> _Places:
    """Find the digits behind each mark: an index of shape (frames, marks, digits)."""
    first = [
        [start + frame.index(mark) + len(mark) for mark in marks]
        for frame, start in zip(frames, starts, strict=True)
    ]
    return np.array(first)[:, :, None] + np.arange(digits)


def _digits(numbers: _Places, digits: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    powers = 10 ** np.arange(digits - 1, -1, -1)
    return (numbers[:, None] // powers % 10 + ord("0")).astype(np.uint8)
