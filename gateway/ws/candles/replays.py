"""What clients want to have again of the candles: what changed after a version they have.

The rules of this file:
- It comes from what the board keeps of a series, else from an answer that another client got, else from the
  recorder. What it cannot give, or too much of it, is out of reach.
- Of those who come back for a series one asks at a time, for a little more than it needs; the others find
  what it was answered.
- An answer that comes so late that bars may have changed and gone since is asked for again.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, NamedTuple, Protocol, TypeAlias
from weakref import WeakKeyDictionary

import structlog

from gateway.ws.candles.series import Change, Series
from gateway.ws.fanout import Fanout, now_us
from processors.bus import BusError
from protocol.bars import AnswerState, BarsAnswer
from protocol.events import SeriesKey

MAX_REPLAY: Final = 5_000
"""Bars of one series that changed while a client was away: for more it loads the history again."""
HEAD_START_US: Final = 60_000_000
"""What is asked for begins a little earlier: of many clients that come back, others were gone before."""
ANSWERS_HELD: Final = 256
MOST_HELD: Final = 1_000
"""Bars of an answer that is held for other clients: 20 MB, if all are as long."""
PATIENCE_S: Final = 8.0
"""How long a recorder that does not answer is waited for: one that was killed is back by then."""
RETRY_S: Final = 0.25
ATTEMPTS: Final = 3
"""More than what the board keeps may change while an answer is on its way: then it is asked again."""

log = structlog.get_logger()

Fetch: TypeAlias = Callable[[Series, int], Awaitable[BarsAnswer]]
"""Ask the recorder for every bar of a series that changed after a version. Raises BusError."""


class Work(Protocol):
    """Something that takes a while, for one client."""

    def run(self) -> Coroutine[Any, Any, None]: ...


class _Held(NamedTuple):
    """An answer that other clients may need as well."""

    series: Series
    after_us: int
    answer: BarsAnswer


class CandleReplays:
    """For all clients of a gateway."""

    def __init__(self, fanout: Fanout, fetch: Fetch) -> None:
        self.fanout: Final = fanout
        self.asked = 0
        self._board = fanout.candles
        self._fetch = fetch
        self._one_at_a_time: WeakKeyDictionary[Series, asyncio.Lock] = WeakKeyDictionary()
        self._held: OrderedDict[SeriesKey, _Held] = OrderedDict()
        """Full, at `ANSWERS_HELD`: the oldest goes, and is asked for again."""
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await asyncio.Event().wait()

    def start(self, work: Work) -> asyncio.Task[None]:
        assert self._tasks is not None  # it runs before the first client comes
        return self._tasks.create_task(work.run())

    async def since(self, series: Series, version_us: int) -> list[Change] | None:
        """Return what changed after a version; None if that cannot be had."""
        async with self._one_at_a_time.setdefault(series, asyncio.Lock()):
            for _ in range(ATTEMPTS):
                changes = series.since(version_us)
                if changes is None:
                    changes = self._from_held(series, version_us)
                if changes is not None:
                    return changes
                question = self._board.ask(series, version_us - HEAD_START_US, now_us() - HEAD_START_US)
                answer = await self._insist(series, question.after_us)
                if answer is None or not _reaches(answer, version_us):
                    return None
                if self._board.on_answer(question, answer.as_of_us, answer.bars):
                    self.fanout.flush_soon(now_us())
                    self._hold(_Held(series, question.after_us, answer))
                    return self._changes_in(series, answer, version_us)
        return None

    def _hold(self, held: _Held) -> None:
        self._held.pop(held.series.key, None)
        if len(held.answer.bars) <= MOST_HELD:
            self._held[held.series.key] = held
            if len(self._held) > ANSWERS_HELD:
                self._held.popitem(last=False)

    def _from_held(self, series: Series, version_us: int) -> list[Change] | None:
        held = self._held.get(series.key)
        if held is None or held.series is not series or series.dropped_us > held.answer.as_of_us:
            return None
        is_within = held.after_us <= version_us <= held.answer.as_of_us
        return self._changes_in(series, held.answer, version_us) if is_within else None

    def _changes_in(self, series: Series, answer: BarsAnswer, version_us: int) -> list[Change]:
        """Return what an answer says of the time after a version, and what has changed since it was given."""
        bars = answer.bars[answer.bars["version"] > version_us]
        changes = self._board.changes_of(series, bars)
        newer = series.since(answer.as_of_us) or []
        return [one for one in changes if not series.knows_better(one.open_ms, answer.as_of_us)] + newer

    async def _insist(self, series: Series, after_us: int) -> BarsAnswer | None:
        give_up_s = time.monotonic() + PATIENCE_S
        while True:
            self.asked += 1
            try:
                return await self._fetch(series, after_us)
            except BusError as error:
                log.info("candles.no_answer", series=series.key, error=str(error))
                if time.monotonic() > give_up_s:
                    return None
            await asyncio.sleep(RETRY_S)


def _reaches(answer: BarsAnswer, version_us: int) -> bool:
    """Say whether an answer holds everything after a version, and not too much."""
    too_many = answer.state & AnswerState.MORE or (answer.bars["version"] > version_us).sum() > MAX_REPLAY
    return answer.as_of_us >= version_us and not too_many
