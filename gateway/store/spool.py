"""A store that may be away: what cannot be written waits on disk, in order, and goes in later.

The rules of this file:
- As long as anything waits, everything that changes the store waits behind it, and reads raise StoreDown:
  they would miss what waits.
- An operation has been applied when the store has it, or when it waits on disk. If the disk refuses too,
  StoreDown.
- Full: the oldest operations go, an eighth of the room at once, counted by their bars and trades. What
  they held is uncovered, last in the line, so that whoever looks there asks the venue again.
- After a crash operations may be applied once more, in the same order; the end is the same.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypeVar

import structlog

from gateway.store import spans
from gateway.store.history import Change, Span, StoreDown, StoreUnusable
from gateway.store.operations import (
    Cover,
    KeepBars,
    KeepTicks,
    OperatedStore,
    Operation,
    Uncover,
    decode_operation,
    encode_operation,
)
from gateway.store.segments import Segments
from protocol.bars import Bars, Series
from protocol.events import Trade

RETRY_S: Final = 1.0
BARS_A_RECORD: Final = 2_000
TRADES_A_RECORD: Final = 5_000
BARS_AT_ONCE: Final = 10_000
"""How many waiting bars go in together."""
MINUTE_MS: Final = 60_000
R = TypeVar("R")

log = structlog.get_logger()


class SpoolState(NamedTuple):
    """How a store is, for health."""

    waiting_bytes: int
    dropped: int
    """Bars and trades that the spool had no room for, since the start."""
    down_since_ms: int | None
    """None: it is up."""
    reason: str


class SpooledStore(OperatedStore):
    """Opens and closes the store behind it. Raises StoreUnusable when it is entered."""

    def __init__(self, store: OperatedStore, folder: Path, max_bytes: int, retry_s: float = RETRY_S) -> None:
        self._store = store
        self._segments = Segments(folder, max_bytes)
        self._retry_s = retry_s
        self._disk = ThreadPoolExecutor(1, "history-spool")
        self._has_waiting = asyncio.Event()
        self._waiting_bytes = 0
        self._appends = 0
        """How many were begun."""
        self._waiting_version = 0
        """The highest version of what waits, or has waited."""
        self._dropped = 0
        self._down_since_ms: int | None = None
        self._reason = ""
        self._opened = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._disk.shutdown)
            try:
                await asyncio.to_thread(stack.enter_context, self._segments)
            except OSError as error:
                raise StoreUnusable(f"{error.filename} cannot be used: {error.strerror}") from None
            await stack.enter_async_context(self._store)
            if await self._on_disk(self._find_waiting):
                self._has_waiting.set()
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            draining = tasks.create_task(self._drain())
            stack.callback(draining.cancel)
            self._opened = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.__aexit__(kind, error, trace)

    def state(self) -> SpoolState:
        return SpoolState(self._waiting_bytes, self._dropped, self._down_since_ms, self._reason)

    async def apply(self, operation: Operation) -> None:
        if self._has_waiting.is_set() or not await self._is_applied(operation):
            self._appends += 1
            self._has_waiting.set()  # first: who is cancelled from here on may have it appended all the same
            await self._on_disk(self._append, operation)

    async def read(self, series: Series, from_ms: int, to_ms: int, limit: int) -> Bars:
        return await self._ask_whole(lambda: self._store.read(series, from_ms, to_ms, limit))

    async def changed(self, series: Series, after_us: int, limit: int) -> Bars:
        return await self._ask_whole(lambda: self._store.changed(series, after_us, limit))

    async def coverage(self, series: Series) -> list[Span]:
        return await self._ask_whole(lambda: self._store.coverage(series))

    async def series(self) -> list[Series]:
        return await self._ask_whole(self._store.series)

    async def last_version(self) -> int:
        """Count what waits in."""
        return max(self._waiting_version, await self._ask(self._store.last_version()))

    async def read_ticks(self, venue: str, native: str, from_us: int, to_us: int, limit: int) -> list[Trade]:
        return await self._ask_whole(lambda: self._store.read_ticks(venue, native, from_us, to_us, limit))

    async def drop_ticks(self, before_us: int) -> None:
        await self._ask(self._store.drop_ticks(before_us))

    async def _is_applied(self, operation: Operation) -> bool:
        try:
            await self._ask(self._store.apply(operation))
        except StoreDown:  # noted where it was asked
            return False
        return True

    async def _ask_whole(self, question: Callable[[], Awaitable[R]]) -> R:
        if self._has_waiting.is_set():
            raise StoreDown(self._reason or f"{self._waiting_bytes} bytes wait to be written")
        return await self._ask(question())

    async def _ask(self, answer: Awaitable[R]) -> R:
        """Wait for the store, and note how it is."""
        try:
            result = await answer
        except StoreDown as error:
            if self._down_since_ms is None:
                self._down_since_ms = time.time_ns() // 1_000_000
                log.warning("store.down", reason=str(error))
            self._reason = str(error)
            raise
        if self._down_since_ms is not None and not self._has_waiting.is_set():
            self._is_up()
        return result

    def _is_up(self) -> None:
        self._down_since_ms, self._reason = None, ""
        log.info("store.up", dropped=self._dropped)

    # What waits

    async def _drain(self) -> None:
        while True:
            await self._has_waiting.wait()
            try:
                await self._drain_some()
            except StoreDown:  # noted where it was asked
                await asyncio.sleep(self._retry_s)

    async def _drain_some(self) -> None:
        appends = self._appends
        payloads, place = await self._on_disk(self._segments.read)
        for operation in together(map(decode_operation, payloads)):
            await self._ask(self._store.apply(operation))
        await self._on_disk(self._segments.dealt_with, place)
        if not self._waiting_bytes and appends == self._appends:  # none is on its way to the disk
            self._has_waiting.clear()
            if payloads:
                self._is_up()

    async def _on_disk(self, work: Callable[..., R], *arguments: Any) -> R:
        """Do something with the files, one after the other. Raises StoreDown if the disk refuses."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._disk, work, *arguments)
        except OSError as error:
            raise StoreDown(f"{self._reason}; and it cannot wait on disk: {error.strerror}") from None
        finally:
            self._waiting_bytes = self._segments.waiting_bytes

    def _append(self, operation: Operation) -> None:
        payloads = [encode_operation(part) for part in split(operation)]
        if not self._segments.could_hold(payloads):
            raise StoreDown(f"{self._reason}; and the room for what waits is too small for this")
        for _ in range(self._segments.files):
            if not self._segments.has_room(payloads):
                self._drop_oldest()
        if not self._segments.has_room(payloads):  # all that is left says what was dropped
            raise StoreDown(f"{self._reason}; and the room for what waits is full")
        self._segments.append(payloads)
        self._waiting_version = max(self._waiting_version, highest_version(operation))

    def _drop_oldest(self) -> None:
        gone = [decode_operation(payload) for payload in self._segments.read_file()]
        lost = sum(map(size_of, gone))
        self._dropped += lost
        self._segments.replace_oldest([encode_operation(one) for one in what_remains(gone)])
        log.warning("store.dropped", lost=lost, dropped=self._dropped)

    def _find_waiting(self) -> bool:
        """See what an earlier process left, if anything."""
        for payload in self._segments:
            self._waiting_version = max(self._waiting_version, highest_version(decode_operation(payload)))
        if self._segments.torn:
            log.warning("store.spool_torn", files=self._segments.torn)
        return self._segments.waiting_bytes > 0


