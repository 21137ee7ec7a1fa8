"""The blocks that were asked for, kept current by what the recorder announces.

The rules of this file:
- Every change that is announced is laid over the block that it falls into; also over one whose answer is
  still on its way when the change is heard.
- A closed block, all of it final when it came, is good until something of it changes. A block that reaches
  into the present is good while its symbol is heard: a symbol that was not heard when the block came, or
  has been silent since, may have gone on without a word. Such a block is good for `UNHEARD_GOOD_S`.
- A present block that nobody has read for `IDLE_S` is dropped with the next change: it costs to keep it.
- When something may have been missed, all blocks are dropped, and answers on their way are not kept.
- Full: the blocks that were not read for longest go.

Pure: the bus and the clock are elsewhere.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import Any, Final

from gateway.history.blocks import Block, block_ms, held_from
from protocol.events import SeriesKey
from protocol.frames import Records

SILENT_S: Final = 75.0
"""A symbol that is recorded has a final bar every minute, traded or not, and that a few seconds late."""
UNHEARD_GOOD_S: Final = 0.25
IDLE_S: Final = 60.0


class Fetch:
    """An answer on its way, and what was announced of its series meanwhile."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, tuple[Any, ...]]] = []
        self.is_spoiled = False
        """Something may have been missed: the answer is true, but cannot be kept current."""


class BarCache:
    """Blocks by series and number."""

    def __init__(self, max_bytes: int, good_s: float = inf) -> None:
        """A block that reaches into the present is good for `good_s` at most."""
        self.size_bytes = 0
        self._good_s = good_s
        self._max_bytes = max_bytes
        self._blocks: OrderedDict[tuple[SeriesKey, int], Block] = OrderedDict()
        self._held: dict[SeriesKey, int] = {}
        self._fetches: dict[SeriesKey, list[Fetch]] = {}
        self._hearing: dict[int, tuple[int, float]] = {}
        """By symbol id: which stretch of hearing it is, and when it was heard last."""

    def __len__(self) -> int:
        return len(self._blocks)

    # Reading

    def get(self, key: SeriesKey, number: int, now_s: float, *, is_live: bool) -> Block | None:
        """Return a block that is good now. `is_live`: its recorder is heard."""
        block = self._blocks.get((key, number))
        if block is None or not self._is_good(key, block, now_s, is_live=is_live):
            return None
        self._blocks.move_to_end((key, number))
        block.read_s = now_s
        return block

    def _is_good(self, key: SeriesKey, block: Block, now_s: float, *, is_live: bool) -> bool:
        if block.is_closed or now_s < block.good_until_s:
            return True
        if now_s - block.came_s >= self._good_s:
            return False
        return is_live and block.hearing != 0 and block.hearing == self._hearing_of(key.symbol_id, now_s)

    def _hearing_of(self, symbol_id: int, now_s: float) -> int:
        hearing, last_s = self._hearing.get(symbol_id, (0, now_s))
        return hearing if now_s - last_s <= SILENT_S else 0

    # Answers

    @contextmanager
    def fetching(self, key: SeriesKey) -> Iterator[Fetch]:
        """Note what is announced of a series while an answer is on its way."""
        fetch = Fetch()
        self._fetches.setdefault(key, []).append(fetch)
        try:
            yield fetch
        finally:
            self._fetches[key].remove(fetch)
            if not self._fetches[key]:
                del self._fetches[key]

    def keep(self, key: SeriesKey, number: int, block: Block, fetch: Fetch, now_s: float) -> None:
        """Keep a block that an answer has brought."""
        if fetch.is_spoiled:
            return
        for version, row in fetch.heard:
            if row[0] // block_ms(key.interval) == number:
                block.change(row, version)
        block.hearing = self._hearing_of(key.symbol_id, now_s)
        block.came_s = block.read_s = now_s
        block.is_current = block.is_closed or block.hearing != 0
        if not block.is_current:
            block.good_until_s = now_s + UNHEARD_GOOD_S
        self._drop((key, number))
        self._blocks[key, number] = block
        self._held[key] = self._held.get(key, 0) + 1
        self.size_bytes += block.cost_bytes
        while self.size_bytes > self._max_bytes:
            self._drop(next(iter(self._blocks)))

    def _drop(self, place: tuple[SeriesKey, int]) -> None:
        block = self._blocks.pop(place, None)
        if block is None:
            return
        block.is_current = False
        self.size_bytes -= block.cost_bytes
        self._held[place[0]] -= 1
        if not self._held[place[0]]:
            del self._held[place[0]]

    # Announcements

    def on_candles(self, records: Records, version: int, now_s: float) -> None:
        """Take in the CANDLE records of one frame."""
        ids = records["symbol_id"].tolist()
        for symbol_id in set(ids):
            hearing, last_s = self._hearing.get(symbol_id, (0, now_s))
            is_new = not hearing or now_s - last_s > SILENT_S
            self._hearing[symbol_id] = (hearing + is_new, now_s)
        if not (self._held or self._fetches):
            return
        keys = list(zip(ids, records["interval"].tolist(), strict=True))
        wanted = [place for place, key in enumerate(keys) if key in self._held or key in self._fetches]
        for place, row in zip(wanted, held_from(records[wanted]).tolist(), strict=True):
            self._change(SeriesKey(*keys[place]), row, version, now_s)

    def _change(self, key: SeriesKey, row: tuple[Any, ...], version: int, now_s: float) -> None:
        for fetch in self._fetches.get(key, ()):
            fetch.heard.append((version, row))
        place = (key, row[0] // block_ms(key.interval))
        block = self._blocks.get(place)
        if block is None:
            return
        if now_s - block.read_s > IDLE_S and not block.is_closed:
            self._drop(place)
            return
        block.change(row, version)

    def clear(self) -> None:
        """Drop everything: something may have been missed."""
        for place in list(self._blocks):
            self._drop(place)
        for fetches in self._fetches.values():
            for fetch in fetches:
                fetch.is_spoiled = True
