"""Who hears what, and the clock that drives it.

Sources sleep in a heap by the moment at which they are next due. A wake-up runs those that are due,
then every connection that was spoken to gets all its frames in one write. Only what somebody listens
to is played.
"""

import asyncio
import heapq
import re
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Final

from gateway.sim.faults import Faults
from gateway.sim.market.bars import INTERVALS, History
from gateway.sim.market.symbols import Board, Instrument
from gateway.sim.market.trades import MINUTE_US, Market
from gateway.sim.streams.listeners import Delivery, Listener, Stream
from gateway.sim.streams.replay import Replay
from gateway.sim.streams.rhythms import DEPTH_US, DiffDepth, Kline, MiniTicker, MiniTickers, PartialDepth
from gateway.sim.streams.tapes import QuoteTape, Source, Stage, Tape, TradeTape

LONGEST_SLEEP_S: Final = 0.02
SHORTEST_SLEEP_S: Final = 0.001
PLAYING_S: Final = 10.0
"""How long after a minute's beginning the next one is begun to be made."""
MAKING_S: Final = 20.0
"""Over how long the making is spread."""
_STREAM: Final = re.compile(
    r"([^@!]+)@(?:(aggTrade|trade|bookTicker|miniTicker)|kline_(\w+)|depth(5|10|20)?(?:@(100|250|500|1000)ms)?)"
)
PLAYED: Final[dict[str, Callable[..., Source]]] = {
    "aggTrade": TradeTape,
    "trade": TradeTape,
    "bookTicker": QuoteTape,
    "miniTicker": MiniTicker,
}


class Broadcast:
    """All streams of the exchange."""

    def __init__(self, market: Market, history: Callable[[Instrument], History], faults: Faults) -> None:
        self._market = market
        self.delivery = Delivery(faults)
        self._stage = Stage(market, history, faults, self.delivery)
        self._streams: dict[tuple[Board, str], tuple[Stream, Source]] = {}
        self._players: dict[tuple[Callable[..., Source], Instrument], Source] = {}
        self._active: set[Source] = set()
        self._heap: list[tuple[int, int, Source]] = []
        self._serials = count()
        self._starting: asyncio.Queue[Source] = asyncio.Queue()
        """Sources to be started beside the loop. Never full: a source is in it once at most."""
        self._replay: Replay | None = None

    def replay(self, path: Path, speed: float) -> None:
        """Play the streams of a captured file instead of the market's."""
        self._replay = Replay(path, speed, self.delivery)

    def join(self, listener: Listener, board: Board, name: str) -> Stream | None:
        """Let a connection hear a stream. None if there is no such stream, which is no error on Binance."""
        if (board, name) not in self._streams:
            made = self._make(board, name)
            if made is None:
                return None
            self._streams[board, name] = made
        stream, source = self._streams[board, name]
        stream.join(listener)
        source.streams[name] = stream
        if source not in self._active:
            self._active.add(source)
            self._starting.put_nowait(source)
        return stream

    def leave(self, listener: Listener, stream: Stream) -> None:
        stream.leave(listener)
        if not stream.groups:
            _, source = self._streams.pop((stream.board, stream.name))
            source.streams.pop(stream.name, None)

    async def start_sources(self, clock: Callable[[], int]) -> None:
        """Start the sources that were asked for, one after the other, in a thread. Runs until cancelled."""
        while True:
            source = await self._starting.get()
            await asyncio.to_thread(source.start, clock())
            heapq.heappush(self._heap, (source.due_us, next(self._serials), source))

    async def make_minutes(self, clock: Callable[[], int]) -> None:
        """Make the next minute of every tape ahead, in a thread and one by one. Runs until cancelled."""
        while True:
            minute = clock() // MINUTE_US + 1
            tapes = [source for source in self._active if isinstance(source, Tape)]
            for tape in tapes:
                await asyncio.to_thread(tape.columns, minute)
                await asyncio.sleep(MAKING_S / len(tapes))
            await asyncio.sleep((minute * MINUTE_US - clock()) / 1e6 + PLAYING_S)

    def run(self, now_us: int) -> float:
        """Say everything that is due. Returns the seconds until the next is."""
        heap = self._heap
        while heap and heap[0][0] <= now_us:
            source = heapq.heappop(heap)[2]
            if source.streams:
                source.run(now_us)
                heapq.heappush(heap, (source.due_us, next(self._serials), source))
            else:
                self._active.discard(source)  # nobody listens any more
        if not heap:
            return LONGEST_SLEEP_S
        return min(max((heap[0][0] - now_us) / 1e6, SHORTEST_SLEEP_S), LONGEST_SLEEP_S)

    def _make(self, board: Board, name: str) -> tuple[Stream, Source] | None:
        replayed = self._replay.stream(board, name) if self._replay else None
        if replayed is not None and self._replay is not None:
            return replayed, self._replay
        if name == "!miniTicker@arr":
            return Stream(board, name, "miniTicker", ""), MiniTickers(self._stage, board)
        matched = _STREAM.fullmatch(name)
        one = self._find(board, matched) if matched else None
        if matched is None or one is None:
            return None
        _, kind, interval, levels, period_ms = matched.groups()
        if kind:
            return Stream(board, name, kind, one.symbol), self._player(kind, one)
        if interval:
            if interval not in INTERVALS:
                return None
            return Stream(board, name, f"kline_{interval}", one.symbol), Kline(self._stage, one, interval)
        period_us = int(period_ms) * 1000 if period_ms else DEPTH_US[board]
        stream = Stream(board, name, "depth", one.symbol)
        if levels:
            return stream, PartialDepth(self._stage, one, int(levels), period_us)
        return stream, DiffDepth(self._stage, one, period_us)

    def _find(self, board: Board, matched: re.Match[str]) -> Instrument | None:
        """Find a stream's instrument. Since 2026 either futures host has the klines of both markets."""
        one = self._market.find_lower(board, matched[1])
        if one is None and matched[3] and board is not Board.SPOT:
            other = Board.COINM if board is Board.USDM else Board.USDM
            one = self._market.find_lower(other, matched[1])
        return one

    def _player(self, kind: str, one: Instrument) -> Source:
        """Return what plays a kind of stream of an instrument: aggTrade and trade are on one tape."""
        make = PLAYED[kind]
        if (make, one) not in self._players:
            self._players[make, one] = make(self._stage, one)
        return self._players[make, one]
