"""The fan-out: batches from the bus in, one frame per distinct watchlist out.

What arrives in one turn of the loop is written at its end: at once when idle, and in ever
larger batches when a turn takes longer than the next arrival, because the newest value of a
symbol is all that a flush encodes. Frames are shared: by all clients of an audience, and by
audiences of which the same symbols changed.

Trades are the exception: every one of them is written, in the order of its lane (`lane.py`). So is every
candle that became final or was corrected (`candles/board.py`).
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np

from gateway.metrics import Histogram
from gateway.native.sender import Sender
from gateway.ws.audience import Audience, Audiences, Member, as_ids
from gateway.ws.candles.board import CandleBoard
from gateway.ws.candles.frames import CandleEncoder
from gateway.ws.candles.series import CandleMark
from gateway.ws.compact import CompactPrices
from gateway.ws.connection import frame_binary
from gateway.ws.trades import TradeEncoder, TradeLanes
from protocol.batches import Batch
from protocol.events import Kind
from protocol.frames import LAYOUTS, V1, Frame, seal_v1, seal_v2
from protocol.symbols import SymbolTable
from protocol.table import PriceTable

HOPS: Final = ("exchange_to_feed", "feed", "bus", "gateway", "client")
"""The last one is from a ping to its answer: what was written before it has been received by then."""
TABLES: Final = (Kind.PRICE, Kind.QUOTE, Kind.ENIGMA)
LOSSLESS: Final = (Kind.TRADE, Kind.GAP)
MAX_WRITE_BYTES: Final = 256 * 1024
"""More trades or candles than that at once (after an outage) are not put before every client's socket, but
left for each to take as it can."""


def now_us() -> int:
    return time.time_ns() // 1000


class Fanout:
    """The newest values of all symbols, and everybody who watches some of them."""

    def __init__(self, symbols: SymbolTable, sender: Sender | None = None) -> None:
        """Without a sender, every frame goes through its client's transport."""
        self.sender: Final = sender or Sender("python")
        self.trades = TradeLanes()
        self.candles = CandleBoard()
        self.tables = {kind: PriceTable(kind) for kind in TABLES}
        self.compact = CompactPrices(self.tables[Kind.PRICE], symbols)
        self.audiences = Audiences()
        self.hops = {hop: Histogram() for hop in HOPS}
        self.frames_written = 0
        self.bytes_written = 0
        self.flushes = 0
        self.last_price_us = 0
        """When the newest price arrived here; 0 before the first."""
        self._dirty: dict[Kind, dict[int, int]] = {kind: {} for kind in TABLES}
        self._due: dict[Audience, bytes] = {}
        """Frames of this flush, in their order. Empty between flushes."""
        self._arrived_us = 0
        self._is_flush_due = False

    # In

    def on_snapshot(self, batch: Batch) -> None:
        """Take in a shard's newest values: clients get those that they have not."""
        news = [self.tables[frame.kind].news(frame) for frame in batch.frames if frame.kind in self.tables]
        self.on_batch(batch._replace(frames=news))

    def on_batch(self, batch: Batch, source: str = "") -> None:
        """Take in what a feed worker published; clients have it at the end of this turn of the loop."""
        arrived_us = now_us()
        for frame in batch.frames:
            if frame.kind in LOSSLESS:
                self.trades.on_frame(frame, source)
                continue
            if frame.kind not in self.tables or not len(frame.records):
                continue
            self.tables[frame.kind].update(frame)
            self._mark_dirty(frame.kind, frame.records["symbol_id"].tolist(), frame.records["flags"].tolist())
            if frame.kind is Kind.PRICE:
                self.last_price_us = arrived_us
                self._measure(batch, frame.time_us, int(frame.records["delay_us"][0]), arrived_us)
        if any(self._dirty.values()) or self.trades.is_dirty:
            self.flush_soon(arrived_us)

    def on_recorded(self, subject: str, batch: Batch) -> None:
        """Take in what the recorder published on a subject, that of one venue."""
        for frame in batch.frames:
            if frame.kind is Kind.CANDLE:
                self.candles.on_frame(subject, frame)
            elif frame.kind is Kind.ENIGMA:
                self._on_enigma(self.tables[Kind.ENIGMA].news(frame))
        if self.candles.is_dirty or self._dirty[Kind.ENIGMA]:
            self.flush_soon(now_us())

    def _on_enigma(self, frame: Frame) -> None:
        if len(frame.records):
            self.tables[Kind.ENIGMA].update(frame)
            self._mark_dirty(
                Kind.ENIGMA, frame.records["symbol_id"].tolist(), frame.records["flags"].tolist()
            )

    def flush_soon(self, arrived_us: int) -> None:
        """Flush once all that the bus has delivered by now is taken in, so that it is one flush."""
        if not self._is_flush_due:
            self._is_flush_due = True
            self._arrived_us = arrived_us
            asyncio.get_running_loop().call_soon(self.flush)

    def _mark_dirty(self, kind: Kind, ids: list[int], flags: list[int]) -> None:
        dirty = self._dirty[kind]
        for symbol_id, flag in zip(ids, flags, strict=True):
            dirty[symbol_id] = dirty.get(symbol_id, 0) + max(flag >> 8, 1)

    def _measure(self, batch: Batch, sent_us: int, delay_us: int, arrived_us: int) -> None:
        self.hops["exchange_to_feed"].add(batch.received_us - (sent_us - delay_us))
        self.hops["feed"].add(sent_us - batch.received_us)
        self.hops["bus"].add(arrived_us - sent_us)

    # Out

    def flush(self) -> None:
        """Write everything that changed since the last flush to everybody who watches it."""
        self._is_flush_due = False
        time_us = now_us()
        for kind in TABLES:
            dirty, self._dirty[kind] = self._dirty[kind], {}
            if dirty:
                self._flush_kind(kind, dirty, time_us)
            if dirty and kind is Kind.PRICE and self.audiences.watched(Kind.COMPACT):
                self._flush_compact(dirty, time_us)
        self._write_trades()
        if self.candles.is_dirty:
            self._write_candles()
        self._send()
        self.flushes += 1
        self.hops["gateway"].add(now_us() - self._arrived_us)

    def _flush_kind(self, kind: Kind, dirty: dict[int, int], time_us: int) -> None:
        dirty = {one: dirty[one] for one in sorted(dirty)}
        for audience, frame in self._frames_of(kind, dirty, time_us):
            if audience.slow:
                watched = audience.watchlist.watched(kind)
                self._note_missed(audience, kind, {one: dirty[one] for one in dirty if one in watched})
            self._write(audience, frame)

    def _frames_of(self, kind: Kind, dirty: dict[int, int], time_us: int) -> Iterator[tuple[Audience, bytes]]:
        """Encode for each audience what it watches of the changed, in the order of these."""
        audiences = self.audiences
        encoders = _Encoders(self.tables[kind], audiences.watched(kind), dirty, time_us)
        if not audiences.is_mostly(kind, dirty):
            for audience, ids in audiences.concerned(kind, dirty).items():
                encoder = encoders[audience.form]
                yield audience, encoder.frame(b"".join([encoder.records[one] for one in ids]))
            return
        for audience, pick in audiences.picks(kind).items():
            encoder = encoders[audience.form]
            body = b"".join(pick(encoder.records))
            if body:
                yield audience, encoder.frame(body)

    def _flush_compact(self, dirty: dict[int, int], time_us: int) -> None:
        concerned = self.audiences.concerned(Kind.COMPACT, dirty)
        if not concerned:
            return
        watched = {one: dirty[one] for ids in concerned.values() for one in ids}
        frames = self.compact.on_flush(watched, time_us)
        for audience, ids in concerned.items():
            if audience.slow:
                self._note_missed(audience, Kind.COMPACT, {one: dirty[one] for one in ids})
            self._write(audience, frames.of(ids))

    def flush_trades(self) -> None:
        """Write all trades and gaps that are to be delivered to everybody who watches them."""
        self._write_trades()
        self._send()

    def _write_trades(self) -> None:
        deliveries = self.trades.take()
        if not deliveries:
            return
        concerned = self.audiences.concerned(Kind.TRADE, deliveries)
        too_much: list[Member] = []
        encoder = TradeEncoder({one for ids in concerned.values() for one in ids}, deliveries, now_us())
        for audience, ids in concerned.items():
            frames = encoder.frames(ids)
            marks = {one: deliveries[one].before for one in ids}
            for member in tuple(audience.slow):
                member.miss_trades(marks)
            if len(frames) <= MAX_WRITE_BYTES:
                self._write(audience, frames)
                continue
            for member in audience.flowing:
                member.miss_trades(marks)
                too_much.append(member)
        self._let_catch_up(too_much)
        self.trades.tell_waiters(deliveries)

    def flush_candles(self) -> None:
        """Write all candles that changed to everybody who watches them."""
        self._write_candles()
        self._send()

    def _write_candles(self) -> None:
        board = self.candles
        changes = board.take()
        concerned = self.audiences.concerned(Kind.CANDLE, changes)
        encoder = CandleEncoder(changes)
        too_much: list[Member] = []
        for audience, keys in concerned.items():
            before, whole_us = board.mark(audience.venues), board.whole_us(audience.venues)
            frames = encoder.frames(audience.watchlist.form, keys, before.version_us, whole_us)
            for member in tuple(audience.slow):
                member.miss_candles(before)
            if len(frames) > MAX_WRITE_BYTES:
                too_much += _left_to_take(audience, before)
            elif frames:
                self._write(audience, frames)
        board.on_flushed()
        self._let_catch_up(too_much)

    def _let_catch_up(self, members: list[Member]) -> None:
        if members:  # they write by themselves, and may change their audiences: what is due goes first
            self._send()
        for member in members:
            member.catch_up()

    def _note_missed(self, audience: Audience, kind: Kind, changed: dict[int, int]) -> None:
        totals = self.table_of(kind).changes
        baseline = {symbol_id: int(totals[symbol_id]) - count for symbol_id, count in changed.items()}
        for member in audience.slow:
            member.miss(kind, baseline)

    def _write(self, audience: Audience, frames: bytes) -> None:
        """Have frames sent at the end of this flush: all of a client's together are one system call."""
        due = self._due.get(audience)
        self._due[audience] = frames if due is None else due + frames
        self.count(len(audience.flowing), len(frames))

    def _send(self) -> None:
        due, self._due = self._due, {}
        queue = self.sender.queue
        try:
            for audience, frames in due.items():
                queue(frames, audience.targets)
        finally:  # what is queued must not outlast this turn of the loop
            self.sender.flush()

    def count(self, frames: int, frame_bytes: int) -> None:
        self.frames_written += frames
        self.bytes_written += frames * frame_bytes

    def table_of(self, kind: Kind) -> PriceTable:
        """Return where the values of a kind are: compact prices are prices."""
        return self.tables[Kind.PRICE if kind is Kind.COMPACT else kind]

    def newest(self, kind: Kind, version: int, ids: list[int], baseline: dict[int, int]) -> bytes | None:
        """Encode the newest values of some symbols for one client, or None if none has a value yet.

        `baseline` holds how often a symbol had changed when the client last got it, so that its
        record can say how many changes it stands for; without a baseline it stands for one.
        """
        table = self.table_of(kind)
        known = table.known(as_ids(ids))
        if not len(known):
            return None
        if version == 1:
            return frame_binary(table.encode_v1(known))
        totals = table.changes[known]
        before = np.fromiter((baseline.get(int(one), -1) for one in known), np.int64)
        changes = np.where(before < 0, 1, totals - before)
        if kind is Kind.COMPACT:
            return self.compact.encode_newest(known, changes, now_us())
        return frame_binary(table.encode_v2(known, changes, now_us()))


