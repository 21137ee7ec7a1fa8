"""What arrives on a stream: frames and messages become updates and events to read, and what to resume from.

The rules of this file:
- Every frame's CRC and every symbol id is checked: a ProtocolError ends the connection that brought it.
- Trades go on after the last id of each symbol, candles after a version (`candle_version.py`).
- Whether trades are complete is checked here too: a jump of ids that the gateway did not explain is a
  `StreamGap` that says so.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Final

from clients.backlog import Backlog
from clients.candle_version import CandleVersion
from clients.continuity import TradeIds
from clients.stats import StreamStats
from clients.updates import Event, Item, Refused, from_candle, from_gap, from_trade, from_v1, from_v2
from protocol.client_session import ClientSession
from protocol.control import AuthConfirmed, Error, Ping, SymbolEntry, Symbols, format_message
from protocol.events import Gap, GapState, Kind, Trade
from protocol.frames import Frame
from protocol.symbols import full_name

NEWEST: Final = (Kind.PRICE, Kind.QUOTE, Kind.ENIGMA)
LOSSLESS: Final = (Kind.TRADE, Kind.GAP)
PING: Final = format_message(Ping())


class Intake:
    """Between the connections of one stream, which come and go, and its reader."""

    def __init__(self, version: int, since_us: int | None) -> None:
        self.session: Final = ClientSession(version)
        self.stats: Final = StreamStats()
        self.backlog: Final = Backlog()
        self.arrived: Final = asyncio.Event()
        self.candle_version: Final = CandleVersion(since_us)
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._heard: set[tuple[Kind, int]] = set()
        self._trade_ids: dict[str, TradeIds] = {}

    # What is asked for

    def know(self, since: Mapping[str, int]) -> None:
        """Note which trades the reader has from another time, by symbol."""
        self._trade_ids |= {full_name(name): TradeIds(last_id) for name, last_id in since.items()}

    def forget(self, symbols: Iterable[str]) -> None:
        """Note that some symbols are not wanted any more."""
        for name in symbols:
            self._trade_ids.pop(full_name(name), None)

    def on_open(self) -> list[bytes]:
        """Start a new connection; return what to say on it."""
        self._heard.clear()
        last_ids = {name: ids.resume_from for name, ids in self._trade_ids.items() if ids.last_id}
        messages = self.session.on_open(last_ids, self.candle_version.resume_us)
        return [*messages, PING] if self.candle_version.on_open() else messages

    # What is read

    def pop(self) -> Item:
        """Take the oldest item out. Raises KeyError when there is none."""
        item = self.backlog.pop()
        if not self.backlog.is_full:
            self._has_room.set()
        return item

    async def wait_for_room(self) -> None:
        """Wait while too much is unread."""
        if self.backlog.is_full:
            self._has_room.clear()
            await self._has_room.wait()

    # What comes

    def tell(self, event: Event) -> None:
        self.backlog.put_event(event)
        self.arrived.set()

    def on_text(self, text: str) -> list[bytes]:
        """Take in a message; return what to answer. Raises a ProtocolError."""
        replies, heard = self.session.on_text(text)
        match heard:
            case None if not replies:  # a pong: all else is answered, or of interest to somebody
                self.candle_version.on_pong()
            case None | Symbols() | AuthConfirmed():
                pass
            case Error(code=code, message=message, symbols=symbols, intervals=intervals):
                self.tell(Refused(code, message, symbols, intervals))
            case _:
                self.tell(heard)
        return replies

    def on_frame(self, data: bytes) -> None:
        """Take in a frame. Raises a ProtocolError."""
        now_us = time.time_ns() // 1000
        decoded = self.session.on_binary(data)
        self.stats.frames += 1
        self.stats.bytes += len(data)
        if isinstance(decoded, Frame):
            self._on_v2(decoded, now_us)
        else:
            self.stats.records += len(decoded)
            for row in decoded:
                self.backlog.put(from_v1(row, self._entry(row.symbol_id), now_us))
        self.arrived.set()

    def _entry(self, symbol_id: int) -> SymbolEntry:
        return self.session.dictionary[symbol_id]

    def _on_v2(self, frame: Frame, now_us: int) -> None:
        self.stats.records += len(frame.records)
        if frame.kind in NEWEST:
            self._on_newest(frame, now_us)
        elif frame.kind in LOSSLESS:
            self._on_lossless(frame, now_us)
        elif frame.kind is Kind.CANDLE:
            self._on_candles(frame, now_us)

    def _on_newest(self, frame: Frame, now_us: int) -> None:
        for row in frame.rows():
            self.backlog.put(from_v2(row, self._entry(row.symbol_id), frame.time_us, now_us))
            if (frame.kind, row.symbol_id) in self._heard:
                self.stats.ages_us.append(now_us - frame.time_us + row.delay_us)
            else:
                self._heard.add((frame.kind, row.symbol_id))

    def _on_candles(self, frame: Frame, now_us: int) -> None:
        self.candle_version.on_frame(frame.time_us)
        for row in frame.rows():
            self.backlog.put_candle(from_candle(row, self._entry(row.symbol_id), frame.time_us, now_us))

    def _on_lossless(self, frame: Frame, now_us: int) -> None:
        for row in frame.rows():
            entry = self._entry(row.symbol_id)
            ids = self._trade_ids.setdefault(full_name(entry.name or entry.symbol), TradeIds())
            if isinstance(row, Gap):
                ids.on_gap(row)
                self.backlog.put_trade(from_gap(row, entry))
            else:
                self._on_trade(row, ids, entry, frame.time_us, now_us)

    def _on_trade(self, row: Trade, ids: TradeIds, entry: SymbolEntry, sent_us: int, now_us: int) -> None:
        is_new, unexplained = ids.on_trade(row.id)
        if not is_new:
            self.stats.doubled_trades += 1
            return
        for first_id, last_id in unexplained:
            self.stats.unexplained_gaps += 1
            gap = Gap(row.symbol_id, GapState.OPEN, 0, first_id, last_id, 0, row.exchange_us)
            self.backlog.put_trade(from_gap(gap, entry, explained=False))
        self.stats.trades += 1
        self.backlog.put_trade(from_trade(row, entry, sent_us, now_us))
