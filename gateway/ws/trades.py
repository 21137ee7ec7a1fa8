"""The trades of all symbols: one lane each, and the frames that a flush makes of them.

What is kept is bounded over all symbols: the more a gateway carries, the fewer trades of each.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from gateway.ws.connection import frame_binary
from gateway.ws.lane import Item, Mark, TradeLane, recovered
from processors.tape import CAPACITY, Range, capacity_of
from protocol.events import Gap, Kind, Trade
from protocol.frames import LAYOUTS, Frame, seal_v2

TRADES_KEPT: Final = 1_000_000
"""Of all symbols together: 40 MB, when every tape is full."""
MAX_AHEAD: Final = 50_000
"""No gateway lags behind another by more trades: who is further ahead holds ids that are no more."""
RECORDS_A_FRAME: Final = 1_000
"""So that a client which drains bit by bit gets on with every 40 kB that its socket takes."""


class Delivery(NamedTuple):
    """What a flush delivers of one symbol."""

    before: Mark
    items: list[Item]


class Waiter(Protocol):
    """Somebody who is ahead of a lane."""

    def on_reached(self, symbol_id: int) -> None:
        """Be told that the lane has got there."""


class TradeLanes:
    """All lanes by symbol id, and which of them have something to deliver."""

    def __init__(self) -> None:
        self.on_hole: Callable[[int], None] = lambda _symbol_id: None
        """Called with a symbol that misses trades of which the feed worker has not spoken."""
        self.delivered = 0
        self._capacity = CAPACITY
        self._lanes: dict[int, TradeLane] = {}
        self._sources: dict[int, str] = {}
        self._dirty: dict[int, None] = {}
        self._awaited: dict[int, dict[Waiter, int]] = {}

    @property
    def is_dirty(self) -> bool:
        return bool(self._dirty)

    @property
    def duplicates(self) -> int:
        return sum(lane.duplicates for lane in self._lanes.values())

    @property
    def waiting(self) -> int:
        """How many trades wait behind holes."""
        return sum(lane.waiting for lane in self._lanes.values())

    def lane(self, symbol_id: int) -> TradeLane:
        """Return a symbol's lane, made if it is the first time."""
        lane = self._lanes.get(symbol_id)
        if lane is None:
            self._make_room()
            lane = self._lanes[symbol_id] = TradeLane(symbol_id, self._capacity)
        return lane

    def _make_room(self) -> None:
        """Let the lanes that there are share the room with one more."""
        capacity = capacity_of(len(self._lanes) + 1, TRADES_KEPT)
        if capacity != self._capacity:
            self._capacity = capacity
            for lane in self._lanes.values():
                lane.resize(capacity)

    def heard_from(self, source: str | None) -> list[int]:
        """Return the symbols whose trades came on this bus subject, or on any."""
        return [one for one, subject in self._sources.items() if source in (None, subject)]

    # In

    def on_frame(self, frame: Frame, source: str = "") -> None:
        """Take in a TRADE or GAP frame of the bus."""
        rows = frame.rows()
        for symbol_id, group in itertools.groupby(rows, key=_symbol_of):
            self._sources[symbol_id] = source
            lane = self.lane(symbol_id)
            if frame.kind is Kind.TRADE:
                lane.on_trades(list(group))
            else:
                for gap in group:
                    lane.on_gap(gap)
            self._changed(lane)

    def on_answer(self, symbol_id: int, trades: list[Trade]) -> None:
        """Take in trades that were asked for because they were missing."""
        lane = self.lane(symbol_id)
        lane.on_trades(recovered(trades))
        self._changed(lane)

    def tell_open(self, symbol_id: int, upto_id: int) -> list[Gap]:
        """Hold nothing back any more for what is missing up to an id; return the records that say so."""
        lane = self.lane(symbol_id)
        gaps = lane.tell_open(upto_id)
        self._changed(lane)
        return gaps

    def close(self, gap: Gap) -> list[Range]:
        """End the wait for a gap that was told open; return what of it is lost."""
        lane = self.lane(gap.symbol_id)
        lost = lane.close(gap)
        self._changed(lane)
        return lost

    def _changed(self, lane: TradeLane) -> None:
        if lane.is_ready:
            self._dirty[lane.symbol_id] = None
        if lane.tape.has_holes and lane.missing():
            self.on_hole(lane.symbol_id)

    # Out

    def take(self) -> dict[int, Delivery]:
        """Return what is to be delivered now, by symbol."""
        dirty, self._dirty = self._dirty, {}
        deliveries = {}
        for symbol_id in dirty:
            lane = self._lanes[symbol_id]
            deliveries[symbol_id] = Delivery(lane.mark(), lane.take_ready())
            self.delivered += len(deliveries[symbol_id].items)
        return deliveries

    def wait(self, symbol_id: int, trade_id: int, waiter: Waiter) -> None:
        """Tell this one as soon as a trade with this id, or a higher one, has been delivered."""
        self._awaited.setdefault(symbol_id, {})[waiter] = trade_id

    def wait_no_more(self, symbol_id: int, waiter: Waiter) -> None:
        waiting = self._awaited.get(symbol_id, {})
        waiting.pop(waiter, None)
        if not waiting:
            self._awaited.pop(symbol_id, None)

    def tell_waiters(self, symbol_ids: Iterable[int]) -> None:
        """Tell those who wait for what these symbols have reached, or never will."""
        for symbol_id in self._awaited.keys() & set(symbol_ids):
            reached = self._lanes[symbol_id].mark().last_id
            for waiter, trade_id in tuple(self._awaited[symbol_id].items()):
                if not reached < trade_id <= reached + MAX_AHEAD:
                    self.wait_no_more(symbol_id, waiter)
                    waiter.on_reached(symbol_id)


