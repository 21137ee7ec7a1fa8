"""The commands that change or copy history: backfill, export, import.

They ask the recorder that is at work: on the bus that the settings name, or on that of the supervisor that
runs on the data folder. If nobody answers there, they open the store of that folder themselves.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final, Protocol, TypeVar

import msgspec
from rich.progress import BarColumn, Progress, TimeRemainingColumn

from gateway.config.load import Settings, changed
from gateway.feeds.rest import Rest
from gateway.processes.lifetime import Failure
from gateway.recorder.archive import Archive
from gateway.recorder.backfill import FAILURES, Backfill
from gateway.recorder.coverage import Coverage
from gateway.recorder.memory import Memory
from gateway.recorder.orders import Done, Order, Orders, Transfer, Transferred
from gateway.recorder.recorder import last_version, now_ms
from gateway.recorder.versions import VersionClock
from gateway.recorder.writer import Writer
from gateway.registry import Registry
from gateway.roles.bus import bus_address, bus_name
from gateway.roles.feed import venues
from gateway.roles.folder import bus_of
from gateway.roles.recorder import opened
from gateway.store.parquet import BadParquet
from processors.bars.bar_row import BarRow
from processors.bus import Bus, BusError, NoAnswer, connect
from processors.shell import now_us
from protocol import subjects
from protocol.bars import Series
from protocol.errors import UnknownSymbol
from protocol.symbols import Instrument, SymbolTable, full_name

CONNECT_S: Final = 5.0
CHUNK_TIMEOUT_S: Final = 120.0
"""A chunk may have to wait until the venue can be asked again."""
FILE_TIMEOUT_S: Final = 6 * 3_600.0
Reply = TypeVar("Reply", Done, Transferred)


class OrderFailed(Failure):
    """The order cannot be carried out; the message says why."""


class Desk(Protocol):
    """Where orders are given: a recorder on the bus, or its parts in this process."""

    async def find(self, symbol: str) -> Instrument:
        """Look a symbol up. Raises UnknownSymbol."""

    async def backfill(self, order: Order) -> Done: ...

    async def export_file(self, transfer: Transfer) -> Transferred: ...

    async def import_file(self, transfer: Transfer) -> Transferred: ...


async def backfill(
    settings: Settings, symbol: str, interval: int, from_ms: int, to_ms: int, stop: asyncio.Event
) -> None:
    """Fetch what is missing, newest first, until all is there or `stop` is set. Raises OrderFailed."""
    async with desk(settings) as at, _no_failure():
        instrument = await at.find(symbol)
        order, bars = Order(instrument.venue, instrument.native, interval, from_ms, to_ms), 0
        with _progress() as progress:
            task = progress.add_task(instrument.name, total=to_ms - from_ms, bars=0)
            is_finished = False
            while not is_finished and not stop.is_set():
                done = await at.backfill(order)
                bars, is_finished = bars + done.bars, done.finished
                reached_ms = from_ms if is_finished else max(done.done_from_ms, from_ms)
                progress.update(task, completed=to_ms - reached_ms, bars=bars)


async def export_file(settings: Settings, path: str, natives: Sequence[str], intervals: Sequence[int]) -> int:
    """Write history into a Parquet file; return how many bars. Raises OrderFailed.

    `path` is absolute: the recorder that writes it was started elsewhere.
    """
    transfer = Transfer(path, list(natives), list(intervals))
    async with desk(settings) as at, _no_failure():
        return (await at.export_file(transfer)).bars


async def import_file(settings: Settings, path: str) -> int:
    """Read history from a Parquet file; return how many bars. Raises OrderFailed."""
    async with desk(settings) as at, _no_failure():
        return (await at.import_file(Transfer(path))).bars


@contextlib.asynccontextmanager
async def desk(settings: Settings) -> AsyncIterator[Desk]:
    """Find the recorder, or be it."""
    url = settings.messaging.nats.url or bus_of(settings.data.folder)
    async with contextlib.AsyncExitStack() as stack:
        if url:
            bus = await _connected(changed(settings, {"messaging.nats.url": url}), stack)
            if bus is not None and await _is_recording(bus):
                yield _RemoteDesk(bus)
                return
        async with _own_desk(settings) as own:
            yield own


async def _connected(settings: Settings, stack: contextlib.AsyncExitStack) -> Bus | None:
    """Connect; None if nobody is there."""
    try:
        async with asyncio.timeout(CONNECT_S):
            return await stack.enter_async_context(
                connect(bus_address(settings), bus_name(settings, "orders"))
            )
    except TimeoutError:
        return None


async def _is_recording(bus: Bus) -> bool:
    try:
        await bus.request(subjects.REQUEST_RECORDER, timeout_s=CONNECT_S)
    except NoAnswer:
        return False
    return True


class _RemoteDesk:
    """The recorder at the other end of the bus."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def find(self, symbol: str) -> Instrument:
        registry = Registry(self._bus)
        await registry.open()
        return registry.table.find(symbol)

    async def backfill(self, order: Order) -> Done:
        return await self._ask(subjects.REQUEST_BACKFILL, order, Done, CHUNK_TIMEOUT_S)

    async def export_file(self, transfer: Transfer) -> Transferred:
        return await self._ask(subjects.REQUEST_EXPORT, transfer, Transferred, FILE_TIMEOUT_S)

    async def import_file(self, transfer: Transfer) -> Transferred:
        return await self._ask(subjects.REQUEST_IMPORT, transfer, Transferred, FILE_TIMEOUT_S)

    async def _ask(self, subject: str, told: Order | Transfer, kind: type[Reply], timeout_s: float) -> Reply:
        reply = await self._bus.request(subject, msgspec.json.encode(told), timeout_s)
        return msgspec.json.decode(reply, type=kind)


class _OwnDesk:
    """The recorder's parts in this process."""

    def __init__(self, rests: Iterable[Rest], orders: Orders) -> None:
        self._rests = rests
        self.backfill = orders.backfill
        self.export_file = orders.export_file
        self.import_file = orders.import_file

    async def find(self, symbol: str) -> Instrument:
        wanted = full_name(symbol)
        for rest in self._rests:
            for instrument in await rest.exchange_info():
                if instrument.name.upper() == wanted:
                    return instrument
        raise UnknownSymbol(symbol)


@contextlib.asynccontextmanager
async def _own_desk(settings: Settings) -> AsyncIterator[Desk]:
    """Open the store here. What was found to be different is written before the end."""
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(opened(settings))
        rests = {one.name: await stack.enter_async_context(Rest(one)) for one in venues(settings)}
        memory, coverage = Memory(), Coverage(store)
        clock = VersionClock(await last_version(store))

        async def keep(series: Series, rows: Sequence[BarRow]) -> None:
            version = clock.next(now_us())
            for row in rows:
                memory.put(series, row._replace(version=version))

        archive, since_us = Archive(store, memory, coverage), clock.last_us or now_us()
        fetching = Backfill(store, archive, coverage, memory, rests, keep, since_us, now_ms)
        try:
            yield _OwnDesk(rests.values(), Orders(store, coverage, fetching, SymbolTable()))
        finally:
            await Writer(store, memory, coverage).drain()


@contextlib.asynccontextmanager
async def _no_failure() -> AsyncIterator[None]:
    """Say in one line why an order failed."""
    try:
        yield
    except (*FAILURES, BadParquet, BusError, UnknownSymbol, OSError) as error:
        raise OrderFailed(str(error)) from error


def _progress() -> Progress:
    columns = "{task.description}", BarColumn(), "{task.percentage:>3.0f} %", "{task.fields[bars]:,} bars"
    return Progress(*columns, TimeRemainingColumn())
