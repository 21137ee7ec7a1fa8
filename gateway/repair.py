"""Trades that a gateway misses, asked for from the feed worker that owns the symbol.

The rules of this file:
- A hole in a lane is asked for again and again until it is filled. Newer trades wait for that for at most
  `HOLD_BACK_S`, or until there are more than `HOLD_BACK_TRADES` of them; then clients are told that it is
  open, and newer ones go on. After `GIVE_UP_S` more it is told lost.
- Where batches were lost and the next trade has not shown it yet, what came after the last id is asked for.
- A restarted worker has forgotten the holes that it was filling: they are asked for like any other.
- Every such hole is an entry of the ledger once it is filled, told open, or lost.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

import structlog

from gateway.trade_fetcher import TradeFetcher
from gateway.ws.fanout import Fanout, now_us
from gateway.ws.lane import TradeLane
from processors.bus import BusError
from processors.tape import TRADES_A_REQUEST, Range, cut
from protocol.events import Gap, GapCause, GapState, Trade
from protocol.ledger import LedgerEntry
from protocol.symbols import SymbolTable

HOLD_BACK_S: Final = 5.0
HOLD_BACK_TRADES: Final = 5_000
GIVE_UP_S: Final = 60.0
"""A venue that refuses a worker for a while takes it back within that."""
FILL_TIMEOUT_S: Final = 2.0
RETRY_S: Final = 0.25

__all__ = ["Repair", "TradeFetcher"]
log = structlog.get_logger()


class Repair:
    """Closes the holes in the lanes of a gateway."""

    def __init__(
        self,
        fetcher: TradeFetcher,
        fanout: Fanout,
        symbols: SymbolTable,
        note: Callable[[LedgerEntry], None],
    ) -> None:
        """`note` takes an entry for the ledger, without waiting."""
        self.holes = 0
        self.lost_trades = 0
        self._fetcher = fetcher
        self._fanout = fanout
        self._lanes = fanout.trades
        self._symbols = symbols
        self._note = note
        self._at_work: dict[tuple[str, int], bool] = {}
        """What is being done for which symbol, and whether it is to be done once more."""
        self._tasks: asyncio.TaskGroup | None = None
        self._lanes.on_hole = self.on_hole

    async def run(self) -> None:
        """Repair until cancelled. What is noticed before this runs is noticed again by the next trade."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await asyncio.Event().wait()

    def on_hole(self, symbol_id: int) -> None:
        """React to a lane in which trades are missing."""
        self._start("hole", symbol_id, self._close_holes)

    def on_missed(self, source: str | None) -> None:
        """React to batches that were lost on one subject, or perhaps on all."""
        for symbol_id in self._lanes.heard_from(source):
            self._start("newest", symbol_id, self._ask_newest)

    def on_restarted(self, source: str) -> None:
        """React to a worker that was restarted."""
        for symbol_id in self._lanes.heard_from(source):
            lane = self._lanes.lane(symbol_id)
            lane.take_over()
            if lane.missing():
                self.on_hole(symbol_id)

    def _start(self, what: str, symbol_id: int, work: Callable[[int], Coroutine[Any, Any, None]]) -> None:
        """Start a piece of work; while it is being done for this symbol, see to it that it is done again."""
        key = (what, symbol_id)
        if key in self._at_work:
            self._at_work[key] = True
        elif self._tasks is not None:
            self._at_work[key] = True
            self._tasks.create_task(self._work(key, work))

    async def _work(self, key: tuple[str, int], work: Callable[[int], Coroutine[Any, Any, None]]) -> None:
        while self._at_work[key]:
            self._at_work[key] = False
            await work(key[1])
        del self._at_work[key]

    async def _ask_newest(self, symbol_id: int) -> None:
        """Ask for what came after the last trade, until that is all there is."""
        lane = self._lanes.lane(symbol_id)
        give_up_s = time.monotonic() + HOLD_BACK_S
        while lane.tape.last_id and time.monotonic() < give_up_s:
            first_id = lane.tape.last_id + 1
            try:
                trades = await self._fetcher.fetch(symbol_id, first_id, first_id + TRADES_A_REQUEST - 1)
            except BusError:
                await asyncio.sleep(RETRY_S)
                continue
            self._take_in(symbol_id, trades)
            if len(trades) < TRADES_A_REQUEST:
                return

    async def _close_holes(self, symbol_id: int) -> None:
        lane = self._lanes.lane(symbol_id)
        while holes := lane.missing():
            noticed_us, upto_id = now_us(), holes[-1][1]
            self.holes += len(holes)
            log.info("repair.hole", symbol_id=symbol_id, holes=holes)
            await self._fill(lane, partial(_missing, lane, upto_id), HOLD_BACK_S, HOLD_BACK_TRADES)
            late = self._lanes.tell_open(symbol_id, upto_id)
            self._fanout.flush_soon(now_us())
            left = lane.tape.holes()  # told open now, or by the worker, who writes its own entries
            for first, last in holes:
                if not any(start <= last and end >= first for start, end in left):
                    self._write(symbol_id, first, last, noticed_us, GapState.FILLED)
            for gap in late:
                missing = gap.last_id - gap.first_id + 1
                self._write(symbol_id, gap.first_id, gap.last_id, noticed_us, GapState.OPEN, missing)
                assert self._tasks is not None  # it runs this
                self._tasks.create_task(self._fill_late(gap, noticed_us))

    async def _fill_late(self, gap: Gap, noticed_us: int) -> None:
        """Ask for what clients know to be missing, until it is there or it is time to call it lost."""
        lane = self._lanes.lane(gap.symbol_id)
        await self._fill(lane, partial(lane.open_within, gap), GIVE_UP_S)
        lost = self._lanes.close(gap)
        self._fanout.flush_soon(now_us())
        missing = sum(last - first + 1 for first, last in lost)
        self.lost_trades += missing
        state = GapState.LOST if lost else GapState.FILLED
        self._write(gap.symbol_id, gap.first_id, gap.last_id, noticed_us, state, missing)

    async def _fill(
        self,
        lane: TradeLane,
        missing: Callable[[], list[Range]],
        patience_s: float,
        most_waiting: int | None = None,
    ) -> None:
        """Ask for what is missing until nothing is, or patience ends, or too much waits behind it."""
        give_up_s = time.monotonic() + patience_s
        while ranges := missing():
            for first, last in cut(ranges):
                try:
                    trades = await self._fetcher.fetch(lane.symbol_id, first, last, FILL_TIMEOUT_S)
                except BusError as error:
                    log.info("repair.no_answer", symbol_id=lane.symbol_id, error=str(error))
                    break
                self._take_in(lane.symbol_id, trades)
            if time.monotonic() > give_up_s or (most_waiting is not None and lane.waiting > most_waiting):
                return
            if missing():
                await asyncio.sleep(RETRY_S)

    def _take_in(self, symbol_id: int, trades: list[Trade]) -> None:
        if trades:
            self._lanes.on_answer(symbol_id, trades)
            self._fanout.flush_soon(now_us())

    def _write(
        self, symbol_id: int, first_id: int, last_id: int, noticed_us: int, state: GapState, missing: int = 0
    ) -> None:
        """Write to the ledger how a hole is."""
        instrument = self._symbols.by_id(symbol_id)
        if instrument is None:
            return
        entry = LedgerEntry(
            id=f"bus-{instrument.venue}-{instrument.native}-{first_id}-{noticed_us}",
            venue=instrument.venue,
            native=instrument.native,
            symbol_id=symbol_id,
            stream="aggTrade",
            cause=GapCause.BUS,
            state=state,
            missing=missing,
            first_id=first_id,
            last_id=last_id,
            noticed_us=noticed_us,
            closed_us=0 if state is GapState.OPEN else now_us(),
            detail="between a feed worker and a gateway",
        )
        self._note(entry)


def _missing(lane: TradeLane, upto_id: int) -> list[Range]:
    return [one for one in lane.missing() if one[1] <= upto_id]