class _Encoders(dict[int, "_Encoder"]):
    """The encoders of one flush, by version."""

    def __init__(
        self, table: PriceTable, watched: Iterable[int], dirty: dict[int, int], time_us: int
    ) -> None:
        super().__init__()
        self._given = (watched, table, dirty, time_us)

    def __missing__(self, version: int) -> "_Encoder":
        encoder = self[version] = _Encoder(version, *self._given)
        return encoder


class _Encoder:
    """The frames of one flush in one version: records packed once, frames shared."""

    def __init__(
        self, version: int, watched: Iterable[int], table: PriceTable, dirty: dict[int, int], time_us: int
    ) -> None:
        ids = as_ids(dirty)
        self._frames: dict[bytes, bytes] = {}
        self._seal: Callable[[bytes, int], bytes]
        if version == 1:
            packed, size = table.pack_v1(ids), V1.dtype.itemsize
            self._seal = seal_v1
        else:
            changes = np.fromiter(dirty.values(), np.int64)
            packed, size = table.pack_v2(ids, changes, time_us), LAYOUTS[table.kind].dtype.itemsize
            self._seal = lambda body, count: seal_v2(table.kind, body, count, time_us)
        self._record_bytes = size
        self.records = dict.fromkeys(watched, b"")
        """By id: of each symbol that anybody watches, nothing if it has not changed."""
        for place, symbol_id in enumerate(dirty):
            self.records[symbol_id] = packed[place * size : (place + 1) * size]

    def frame(self, body: bytes) -> bytes:
        """Return the WebSocket frame with these records, the same bytes for the same records."""
        frame = self._frames.get(body)
        if frame is None:
            count = len(body) // self._record_bytes
            frame = self._frames[body] = frame_binary(self._seal(body, count))
        return frame


def _left_to_take(audience: Audience, mark: CandleMark) -> list[Member]:
    """Let each member of an audience take candles from a mark on, as its socket can."""
    members = list(audience.flowing)
    for member in members:
        member.miss_candles(mark)
    return members
