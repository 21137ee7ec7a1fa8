"""What one client gets of the trades: what it missed or asks to have again, then the live ones.

The rules of this file:
- A symbol is live, or it is being replayed. Live: written by the fan-out with everybody else's. Replayed:
  from the tape and, what that does not hold, from the feed worker; then it turns live.
- Between the two nothing is lost or doubled: the replay takes what was delivered up to a mark, and what is
  delivered after the mark is written before the symbol turns live.
- Nothing is written to a full socket. What then waits is a mark a symbol, and at most `REPLAYS` answers.
- What cannot be had is a GAP record.
- A client may be ahead of this gateway, coming from another: it gets nothing until it is caught up with. One
  that is ahead by more than any gateway lags is told that ids begin anew.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, cast

from gateway.ws.fanout import Fanout, now_us
from gateway.ws.lane import Item, Mark, Piece, TradeLane
from gateway.ws.outbox import Outbox
from gateway.ws.trades import MAX_AHEAD, RECORDS_A_FRAME, pack, seal
from processors.tape import TRADES_A_REQUEST, Range, cut
from protocol.events import Gap, GapCause, GapState, Trade

MAX_REPLAY: Final = 50_000
"""A client that has been away for longer than this many trades of a symbol gets the newest of them."""
REPLAYS: Final = 4
"""How many symbols of one client are replayed at once; the others wait."""
TURN_LIVE_S: Final = 0.05
"""Symbols turn live together, because each time the client changes its audience."""
HEAD_START: Final = 200
"""A lane that begins with what a client asks for begins a little before it: others come back with ids that
are a little lower."""

Ask: TypeAlias = Callable[[int, int, int, bool], Awaitable[list[Trade]]]
"""Get trades of a symbol from its feed worker, first to last id; it returns those that there are. True: wait
for what is not there now and may still come."""


class Receiver(Protocol):
    """The client, as its delivery sees it."""

    outbox: Outbox

    def write_frames(self, frames: bytes) -> None:
        """Write to the socket."""

    def join(self) -> None:
        """Join the audience of what is live now."""


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """Everything after an id, wanted again."""

    symbol_id: int
    since: int
    cause: GapCause
    """Why there may be something that cannot be had."""


class Replays:
    """The replays of all clients of a gateway."""

    def __init__(self, fanout: Fanout, ask: Ask) -> None:
        self.fanout: Final = fanout
        self.ask: Final = ask
        self.started = 0
        self.beginnings: Final[dict[int, asyncio.Lock]] = defaultdict(asyncio.Lock)
        """By symbol: of all clients that come back to a gateway which has just started, one asks."""
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Serve replays until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await asyncio.Event().wait()

    def start(self, delivery: "Delivery") -> asyncio.Task[None]:
        assert self._tasks is not None  # it runs before the first client comes
        return self._tasks.create_task(delivery.run())


class Delivery:
    """The trades of one client."""

    def __init__(self, client: Receiver, replays: Replays) -> None:
        self._client = client
        self._replays = replays
        self._fanout = replays.fanout
        self._lanes = replays.fanout.trades
        self._wanted: dict[int, Replay] = {}
        """By symbol: what is not live. Bounded by what a client may watch, like all the following."""
        self._queue: dict[int, Replay] = {}
        self._caught_up: dict[int, Mark] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn_live: asyncio.TimerHandle | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._is_over = False

    # What is live

    def live(self, watched: Iterable[int]) -> frozenset[int]:
        """Keep of the watched symbols those that the fan-out writes."""
        return frozenset(watched).difference(self._wanted)

    def on_subscribed(self, new: Iterable[int], since: dict[int, int]) -> None:
        """React to symbols of which trades are asked for: those with `since` again from there, those that
        are only new from the newest trade on."""
        self._fanout.flush_trades()  # so that what is live for others is not news for this one
        for symbol_id, last_id in since.items():
            self.replay(symbol_id, last_id, GapCause.OUT_OF_REACH)
        for symbol_id in new:
            newest = self._lanes.lane(symbol_id).mark().last_id
            if newest and symbol_id not in since:
                self.replay(symbol_id, newest - 1, GapCause.OUT_OF_REACH)

    def forget(self, watched: Iterable[int]) -> None:
        """Drop what the client no longer watches."""
        for symbol_id in self._wanted.keys() - set(watched):
            self._drop(symbol_id)
        marks = self._client.outbox.marks
        for symbol_id in marks.keys() - set(watched):
            del marks[symbol_id]

    def replay(self, symbol_id: int, since: int, cause: GapCause) -> None:
        """Take a symbol out of what is live and replay it. The caller joins the audience anew."""
        self._drop(symbol_id)
        self._client.outbox.marks.pop(symbol_id, None)
        self._wanted[symbol_id] = self._queue[symbol_id] = Replay(symbol_id, since, cause)
        self._replays.started += 1
        self._work()

    def _drop(self, symbol_id: int) -> None:
        self._lanes.wait_no_more(symbol_id, self)
        for waiting in (self._wanted, self._queue, self._caught_up):
            waiting.pop(symbol_id, None)

    def stop(self) -> None:
        """The client is gone, or told to go."""
        self._is_over = True
        for symbol_id in tuple(self._wanted):
            self._drop(symbol_id)
        for task in self._tasks:
            task.cancel()
        if self._turn_live is not None:
            self._turn_live.cancel()

    # A socket that is full, and drains

    def on_full(self) -> None:
        self._writable.clear()

    def catch_up(self) -> None:
        """Write what was delivered after the marks, until the socket is full again."""
        outbox = self._client.outbox
        for symbol_id, mark in tuple(outbox.marks.items()):
            if outbox.is_full or self._is_over:
                return
            self._follow(self._lanes.lane(symbol_id), mark)
        if not outbox.is_full:
            self._writable.set()

    def _follow(self, lane: TradeLane, mark: Mark) -> None:
        marks = self._client.outbox.marks
        while more := lane.after(mark, RECORDS_A_FRAME):
            items, mark = more
            if not items:
                del marks[lane.symbol_id]
                return
            marks[lane.symbol_id] = mark
            self._write(items)
            if self._client.outbox.is_full:
                return
        self.replay(lane.symbol_id, mark.last_id, GapCause.OVERFLOW)  # the log does not reach back so far
        self._client.join()

    def _write(self, items: list[Item]) -> None:
        self._client.write_frames(seal(pack(items), now_us()))

    # Replay

    def on_reached(self, symbol_id: int) -> None:
        """The lane has got to where this client is: go on from there."""
        replay = self._wanted.get(symbol_id)
        if replay is not None:
            self._queue[symbol_id] = replay
            self._work()

    def _work(self) -> None:
        if len(self._tasks) < REPLAYS and not self._is_over:
            task = self._replays.start(self)
            self._tasks.add(task)

    async def run(self) -> None:
        """Replay what is queued, one symbol after the other."""
        try:
            while self._queue:
                symbol_id = next(iter(self._queue))
                await self._serve(self._queue.pop(symbol_id))
        finally:  # here and not later, so that what is queued next starts a task
            self._tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _serve(self, replay: Replay) -> None:
        lane = self._lanes.lane(replay.symbol_id)
        async with self._replays.beginnings[replay.symbol_id]:
            if not lane.mark().last_id:
                await self._begin(lane, replay.since)
        self._fanout.flush_trades()
        if not self._is_wanted(replay):
            return
        mark = lane.mark()
        ahead = replay.since - mark.last_id
        if ahead > 0 and (ahead <= MAX_AHEAD or not mark.last_id):
            self._lanes.wait(replay.symbol_id, replay.since, self)
            return
        pieces = _plan(lane, replay.since, replay.cause)  # at once: as it stands at the mark
        async with aclosing(self._in_parts(replay.symbol_id, pieces, replay.cause)) as parts:
            async for items in parts:
                while self._client.outbox.is_full:
                    await self._writable.wait()
                if not self._is_wanted(replay):
                    return
                self._write(items)
        if self._is_wanted(replay):
            self._caught_up[replay.symbol_id] = mark
            self._turn_live_soon()

    def _is_wanted(self, replay: Replay) -> bool:
        return self._wanted.get(replay.symbol_id) is replay

    async def _begin(self, lane: TradeLane, since: int) -> None:
        """Give a lane that has heard nothing yet its first trades: those that the client asks for.

        If that is not all up to the newest, the symbol is busy enough to begin by itself.
        """
        first = max(since - HEAD_START, 1)
        last = first + TRADES_A_REQUEST - 1
        trades = await self._replays.ask(lane.symbol_id, first, last, False)
        if trades and trades[-1].id < last and not lane.tape.last_id:
            lane.begin(trades)

    async def _in_parts(
        self, symbol_id: int, pieces: Iterable[Piece], cause: GapCause
    ) -> AsyncGenerator[list[Item], None]:
        """Yield what a frame holds at a time, with what the worker has of the ranges."""
        for piece in pieces:
            if isinstance(piece, list):
                for start in range(0, len(piece), RECORDS_A_FRAME):
                    yield list(piece[start : start + RECORDS_A_FRAME])
            elif isinstance(piece, Gap):
                yield [piece]
            else:
                async for items in self._ask(symbol_id, piece, cause):
                    yield items

    async def _ask(self, symbol_id: int, absent: Range, cause: GapCause) -> AsyncIterator[list[Item]]:
        whole = True
        for first, last in cut([absent]):
            trades = await self._replays.ask(symbol_id, first, last, whole)
            whole = len(trades) == last - first + 1
            items = list(with_gaps(symbol_id, first, last, trades, cause))
            for start in range(0, len(items), RECORDS_A_FRAME):
                yield items[start : start + RECORDS_A_FRAME]

    def _turn_live_soon(self) -> None:
        if not self._queue and len(self._tasks) <= 1:
            self._join_live()
        elif self._turn_live is None:
            self._turn_live = asyncio.get_running_loop().call_later(TURN_LIVE_S, self._join_live)

    def _join_live(self) -> None:
        """Let all that is caught up turn live; what was delivered since is written first."""
        if self._turn_live is not None:
            self._turn_live.cancel()
            self._turn_live = None
        for symbol_id, mark in self._caught_up.items():
            del self._wanted[symbol_id]
            self._client.outbox.note_trades(symbol_id, mark)
        self._caught_up.clear()
        self._client.join()
        self.catch_up()


def _plan(lane: TradeLane, since: int, cause: GapCause) -> list[Piece]:
    """Say what stands between an id and now: trades, gaps, and ranges that only the worker may have."""
    newest = lane.mark().last_id
    if since > newest:
        return [_lost(lane.symbol_id, 0, 0, cause)]
    first = max(since, newest - MAX_REPLAY)
    too_old = [_lost(lane.symbol_id, since + 1, first, cause)] if first > since else []
    return [*too_old, *lane.replay(first)]


def with_gaps(
    symbol_id: int, first_id: int, last_id: int, trades: list[Trade], cause: GapCause
) -> Iterator[Item]:
    """Put a lost GAP wherever a range has no trade."""
    expected = first_id
    for trade in trades:
        if trade.id > expected:
            yield _lost(symbol_id, expected, trade.id - 1, cause)
        yield trade
        expected = trade.id + 1
    if expected <= last_id:
        yield _lost(symbol_id, expected, last_id, cause)


def _lost(symbol_id: int, first_id: int, last_id: int, cause: GapCause) -> Gap:
    return Gap(symbol_id, GapState.LOST, cause, first_id, last_id, 0, 0)
