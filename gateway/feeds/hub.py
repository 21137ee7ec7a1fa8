"""The hub: between the pool's events and the price processor, it sees to it that no trade is missing.

An older book top ends here, a final bar that did not come is written down; everything else but aggTrades
passes through untouched. For those, `trades/lane.py` decides; this file does what it says: delivers, asks
the venue's REST for several symbols at a time, keeps the clock. Trades of which each is simply the next one,
which nearly all are, go through together.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, cast

from gateway.exchanges.venue import Venue
from gateway.feeds.boundary import Boundary
from gateway.feeds.budget import Budget
from gateway.feeds.connections.turn import Turn
from gateway.feeds.errors import Refused, VenueError
from gateway.feeds.gaps import RisingIds
from gateway.feeds.trades.bar_watch import BarWatch
from gateway.feeds.trades.lane import HOLD_BACK_TRADES, STREAM, TradeLane
from gateway.feeds.trades.steps import Announce, Ask, BeginAnew, Deliver, Glimpse, Purpose, Step, Write
from protocol.events import Gap, GapCause
from protocol.ledger import LedgerEntry
from protocol.market import AggTrade, Bar, BookTop, MarketEvent

ASKS_AT_ONCE: Final = 4
PROBE_SHARE: Final = 0.25
"""Of the venue's weight a minute, for symbols of which nothing is known to be missing."""
PACED_SHARE: Final = 0.5
"""The second half of a minute's weight is spread over it, or a bad moment would use it up in seconds and
every hole after that would outlive the time for which trades are held back."""
PACE_MS: Final = 5_000
ROOM_WAIT_S: Final = 0.01
_DENIED: Final = (400, 404)
"""What a venue says to a request that will never be answered."""


class Outlet(Protocol):
    """Where the hub's events go: the price processor's shell."""

    @property
    def has_room(self) -> bool:
        """Whether much may come at once."""

    def on_event(self, event: MarketEvent, received_us: int) -> None: ...

    def on_run(self, native: str, run: Sequence[AggTrade], received_us: int) -> None:
        """Take in trades of one symbol, each id one above the one before."""

    def begin_turn(self) -> None:
        """What comes until `end_turn` comes together."""

    def end_turn(self) -> None: ...

    def on_recovered(self, trade: AggTrade, received_us: int) -> None: ...

    def glimpse(self, trade: AggTrade, received_us: int) -> None: ...

    def on_gap(self, native: str, gap: Gap) -> None: ...

    def begin_anew(self, native: str) -> None: ...


class TradeSource(Protocol):
    """The venue's REST."""

    @property
    def has_spare(self) -> bool:
        """Less than half of what may be asked in a minute has been."""

    async def agg_trades(self, native: str, from_id: int | None, limit: int) -> list[AggTrade]: ...