def split(operation: Operation) -> Iterator[Operation]:
    """Divide an operation so that no part is longer than a record may be."""
    match operation:
        case KeepBars(changes):
            for series, bars in changes:
                for start in range(0, len(bars), BARS_A_RECORD):
                    yield KeepBars([Change(series, bars[start : start + BARS_A_RECORD])])
        case KeepTicks(venue, native, trades):
            for start in range(0, len(trades), TRADES_A_RECORD):
                yield KeepTicks(venue, native, trades[start : start + TRADES_A_RECORD])
        case _:
            yield operation


def together(operations: Iterable[Operation]) -> Iterator[Operation]:
    """Put bars that follow each other into one operation: the store commits them at once."""
    changes: list[Change] = []
    for operation in operations:
        if isinstance(operation, KeepBars):
            changes += operation.changes
        if changes and (
            not isinstance(operation, KeepBars) or sum(len(one.bars) for one in changes) >= BARS_AT_ONCE
        ):
            yield KeepBars(changes)
            changes = []
        if not isinstance(operation, KeepBars):
            yield operation
    if changes:
        yield KeepBars(changes)


def what_remains(gone: Sequence[Operation]) -> Iterator[Uncover]:
    """Say what must be uncovered when operations are dropped."""
    lost: dict[Series, list[Span]] = {}
    for operation in gone:
        match operation:
            case KeepBars(changes):
                for series, bars in changes:
                    end_ms = int(bars["open_ms"].max()) + series.interval * MINUTE_MS
                    span = Span(int(bars["open_ms"].min()), end_ms)
                    lost[series] = spans.add(lost.get(series, []), span)
            case Uncover(series, span):
                lost[series] = spans.add(lost.get(series, []), span)
            case Cover() | KeepTicks():
                pass
    yield from (Uncover(series, span) for series, there in lost.items() for span in there)


def highest_version(operation: Operation) -> int:
    changes = operation.changes if isinstance(operation, KeepBars) else ()
    return max((int(bars["version"].max()) for _, bars in changes), default=0)


def size_of(operation: Operation) -> int:
    """Count the bars and trades."""
    match operation:
        case KeepBars(changes):
            return sum(len(bars) for _, bars in changes)
        case KeepTicks(_, _, trades):
            return len(trades)
        case _:
            return 0
