"""Trades that a gateway misses, asked for from the feed worker that owns the symbol.

    request.trades.<venue>.<native>   {"first": id, "last": id}   ->   one v2 TRADE frame

The rules of this file:
- A hole in a lane is asked for again and again until it is filled, or given up after `HOLD_BACK_S`, or
  when more than `HOLD_BACK_TRADES` wait behind it: clients then get a GAP record, lost, in its place.
- Where batches were lost and the next trade has not shown it yet, what came after the last id is asked for.
- A restarted worker has forgotten the holes that it was filling: they are asked for like any other.
- Every such hole is an entry of the ledger once it is closed, filled or lost.
- At most `REQUESTS` are under way at the same time; the others wait for their turn.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec
import structlog

from gateway.ws.fanout import Fanout, now_us
from processors.bus import Bus, BusError, NoAnswer
from processors.tape import TRADES_A_REQUEST, Range, cut
from protocol import subjects
from protocol.errors import ProtocolError
from protocol.events import GapCause, GapState, Kind, Trade
from protocol.frames import decode_v2
from protocol.ledger import LedgerEntry
from protocol.symbols import SymbolTable

HOLD_BACK_S: Final = 5.0
HOLD_BACK_TRADES: Final = 5_000
RETRY_S: Final = 0.25
REQUESTS: Final = 16
REQUEST_TIMEOUT_S: Final = 9.0
"""A worker may have to fetch them from the venue, and takes up to 8 s for that."""
PATIENCE_S: Final = 8.0
"""How long a client's replay waits for a worker that does not answer: one that was killed is back by then."""
SECOND_LOOKS_S: Final = (0.5, 1.5)
"""When a client's replay asks again for what an answer lacked: the worker may just be fetching it."""

log = structlog.get_logger()


class TradeFetcher:
    """Asks feed workers for trades by id."""

    def __init__(self, bus: Bus, symbols: SymbolTable) -> None:
        self.asked = 0
        self._bus = bus
        self._symbols = symbols
        self._turns = asyncio.Semaphore(REQUESTS)

    async def fetch(
        self, symbol_id: int, first_id: int, last_id: int, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> list[Trade]:
        """Return what the worker has of a range, in id order. Raises NoAnswer."""
        instrument = self._symbols.by_id(symbol_id)
        if instrument is None:
            raise NoAnswer(f"symbol id {symbol_id} is not known yet")
        subject = subjects.request_trades(instrument.venue, instrument.native)
        question = msgspec.json.encode({"first": first_id, "last": last_id})
        async with self._turns:
            self.asked += 1
            payload = await self._bus.request(subject, question, timeout_s)
        try:
            frame = decode_v2(payload)
        except ProtocolError as error:
            raise NoAnswer(f"{subject}: {error}") from error
        rows: list[Trade] = frame.rows() if frame.kind is Kind.TRADE else []
        by_id = {row.id: row for row in rows if row.symbol_id == symbol_id}
        return [by_id[one] for one in sorted(by_id) if first_id <= one <= last_id]

    async def insist(self, symbol_id: int, first_id: int, last_id: int, look_twice: bool) -> list[Trade]:
        """Return what the worker has of a range; ask again for a while where it does not answer and, if that
        is wanted, where it lacks some."""
        give_up_s = time.monotonic() + PATIENCE_S
        best: list[Trade] = []
        looks = iter(SECOND_LOOKS_S if look_twice else ())
        while True:
            try:
                best = max(await self.fetch(symbol_id, first_id, last_id), best, key=len)
                wait_s = next(looks, None) if len(best) < last_id - first_id + 1 else None
            except BusError as error:
                log.info("repair.no_answer", symbol_id=symbol_id, error=str(error))
                wait_s = RETRY_S if time.monotonic() < give_up_s else None
            if wait_s is None:
                return best
            await asyncio.sleep(wait_s)


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
            noticed_us = now_us()
            self.holes += len(holes)
            log.info("repair.hole", symbol_id=symbol_id, holes=holes)
            await self._fill(symbol_id, holes[-1][1])
            lost = self._lanes.give_up(symbol_id, holes[0][0], holes[-1][1])
            self._fanout.flush_soon(now_us())
            self._record(symbol_id, holes, [(gap.first_id, gap.last_id) for gap in lost], noticed_us)

    async def _fill(self, symbol_id: int, last_id: int) -> None:
        """Ask for what is missing up to an id, until nothing is or it is time to give up."""
        lane = self._lanes.lane(symbol_id)
        give_up_s = time.monotonic() + HOLD_BACK_S
        while True:
            for first, last in cut(hole for hole in lane.missing() if hole[1] <= last_id):
                try:
                    self._take_in(symbol_id, await self._fetcher.fetch(symbol_id, first, last, 2.0))
                except BusError as error:
                    log.info("repair.no_answer", symbol_id=symbol_id, error=str(error))
                    break
            if not any(hole[0] <= last_id for hole in lane.missing()):
                return
            if time.monotonic() > give_up_s or lane.waiting > HOLD_BACK_TRADES:
                return
            await asyncio.sleep(RETRY_S)

    def _take_in(self, symbol_id: int, trades: list[Trade]) -> None:
        if trades:
            self._lanes.on_answer(symbol_id, trades)
            self._fanout.flush_soon(now_us())

    def _record(self, symbol_id: int, holes: list[Range], lost: list[Range], noticed_us: int) -> None:
        """Write one entry of the ledger for each hole."""
        instrument = self._symbols.by_id(symbol_id)
        if instrument is None:
            return
        taken_over = self._lanes.lane(symbol_id).tape.holes()
        for first, last in holes:
            if any(start <= last and end >= first for start, end in taken_over):
                continue  # the worker has told of it meanwhile, and writes its own entry
            missing = sum(
                min(last, end) - max(first, start) + 1
                for start, end in lost
                if start <= last and end >= first
            )
            self.lost_trades += missing
            self._note(
                LedgerEntry(
                    id=f"bus-{instrument.venue}-{instrument.native}-{first}-{noticed_us}",
                    venue=instrument.venue,
                    native=instrument.native,
                    symbol_id=symbol_id,
                    stream="aggTrade",
                    cause=GapCause.BUS,
                    state=GapState.LOST if missing else GapState.FILLED,
                    missing=missing,
                    first_id=first,
                    last_id=last,
                    noticed_us=noticed_us,
                    closed_us=now_us(),
                    detail="between a feed worker and a gateway",
                )
            )
