"""Questions to the recorder: asked again while it is there, put together page by page, each once at a time.

The rules of this file:
- A recorder that was heard lately is asked again when it does not answer; one that was not is away, and
  that is said at once.
- At most `AT_ONCE` questions are on their way. `MAX_WAITING` wait for their turn, and for `PATIENCE_S`; one
  more is refused at once.
- An answer that makes no sense is no answer.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import msgspec
import numpy as np

from processors.bus import Bus, BusError
from protocol import subjects
from protocol.bars import AnswerState, Bars, BarsAnswer, BarsQuery, decode_answer, format_query
from protocol.errors import ProtocolError

MAX_WINDOW_BARS: Final = 100_000
AT_ONCE: Final = 16
MAX_WAITING: Final = 256
TIMEOUT_S: Final = 5.0
"""The recorder itself gives up after 4 s, and says why."""
PATIENCE_S: Final = 5.0
RETRY_S: Final = 0.2
MEASURES: Final = ("open", "high", "low", "close", "volume", "taker_buy")

Result = TypeVar("Result")


class HistoryUnavailable(Exception):
    """The recorder does not answer, or not yet; the message says why. Ask again in `retry_after_s`."""

    status = 503
    retry_after_s = 2


class WindowTooLong(Exception):
    """More bars are asked for than one answer holds."""

    def __init__(self) -> None:
        super().__init__(f"the window holds more than {MAX_WINDOW_BARS} bars: ask for it in parts")


class Questions:
    """What a gateway asks the recorder."""

    def __init__(self, bus: Bus, is_live: Callable[[str], bool], patience_s: float = PATIENCE_S) -> None:
        """`is_live` says whether the recorder is heard of a venue."""
        self.asked = 0
        self._patience_s = patience_s
        self._bus = bus
        self._is_live = is_live
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def bars(self, query: BarsQuery) -> BarsAnswer:
        """Ask for bars, page by page. Raises HistoryUnavailable or WindowTooLong."""
        pages = [await self._ask_page(query)]
        while AnswerState.MORE in pages[-1].state:
            so_far = sum(len(page.bars) for page in pages)
            if so_far > MAX_WINDOW_BARS:
                raise WindowTooLong
            to_ms = int(pages[-1].bars[0]["open_ms"])
            pages.append(
                await self._ask_page(
                    msgspec.structs.replace(
                        query,
                        from_ms=min(query.from_ms, to_ms),
                        to_ms=to_ms,
                        countback=max(query.countback - so_far, 0),
                    )
                )
            )
        return BarsAnswer(
            min(page.as_of_us for page in pages),
            pages[0].last_id,
            pages[-1].state,
            np.concatenate([page.bars for page in pages[::-1]]),
        )

    async def enigma(self, venue: str, native: str) -> dict[str, Any]:
        """Ask for a symbol's extremes. Raises HistoryUnavailable."""
        question = msgspec.json.encode({"venue": venue, "native": native})
        payload = await self._ask(venue, subjects.REQUEST_ENIGMA, question, patience_s=0.0)
        try:
            return msgspec.json.decode(payload, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeError) as error:
            raise _senseless(error) from None

    async def _ask_page(self, query: BarsQuery) -> BarsAnswer:
        payload = await self._ask(
            query.venue, subjects.REQUEST_BARS, format_query(query), patience_s=self._patience_s
        )
        try:
            answer = decode_answer(payload)
        except ProtocolError as error:
            raise _senseless(error) from None
        if AnswerState.MORE in answer.state and not len(answer.bars):
            raise _senseless("there is more, and nothing in it")
        if not is_sound(answer.bars):
            raise _senseless("bars out of order, or a price that is no number")
        return answer

    async def _ask(self, venue: str, subject: str, payload: bytes, *, patience_s: float) -> bytes:
        """Ask the recorder, again and again while it is there and patience lasts."""
        started_s = time.monotonic()
        async with self._turn():
            while self._bus.is_connected:
                self.asked += 1
                try:
                    return await self._bus.request(subject, payload, TIMEOUT_S)
                except BusError as error:
                    if not self._is_live(venue) or time.monotonic() - started_s >= patience_s:
                        raise HistoryUnavailable(f"the recorder has no answer: {error}") from None
                await asyncio.sleep(RETRY_S)
        raise HistoryUnavailable("the bus is away")

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait for a place among those whose questions are on their way."""
        if self._waiting >= MAX_WAITING:
            raise HistoryUnavailable("too many questions wait for the recorder")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._patience_s):
                await self._turns.acquire()
        except TimeoutError:
            raise HistoryUnavailable("the recorder is slow, and others are before you") from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turns.release()


def is_sound(bars: Bars) -> bool:
    """Say whether bars are in order, each once, and all their amounts are numbers."""
    return bool((np.diff(bars["open_ms"]) > 0).all()) and all(
        np.isfinite(bars[name]).all() for name in MEASURES
    )


def _senseless(reason: object) -> HistoryUnavailable:
    return HistoryUnavailable(f"the recorder's answer makes no sense: {reason}")


class Together:
    """Has work done once that several wait for at the same time."""

    def __init__(self) -> None:
        self._underway: dict[Hashable, asyncio.Future[Any]] = {}

    async def once(self, what: Hashable, work: Callable[[], Awaitable[Result]]) -> Result:
        """Return what the work returns, or raise what it raises; join it if it is under way."""
        while underway := self._underway.get(what):
            await asyncio.wait([underway])
            if not underway.cancelled():
                joined: Result = underway.result()
                return joined
        mine: asyncio.Future[Result]
        mine = self._underway[what] = asyncio.get_running_loop().create_future()
        try:
            mine.set_result(await work())
        except (HistoryUnavailable, WindowTooLong) as error:
            mine.set_exception(error)
        finally:
            mine.cancel()  # where this one was cancelled: whoever waits does the work itself
            del self._underway[what]
        return await mine
