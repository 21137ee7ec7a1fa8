"""What the recorder is told to do: fetch history, write it into a file, read it from one.

    request.backfill   Order as JSON, one chunk a request    ->   Done as JSON
    request.export     Transfer as JSON                      ->   Transferred as JSON, when all is written
    request.import     Transfer as JSON                      ->   the same

The recorder alone has the store open, so whoever wants something of it asks here. Files are on the recorder's
machine.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from gateway.recorder.backfill import FAILURES, Backfill
from gateway.recorder.coverage import Coverage
from gateway.store.history import HistoryStore, Span, StoreDown
from gateway.store.parquet import BadParquet, export_parquet, import_parquet
from processors.bus import SlowEndpoint, Unavailable
from protocol import subjects
from protocol.bars import Series
from protocol.intervals import MINUTES
from protocol.symbols import SymbolTable

CHUNK_S: Final = 2.0
"""How long one chunk of a backfill takes: whoever waits wants to see it move."""


class Order(msgspec.Struct, frozen=True):
    """Fetch the bars that open in [from_ms, to_ms), as far as they are not there."""

    venue: str
    native: str
    interval: int
    from_ms: int
    to_ms: int


class Done(msgspec.Struct, frozen=True):
    done_from_ms: int
    """From here on, up to the end of what was asked for, nothing is missing any more."""
    bars: int
    """That were fetched by this chunk."""
    finished: bool


class Transfer(msgspec.Struct, frozen=True):
    """A Parquet file, and for an export which series; none named is all of them."""

    path: str
    natives: list[str] = []
    intervals: list[int] = []


class Transferred(msgspec.Struct, frozen=True):
    bars: int


class Orders:
    def __init__(
        self,
        store: HistoryStore,
        coverage: Coverage,
        backfill: Backfill,
        symbols: SymbolTable,
        on_imported: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_imported` is called when history has come from a file."""
        self._store = store
        self._coverage = coverage
        self._backfill = backfill
        self._symbols = symbols
        self._on_imported = on_imported

    def endpoints(self) -> list[SlowEndpoint]:
        return [
            SlowEndpoint("backfill", subjects.REQUEST_BACKFILL, self._answer_backfill),
            SlowEndpoint("export", subjects.REQUEST_EXPORT, self._answer_export),
            SlowEndpoint("import", subjects.REQUEST_IMPORT, self._answer_import),
        ]

    # Each of these is also for a process that has opened the store itself

    async def backfill(self, order: Order) -> Done:
        """Do one chunk. Raises FAILURES."""
        series = Series(order.venue, order.native, order.interval)
        before = self._backfill.fetched[series]
        filled = await self._backfill.fill(
            series, Span(order.from_ms, order.to_ms), until_s=time.monotonic() + CHUNK_S
        )
        return Done(filled.from_ms, self._backfill.fetched[series] - before, filled.is_finished)

    async def export_file(self, transfer: Transfer) -> Transferred:
        """Raises StoreDown and BadParquet."""
        wanted = [one for one in await self._store.series() if _is_wanted(one, transfer)]
        bars = await export_parquet(self._store, Path(transfer.path), wanted, Span(0, 2**53))
        return Transferred(bars)

    async def import_file(self, transfer: Transfer) -> Transferred:
        """Raises StoreDown and BadParquet."""
        imported = await import_parquet(self._store, Path(transfer.path))
        self._coverage.forget()
        self._on_imported()
        return Transferred(imported.bars)

    async def _answer_backfill(self, _subject: str, payload: bytes) -> bytes:
        order = _parse(payload, Order)
        if order.interval not in MINUTES.values():
            raise KeyError(f"no interval has {order.interval} minutes")
        if self._symbols.by_native(order.venue, order.native) is None:
            raise KeyError(f"{order.venue} {order.native}")
        try:
            return msgspec.json.encode(await self.backfill(order))
        except FAILURES as error:
            raise Unavailable(str(error)) from None

    async def _answer_export(self, _subject: str, payload: bytes) -> bytes:
        try:
            return msgspec.json.encode(await self.export_file(_parse(payload, Transfer)))
        except (StoreDown, BadParquet, OSError) as error:
            raise Unavailable(str(error)) from None

    async def _answer_import(self, _subject: str, payload: bytes) -> bytes:
        try:
            return msgspec.json.encode(await self.import_file(_parse(payload, Transfer)))
        except (StoreDown, BadParquet, OSError) as error:
            raise Unavailable(str(error)) from None


Told = TypeVar("Told", Order, Transfer)


def _parse(payload: bytes, kind: type[Told]) -> Told:
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise KeyError(f"not an order: {error}") from None


def _is_wanted(series: Series, transfer: Transfer) -> bool:
    natives, intervals = transfer.natives, transfer.intervals
    return (not natives or series.native in natives) and (not intervals or series.interval in intervals)
