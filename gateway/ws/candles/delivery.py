"""What one client gets of the candles: what changed while it was away, then what changes.

The rules of this file:
- All candles of a client are live, or none. Live: written by the fan-out with everybody else's. When it asks
  for more, all of them are brought up to date, each from where it was, and turn live again together.
- So one number is enough to come back with: the version that the last CANDLE frame stated. Until a client is
  up to date its frames state the lowest version after which it may still lack something.
- What changed comes from what the board keeps, else from the recorder (`replays.py`). What neither can
  give is an error that names the series: its history has to be loaded again.
- Nothing is written to a full socket. What then waits is where each series was, and at most one answer of
  the recorder. When the socket drains, every bar that changed comes in its newest state: running ones have
  coalesced, none that became final or was corrected is left out.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from gateway.ws.candles.board import lowest
from gateway.ws.candles.frames import RECORDS_A_FRAME
from gateway.ws.candles.replays import CandleReplays
from gateway.ws.candles.series import CandleMark, Change, Series, Venue
from gateway.ws.outbox import Outbox
from protocol.events import SeriesKey


class CandleReceiver(Protocol):
    """The client, as the delivery of its candles sees it."""

    outbox: Outbox

    @property
    def watched_candles(self) -> set[SeriesKey]:
        """The series that it has asked for."""

    def write_candles(self, changes: list[Change], before_us: int, whole_us: int) -> None:
        """Write to the socket. The client has everything up to the one version, and then up to the other."""

    def tell_out_of_reach(self, keys: list[SeriesKey]) -> None:
        """Say of which series not everything can be had again."""

    def join(self) -> None:
        """Join the audience of what is live now."""


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """A series, from after a version on; None: from its newest bar on."""

    key: SeriesKey
    since_us: int | None


class CandleDelivery:
    """The candles of one client."""

    def __init__(self, client: CandleReceiver, replays: CandleReplays) -> None:
        self._client = client
        self._replays = replays
        self._fanout = replays.fanout
        self._board = replays.fanout.candles
        self._is_behind = False
        self._wishes: dict[SeriesKey, Wish] = {}
        """What is not served yet. Bounded by what a client may watch, like all the following."""
        self._marks: dict[SeriesKey, CandleMark] = {}
        """Where single series go on."""
        self._mark: CandleMark | None = None
        """Where all others go on; None: they are up to date."""
        self._unsent: dict[tuple[SeriesKey, int], Change] = {}
        self._out_of_reach: list[SeriesKey] = []
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._is_over = False

    def live(self, watched: Iterable[SeriesKey]) -> frozenset[SeriesKey]:
        """Keep of the watched series those that the fan-out writes."""
        return frozenset() if self._task is not None else frozenset(watched)

    def on_subscribed(self, wanted: Mapping[SeriesKey, int | None]) -> None:
        """React to series that are asked for. The caller joins the audience anew."""
        self._fanout.flush_candles()  # so that what is live for this one has been written
        self.miss(self._board.mark(self._venues()))
        for key, since_us in wanted.items():
            self._wishes[key] = Wish(
                key, None if since_us is None else max(since_us, 1)
            )  # 0 means "not known"
            self._marks.pop(key, None)
        self._work()

    def forget(self, watched: set[SeriesKey]) -> None:
        """Drop what the client no longer watches."""
        for key in (self._wishes.keys() | self._marks.keys()) - watched:
            self._wishes.pop(key, None)
            self._marks.pop(key, None)
        self._unsent = {place: change for place, change in self._unsent.items() if place[0] in watched}

    def stop(self) -> None:
        """The client is gone, or told to go."""
        self._is_over = True
        if self._task is not None:
            self._task.cancel()

    # A socket that is full, and drains

    def on_full(self) -> None:
        self._writable.clear()

    def miss(self, mark: CandleMark) -> None:
        """Note that what came after a mark was not written."""
        self._is_behind = True
        if self._mark is None:
            self._mark = mark

    def catch_up(self) -> None:
        """Write what changed meanwhile, until the socket is full again."""
        if self._client.outbox.is_full or self._is_over:
            return
        self._writable.set()
        if self._is_behind and self._task is None:
            self._fanout.flush_candles()
            self._write_changes()

    def _write_changes(self) -> None:
        watched = self._client.watched_candles
        behind = {key: mark for key in watched if (mark := self._marks.get(key, self._mark))}
        before_us = self._before_us(behind.values())
        for key in tuple(behind):
            if self._client.outbox.is_full:
                break
            mark = behind.pop(key)
            changes = self._board.series[key].after(mark)
            if changes is None:
                self._wishes[key] = Wish(key, mark.version_us)
            else:
                self._collect(changes)
            if len(self._unsent) >= RECORDS_A_FRAME:
                self._write(before_us, before_us)
        self._marks, self._mark = behind, None
        if self._wishes:
            self.miss(self._board.mark(self._venues()))
            self._work()
            self._client.join()
        elif not behind and not self._client.outbox.is_full:
            self._is_behind = False
            self._write(before_us, self._board.whole_us(self._venues()))

    def _collect(self, changes: Iterable[Change]) -> None:
        for change in changes:
            place = (change.series.key, change.open_ms)
            self._unsent.pop(place, None)  # so that it stands at the end
            self._unsent[place] = change

    def _write(self, before_us: int, whole_us: int) -> None:
        changes, self._unsent = list(self._unsent.values()), {}
        self._client.write_candles(changes, before_us, whole_us)

    def _before_us(self, marks: Iterable[CandleMark]) -> int:
        """Return the lowest version after which something may be missing still; 0: not known."""
        since_us = [wish.since_us or 0 for wish in self._wishes.values()]
        return lowest([*since_us, *[mark.version_us for mark in marks]])

    def _venues(self) -> tuple[Venue, ...]:
        return self._board.venues_of(self._client.watched_candles)

    # Being brought up to date

    def _work(self) -> None:
        if self._task is None and not self._is_over:
            self._task = self._replays.start(self)

    async def run(self) -> None:
        """Serve every wish, then let all candles turn live."""
        while self._wishes:
            wish = next(iter(self._wishes.values()))
            series = self._board.series[wish.key]
            changes = await self._serve(series, wish)
            if self._wishes.get(wish.key) is not wish:
                continue  # it is no longer wanted, or from somewhere else
            if changes is None:
                self._out_of_reach.append(wish.key)
            before_us = self._before_us([*self._marks.values(), *([self._mark] if self._mark else [])])
            del self._wishes[wish.key]
            self._marks[wish.key] = self._board.mark_of(series)
            self._collect(changes or [])
            await self._write_in_parts(before_us)
        self._task = None
        self._tell_out_of_reach()
        self._fanout.flush_candles()  # so that what was served here already does not come as news
        self._client.join()
        self.catch_up()

    async def _serve(self, series: Series, wish: Wish) -> list[Change] | None:
        if wish.since_us is not None:
            return await self._replays.since(series, wish.since_us)
        newest = series.newest()
        return [newest] if newest else []

    async def _write_in_parts(self, before_us: int) -> None:
        """Write until what is left goes into the last frame."""
        while len(self._unsent) >= RECORDS_A_FRAME:
            while self._client.outbox.is_full:
                await self._writable.wait()
            part = dict(islice(self._unsent.items(), RECORDS_A_FRAME))
            self._unsent = {place: one for place, one in self._unsent.items() if place not in part}
            self._client.write_candles(list(part.values()), before_us, before_us)

    def _tell_out_of_reach(self) -> None:
        if self._out_of_reach:
            self._client.tell_out_of_reach(self._out_of_reach)
            self._out_of_reach = []
