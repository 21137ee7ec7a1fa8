"""Bars as they are held: in blocks, with changes laid over them.

A block is `BLOCK_BARS` intervals of time, counted from 1970, and holds every bar that opens in it, however
many these are. It comes from an answer that is complete up to its `as_of_us`; a change with a higher version
replaces the bar of its opening, or is a new one.
"""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from protocol.bars import Bars
from protocol.events import CandleFlag
from protocol.frames import Records

HELD: Final = np.dtype(
    [
        ("open_ms", "<i8"),
        ("open", "<f8"),
        ("high", "<f8"),
        ("low", "<f8"),
        ("close", "<f8"),
        ("volume", "<f8"),
        ("taker_buy", "<f8"),
        ("trades", "<u4"),
        ("revision", "<u2"),
        ("flags", "<u2"),
    ]
)
"""What a bar and the CANDLE record that replaces it have in common."""
_WHOLE: Final = np.dtype((np.void, HELD.itemsize))
Held: TypeAlias = np.ndarray[Any, np.dtype[np.void]]
BLOCK_BARS: Final = 512
MINUTE_MS: Final = 60_000
SETTLES_MS: Final = 10_000
"""How long after its end a bar may take to become final."""
OVERHEAD_BYTES: Final = 512
"""Of a block without bars, about."""


class Block:
    """All bars that open in one stretch of time."""

    __slots__ = (
        "_bars", "_changes", "as_of_us", "came_s", "cost_bytes", "good_until_s", "hearing", "is_closed",
        "is_current", "last_id", "read_s", "version",
    )  # fmt: skip

    def __init__(self, bars: Bars, end_ms: int, as_of_us: int, last_id: int = 0) -> None:
        """Take the bars of an answer; `last_id` is the newest trade in its running bar, 0: not known."""
        self._bars = held_from(bars)
        self._changes: dict[int, tuple[Any, ...]] = {}
        self.as_of_us = as_of_us
        self.last_id = last_id
        self.version = int(bars["version"].max()) if len(bars) else 0
        """When something in it changed last."""
        self.is_closed = is_settled(bars, end_ms, as_of_us)
        expected = len(bars) if self.is_closed else max(len(bars), BLOCK_BARS)
        self.cost_bytes = OVERHEAD_BYTES + expected * HELD.itemsize
        self.is_current = False
        """Every change is laid over it: it is complete up to whatever has been heard."""
        self.hearing = 0
        """The stretch of hearing its symbol in which it came; 0: it was not heard."""
        self.good_until_s = 0.0
        self.came_s = 0.0
        self.read_s = 0.0

    def change(self, row: tuple[Any, ...], version: int) -> None:
        """Lay a changed bar over this block, unless its answer knew it already."""
        if version > self.as_of_us:
            self._changes[row[0]] = row
            self.version = version
            self.last_id = 0

    def bars(self) -> Held:
        """Return its bars, oldest first."""
        if self._changes:
            self._bars = overlaid(self._bars, self._changes)
            self._changes = {}
        return self._bars


def block_ms(interval: int) -> int:
    """Say how long a block of a series is."""
    return BLOCK_BARS * interval * MINUTE_MS


def held_from(records: Bars | Records) -> Held:
    """Take from bars, or from CANDLE records, what is held of them."""
    held: Held = np.empty(len(records), HELD)
    for name in HELD.names or ():
        held[name] = records[name]
    return held


def overlaid(bars: Held, changes: dict[int, tuple[Any, ...]]) -> Held:
    """Lay changed bars over others: one of the same opening is replaced. Both ways in order of opening."""
    first = int(np.searchsorted(bars["open_ms"], min(changes)))
    rows = {row[0]: row for row in bars[first:].tolist()} | changes
    return joined([bars[:first], np.array([rows[open_ms] for open_ms in sorted(rows)], HELD)])


def joined(parts: Sequence[Held]) -> Held:
    """Put bars one behind the other, in an array of their own."""
    if not parts:
        return np.empty(0, HELD)
    # As plain bytes: numpy compares the fields of every part with those of every other, which takes longer.
    return np.concatenate([part.view(_WHOLE) for part in parts]).view(HELD)


def cut(bars: Bars, interval: int, first: int, last: int) -> dict[int, Bars]:
    """Cut bars into blocks by number: all from the first to the last, also those without bars."""
    edges = np.arange(first, last + 2) * block_ms(interval)
    places = np.searchsorted(bars["open_ms"], edges)
    return {first + nth: bars[places[nth] : places[nth + 1]] for nth in range(last - first + 1)}


def is_settled(bars: Bars, end_ms: int, as_of_us: int) -> bool:
    """Say whether all bars were final when the answer left, and no more can open before the end."""
    final = (bars["flags"] & CandleFlag.FINAL) != 0
    return end_ms + SETTLES_MS <= as_of_us // 1000 and bool(final.all())