class Run(NamedTuple):
    """Records of one kind that stand one behind the other."""

    kind: Kind
    packed: bytes
    records: int


class TradeEncoder:
    """The frames of one flush: records packed once, frames shared by those who watch the same."""

    def __init__(self, wanted: Iterable[int], deliveries: Mapping[int, Delivery], time_us: int) -> None:
        self._time_us = time_us
        self._runs = {symbol_id: pack(deliveries[symbol_id].items) for symbol_id in wanted}
        self._frames: dict[tuple[int, ...], bytes] = {}

    def frames(self, ids: list[int]) -> bytes:
        """Return WebSocket frames with what these symbols have, the same bytes for the same ids."""
        key = tuple(ids)
        frames = self._frames.get(key)
        if frames is None:
            runs = [run for symbol_id in ids for run in self._runs[symbol_id]]
            frames = self._frames[key] = seal(runs, self._time_us)
        return frames


def pack(items: Sequence[Item]) -> list[Run]:
    """Pack trades and gaps, in their order."""
    runs = []
    for kind, group in itertools.groupby(items, key=_kind_of):
        layout, rows = LAYOUTS[kind], list(group)
        for start in range(0, len(rows), RECORDS_A_FRAME):
            part = rows[start : start + RECORDS_A_FRAME]
            runs.append(Run(kind, b"".join([layout.struct.pack(*row) for row in part]), len(part)))
    return runs


def seal(runs: Iterable[Run], time_us: int) -> bytes:
    """Make WebSocket frames of runs: those of one kind that follow each other share a frame, if it holds
    them."""
    frames = []
    packed: list[bytes] = []
    kind, count = Kind.TRADE, 0
    for run in runs:
        if count and (run.kind is not kind or count + run.records > RECORDS_A_FRAME):
            frames.append(frame_binary(seal_v2(kind, b"".join(packed), count, time_us)))
            packed, count = [], 0
        kind = run.kind
        packed.append(run.packed)
        count += run.records
    if count:
        frames.append(frame_binary(seal_v2(kind, b"".join(packed), count, time_us)))
    return b"".join(frames)


def _symbol_of(row: Item) -> int:
    return row.symbol_id


def _kind_of(item: Item) -> Kind:
    return Kind.TRADE if isinstance(item, Trade) else Kind.GAP