class Hub:
    """One venue's share of a worker."""

    def __init__(
        self,
        venue: Venue,
        outlet: Outlet,
        source: TradeSource,
        note: Callable[[LedgerEntry], None],
        *,
        hold_back_trades: int = HOLD_BACK_TRADES,
        weight_share: float = 1.0,
    ) -> None:
        """`note` takes an entry for the ledger, without waiting.

        `weight_share` is this process's part of what the venue lets an address ask.
        """
        self.written: Counter[str] = Counter()
        """How many entries of the ledger said that a gap is open, filled, lost."""
        self._venue = venue
        self._outlet = outlet
        self._source = source
        self._note = note
        self._hold_back_trades = hold_back_trades
        self._lanes: dict[str, TradeLane] = {}
        self._of_dropped: Counter[str] = Counter()
        """What the lanes of symbols that were let go had counted."""
        self._left: dict[str, tuple[int, int]] = {}
        """The last trade, id and time, of symbols that were let go. Bounded by what the venue lists."""
        self._bars = BarWatch(venue.name)
        self._books: dict[str, RisingIds] = {}
        self._stale_books = 0
        self._troubled: dict[str, TradeLane] = {}
        """Those in which something is missing or to be asked."""
        self._asking = 0
        asks_per_min = venue.limits.weight_per_min / venue.rest.agg_trades_call("", None, 1).weight
        self._probes = Budget(int(asks_per_min * PROBE_SHARE * weight_share), 60_000)
        self._paced = Budget(int(asks_per_min * PACED_SHARE * weight_share * PACE_MS / 60_000), PACE_MS)
        self._wake = asyncio.Event()
        self._wake_at_us = 0

    # From the pool

    def add_symbol(self, native: str, symbol_id: int) -> None:
        """Follow a symbol from now on; its trades pass unchecked before that."""
        if native not in self._lanes:
            self._books[native] = RisingIds()
            self._lanes[native] = TradeLane(
                self._venue.name,
                native,
                symbol_id,
                hold_back_trades=self._hold_back_trades,
                reach_us=self._venue.rest.reach_s * 1_000_000,
            )

    def take_up(self, native: str, symbol_id: int) -> None:
        """Follow a symbol that nobody has wanted until now: what it traded before is not asked for."""
        self.add_symbol(native, symbol_id)
        self._lanes[native].take_up(*self._left.pop(native, (0, 0)))

    def drop_symbol(self, native: str) -> None:
        """Follow a symbol no longer."""
        self._books.pop(native, None)
        if lane := self._lanes.pop(native, None):
            self._do(lane, lane.give_up("the symbol was let go", now_us()))
            self._of_dropped.update(duplicates=lane.duplicates, recovered=lane.recovered, lost=lane.lost)
            self._troubled.pop(native, None)
            self._bars.forget(native)
            if lane.last_id:
                self._left[native] = lane.last_id, lane.newest_us

    def restore(self, last_ids: dict[str, int], at_us: int) -> None:
        """Go on where an earlier worker was at some moment: fetch what was traded since."""
        known = {native: last_id for native, last_id in last_ids.items() if native in self._lanes}
        for native, last_id in known.items():
            self._lanes[native].restore(last_id, at_us, now_us())
            self._look_at(self._lanes[native])
        if last_ids:
            cause, detail = GapCause.WORKER_RESTARTED, f"{len(known)} symbols go on from their last ids"
            away = Boundary(STREAM, "worker", cause, frozenset(known), at_us, now_us(), detail)
            self._note(away.entry(self._venue.name))

    def resume(self, native: str, last_id: int, at_us: int) -> None:
        """Go on, before the first trade, where the venue had stopped trading, and miss nothing since."""
        self._lanes[native].restore(last_id, at_us, now_us(), GapCause.SKIPPED)
        self._look_at(self._lanes[native])

    def on_turn(self, turn: Turn, received_us: int) -> None:
        """Take in what came together."""
        self._outlet.begin_turn()
        for native, events in turn.items():
            lane = self._lanes.get(native)
            if lane is None:
                for event in events:
                    self.on_event(event, received_us)
            else:
                self._on_symbol(lane, events, received_us)
        self._outlet.end_turn()

    def _on_symbol(self, lane: TradeLane, events: list[MarketEvent], received_us: int) -> None:
        start, count = 0, len(events)
        while start < count:
            end = lane.take_run(events, start)
            if end == start:
                self.on_event(events[start], received_us)
                start += 1
                continue
            run = events if end - start == count else events[start:end]
            self._outlet.on_run(lane.native, cast("list[AggTrade]", run), received_us)
            start = end

    def on_event(self, event: MarketEvent, received_us: int) -> None:
        """Take in one event of the venue."""
        if type(event) is AggTrade:
            lane = self._lanes.get(event.native)
            if lane is not None:
                self._do(lane, lane.on_trade(event, received_us, now_us()))
                return
        elif type(event) is BookTop:
            book = self._books.get(event.native)
            if book is not None and book.is_stale(event.update_id, received_us):
                self._stale_books += 1
                return
        elif type(event) is Bar and event.final:
            entry = self._bars.on_final(event, self._symbol_id(event.native), now_us())
            if entry:
                self._write(entry)
        self._outlet.on_event(event, received_us)

    def on_boundary(self, boundary: Boundary) -> None:
        """Write down that a connection ended, and look for what its end may have taken along."""
        self._note(boundary.entry(self._venue.name))
        if boundary.kind == STREAM:
            for native in boundary.natives & self._lanes.keys():
                self._lanes[native].on_boundary(boundary.cause, now_us())
                self._look_at(self._lanes[native])

    # To others

    def safe_ids(self) -> dict[str, int]:
        """Return the id of each symbol up to which nothing is missing: what a successor goes on from."""
        return {native: lane.safe_id for native, lane in self._lanes.items() if lane.safe_id}

    def last_id(self, native: str) -> int:
        """Return the newest trade of a symbol that is known of; 0 before the first."""
        lane = self._lanes.get(native)
        return lane.last_id if lane else 0

    def _symbol_id(self, native: str) -> int:
        lane = self._lanes.get(native)
        return lane.symbol_id if lane else 0

    def describe(self) -> dict[str, Any]:
        lanes = self._lanes.values()
        return {
            "symbols": len(lanes),
            "open_gaps": sum(lane.open_gaps for lane in lanes),
            "held_back": sum(lane.held_back for lane in lanes),
            "duplicates": self._of_dropped["duplicates"] + sum(lane.duplicates for lane in lanes),
            "stale_books": self._stale_books,
            "recovered": self._of_dropped["recovered"] + sum(lane.recovered for lane in lanes),
            "lost": self._of_dropped["lost"] + sum(lane.lost for lane in lanes),
        }

    # Its own work

    async def run(self) -> None:
        """Ask for what is missing, and keep the clock of what is held back. Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._until_due()
                for lane in tuple(self._troubled.values()):
                    while not self._outlet.has_room:  # noqa: ASYNC110  # a recovery brings thousands at once
                        await asyncio.sleep(ROOM_WAIT_S)
                    if self._lanes.get(lane.native) is lane:  # it may have been let go meanwhile
                        self._tend(lane, tasks)
                    await asyncio.sleep(0)

    async def _until_due(self) -> None:
        self._wake.clear()
        can_ask = self._asking < ASKS_AT_ONCE
        dues = [due for lane in self._troubled.values() if (due := lane.due_us(can_ask)) is not None]
        self._wake_at_us = min(dues, default=now_us() + 3_600_000_000)
        try:
            async with asyncio.timeout((self._wake_at_us - now_us()) / 1e6):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _tend(self, lane: TradeLane, tasks: asyncio.TaskGroup) -> None:
        self._do(lane, lane.on_time(now_us()))
        if self._asking < ASKS_AT_ONCE and (ask := lane.plan_ask(now_us())):
            if wait_ms := self._wait_ms(ask):
                lane.postpone(ask, now_us() + wait_ms * 1_000)
            else:
                self._asking += 1
                tasks.create_task(self._ask(lane, ask))
        if lane.is_calm:
            self._troubled.pop(lane.native, None)

    def _wait_ms(self, ask: Ask) -> int:
        """Say how long to wait with a question; 0: it may be put, and is counted as put."""
        now_ms = now_us() // 1_000
        wait_ms = 0 if self._source.has_spare else self._paced.wait_ms(now_ms)
        if ask.purpose is Purpose.PROBE:
            wait_ms = max(wait_ms, self._probes.wait_ms(now_ms))
        if not wait_ms:
            self._paced.spend(now_ms)
            if ask.purpose is Purpose.PROBE:
                self._probes.spend(now_ms)
        return wait_ms

    async def _ask(self, lane: TradeLane, ask: Ask) -> None:
        try:
            rows = await self._source.agg_trades(lane.native, ask.first_id, ask.limit)
        except VenueError as error:
            denied = isinstance(error, Refused) and error.status in _DENIED
            steps = lane.on_failure(ask, now_us(), refused=denied, reason=str(error))
        else:
            steps = lane.on_answer(ask, rows, now_us())
        finally:
            self._asking -= 1
            self._wake.set()
        if self._lanes.get(lane.native) is lane:  # it may have been let go
            self._do(lane, steps)

    def _do(self, lane: TradeLane, steps: list[Step]) -> None:
        for step in steps:
            match step:
                case Deliver(trade=trade, received_us=received_us, recovered=False):
                    self._outlet.on_event(trade, received_us)
                case Deliver(trade=trade, received_us=received_us):
                    self._outlet.on_recovered(trade, received_us)
                case Glimpse(trade=trade, received_us=received_us):
                    self._outlet.glimpse(trade, received_us)
                case Announce(gap=gap):
                    self._outlet.on_gap(lane.native, gap)
                case Write(entry=entry):
                    self._write(entry)
                case BeginAnew():
                    self._outlet.begin_anew(lane.native)
        if not lane.is_calm:
            self._look_at(lane)

    def _look_at(self, lane: TradeLane) -> None:
        """See to it that `run` comes by in time."""
        self._troubled[lane.native] = lane
        due_us = lane.due_us(self._asking < ASKS_AT_ONCE)
        if due_us is not None and due_us < self._wake_at_us:
            self._wake.set()

    def _write(self, entry: LedgerEntry) -> None:
        if entry.cause is not GapCause.NOT_CARRIED:  # which is nothing to worry about
            self.written[entry.state.name.lower()] += 1
        self._note(entry)


_STARTED_US: Final = time.time_ns() // 1_000 - time.monotonic_ns() // 1_000


def now_us() -> int:
    """Read a clock that shows the time since 1970 and never jumps."""
    return _STARTED_US + time.monotonic_ns() // 1_000
