"""Trades that the recorder missed, asked for from the feed worker that owns the symbol.

The rules of this file:
- A hole of which the worker has not spoken is asked for, patiently. What cannot be had is given up: the
  minutes around it are not whole, so the venue's own bar decides about them.
- Where batches were lost and no trade has shown it yet, what came after the last trade is asked for.
- A symbol that is heard of for the first time is asked for the trades of the minute before that, if they
  are few enough.
- One piece of work a symbol and kind; what is noticed meanwhile is looked at once more at its end.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

import structlog

from gateway.recorder.heard import HeardTrades
from gateway.recorder.recording import Recording
from gateway.trade_fetcher import TradeFetcher
from processors.bus import BusError
from processors.tape import TRADES_A_REQUEST, Range, cut
from protocol.events import Trade
from protocol.intervals import open_of

BEFORE_THE_FIRST: Final = 1_000
"""Trades before the first one that are asked for: what a venue's REST has on one page."""
PAGES: Final = 20
"""Of what came last: a symbol that trades faster than it is answered is caught up with by its holes."""

log = structlog.get_logger()
Work = Callable[[], Coroutine[Any, Any, None]]


class Holes:
    """Asks for what is missing. Bounded by the symbols; the fetcher bounds what is asked at a time."""

    def __init__(self, fetcher: TradeFetcher) -> None:
        self.filled = 0
        """Trades that came by being asked for."""
        self.lost = 0
        self._fetcher = fetcher
        self._at_work: dict[tuple[str, int], bool] = {}
        """What is being done for which symbol, and whether it is to be done once more."""
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Work until cancelled. What is noticed before this runs is noticed again by the next trade."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await asyncio.Event().wait()

    def on_hole(self, recording: Recording, heard: HeardTrades) -> None:
        """React to trades that are missing between others."""
        self._start(("hole", heard.symbol_id), partial(self._fill, recording, heard))

    def on_doubt(self, recording: Recording, heard: HeardTrades) -> None:
        """React to a loss that may have taken the newest trades."""
        self._start(("newest", heard.symbol_id), partial(self._ask_newest, recording, heard))

    def on_beginning(self, recording: Recording, heard: HeardTrades, first: Trade) -> None:
        """React to the first trade that is heard of a symbol."""
        if first.id > 1:
            self._start(("before", heard.symbol_id), partial(self._ask_before, recording, heard, first))

    def _start(self, key: tuple[str, int], work: Work) -> None:
        if key in self._at_work:
            self._at_work[key] = True
        elif self._tasks is not None:
            self._at_work[key] = True
            self._tasks.create_task(self._work(key, work))

    async def _work(self, key: tuple[str, int], work: Work) -> None:
        while self._at_work[key]:
            self._at_work[key] = False
            await work()
        del self._at_work[key]

    async def _fill(self, recording: Recording, heard: HeardTrades) -> None:
        holes = heard.missing()
        log.info("recorder.hole", native=heard.native, holes=holes)
        for first, last in cut(holes):
            self._take_in(
                recording, heard, await self._fetcher.insist(heard.symbol_id, first, last, whole=True)
            )
        for hole in [one for one in heard.missing() if _overlaps(one, holes)]:
            self._give_up(recording, heard, hole)

    async def _ask_newest(self, recording: Recording, heard: HeardTrades) -> None:
        for _ in range(PAGES):
            first = heard.last_id + 1
            trades = await self._fetcher.insist(
                heard.symbol_id, first, first + TRADES_A_REQUEST - 1, whole=False
            )
            self._take_in(recording, heard, trades)
            if len(trades) < TRADES_A_REQUEST:
                break
        if heard.missing():
            self.on_hole(recording, heard)

    async def _ask_before(self, recording: Recording, heard: HeardTrades, first: Trade) -> None:
        minute_us = open_of(first.exchange_us // 1_000, 1) * 1_000
        try:
            trades = await self._fetcher.fetch(
                heard.symbol_id, max(first.id - BEFORE_THE_FIRST, 1), first.id - 1
            )
        except BusError as error:
            log.info("recorder.minute_not_begun", native=heard.native, error=str(error))
            return
        if trades := [one for one in trades if one.exchange_us >= minute_us]:
            recording.on_trades(heard.native, trades)

    def _take_in(self, recording: Recording, heard: HeardTrades, trades: list[Trade]) -> None:
        new = heard.on_trades(trades)
        self.filled += len(new)
        if new:
            recording.on_trades(heard.native, new)

    def _give_up(self, recording: Recording, heard: HeardTrades, hole: Range) -> None:
        lost = heard.give_up(hole)
        self.lost += hole[1] - hole[0] + 1
        log.warning("recorder.trades_lost", native=heard.native, first=hole[0], last=hole[1])
        recording.on_gap(heard.native, lost.from_us, lost.to_us)


def _overlaps(hole: Range, holes: list[Range]) -> bool:
    return any(first <= hole[1] and last >= hole[0] for first, last in holes)
