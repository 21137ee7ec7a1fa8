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
from typing import Final

import numpy as np

from gateway.metrics import Histogram
from gateway.native.sender import Sender
from gateway.ws.audience import Audience, Audiences, Member, as_ids
from gateway.ws.candles.board import CandleBoard
from gateway.ws.candles.frames import CandleEncoder
from gateway.ws.candles.series import CandleMark
from gateway.ws.changed import Changed, ChangedSymbols
from gateway.ws.compact import CompactPrices
from gateway.ws.connection import frame_binary
from gateway.ws.price_frames import PriceFrames
from gateway.ws.trades import TradeEncoder, TradeLanes
from protocol.batches import Batch
from protocol.events import Kind
from protocol.frames import Frame
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
        self._changed = {kind: ChangedSymbols(table) for kind, table in self.tables.items()}
        self._frames = {kind: PriceFrames(table, self.audiences) for kind, table in self.tables.items()}
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
            self._take_in(frame)
            if frame.kind is Kind.PRICE:
                self.last_price_us = arrived_us
                self._measure(batch, frame.time_us, int(frame.records["delay_us"][0]), arrived_us)
        if any(self._changed.values()) or self.trades.is_dirty:
            self.flush_soon(arrived_us)

    def on_recorded(self, subject: str, batch: Batch) -> None:
        """Take in what the recorder published on a subject, that of one venue."""
        for frame in batch.frames:
            if frame.kind is Kind.CANDLE:
                self.candles.on_frame(subject, frame)
            elif frame.kind is Kind.ENIGMA:
                self._take_in(self.tables[Kind.ENIGMA].news(frame))
        if self.candles.is_dirty or self._changed[Kind.ENIGMA]:
            self.flush_soon(now_us())

    def _take_in(self, frame: Frame) -> None:
        if len(frame.records):
            self.tables[frame.kind].update(frame)
            self._changed[frame.kind].note(frame.records)

    def flush_soon(self, arrived_us: int) -> None:
        """Flush once all that the bus has delivered by now is taken in, so that it is one flush."""
        if not self._is_flush_due:
            self._is_flush_due = True
            self._arrived_us = arrived_us
            asyncio.get_running_loop().call_soon(self.flush)

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
            if self._changed[kind]:
                self._flush_kind(kind, self._changed[kind].take(), time_us)
        self._write_trades()
        if self.candles.is_dirty:
            self._write_candles()
        self._send()
        self.flushes += 1
        self.hops["gateway"].add(now_us() - self._arrived_us)

    def _flush_kind(self, kind: Kind, changed: Changed, time_us: int) -> None:
        for audience, frame in self._frames[kind].of(changed, time_us):
            if audience.slow:
                _note_missed(audience, kind, changed.before_of(audience.watchlist.watched(kind)))
            self._write(audience, frame)
        if kind is Kind.PRICE and self.audiences.watched(Kind.COMPACT):
            self._flush_compact(changed, time_us)

    def _flush_compact(self, changed: Changed, time_us: int) -> None:
        counts = changed.by_id()
        concerned = self.audiences.concerned(Kind.COMPACT, counts)
        if not concerned:
            return
        watched = {one: counts[one] for ids in concerned.values() for one in ids}
        frames = self.compact.on_flush(watched, time_us)
        for audience, ids in concerned.items():
            if audience.slow:
                _note_missed(audience, Kind.COMPACT, changed.before_of(ids))
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


def _note_missed(audience: Audience, kind: Kind, baseline: dict[int, int]) -> None:
    for member in audience.slow:
        member.miss(kind, baseline)


def _left_to_take(audience: Audience, mark: CandleMark) -> list[Member]:
    """Let each member of an audience take candles from a mark on, as its socket can."""
    members = list(audience.flowing)
    for member in members:
        member.miss_candles(mark)
    return members
