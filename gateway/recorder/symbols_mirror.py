"""Keeps the registry's symbols in SQL as well (`symbolsmap`), so that their ids outlive it.

The rules of this file:
- The recorder alone writes there: what is new, what has changed, what is not traded any more. Nothing goes.
- Before anybody registers a symbol, what the registry lacks is restored from SQL, each under its id.
- Where the two contradict each other (an id or a name that is another symbol's there) SQL stays as it is, and
  that is said once: the rest is written.
- While SQL is away nothing waits for it. Everything is written when it is back.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Final, Protocol

import structlog

from gateway.metadata.errors import IdTaken, MetadataDown
from gateway.metadata.symbols import SymbolRow
from gateway.metadata.tables import SYMBOL_LENGTH
from gateway.registry import IdsMoved
from processors.bus import BusError
from protocol.symbols import Instrument, SymbolTable

LOOK_EVERY_S: Final = 60.0
"""Changes are announced; this is for those that were missed."""
RETRY_S: Final = 10.0

log = structlog.get_logger()


class SymbolRows(Protocol):
    """The table in SQL."""

    async def all(self) -> list[SymbolRow]: ...

    async def put(self, rows: Iterable[SymbolRow]) -> int: ...


class SymbolRegistry(Protocol):
    @property
    def table(self) -> SymbolTable: ...

    async def refresh(self) -> list[Instrument]: ...

    async def restore(self, copy: Sequence[Instrument]) -> int: ...

    async def follow(self, on_changed: Callable[[], None]) -> None: ...


class SymbolsMirror:
    """All symbols. Bounded by the ids that there are."""

    def __init__(self, registry: SymbolRegistry, rows: SymbolRows, *, retry_s: float = RETRY_S) -> None:
        self._registry = registry
        self._rows = rows
        self._retry_s = retry_s
        self._written: list[SymbolRow] = []
        self._is_down = False
        self._told: set[int] = set()
        """Ids of which it was said that they are another symbol's."""
        self._changed = asyncio.Event()

    async def restore(self) -> None:
        """Give the registry back what it has lost. Raises BusError."""
        try:
            await self._registry.restore([instrument_of(row) for row in await self._rows.all()])
        except MetadataDown as error:
            log.warning("symbols.not_restored", reason=str(error))
        except IdsMoved as error:
            log.error("symbols.not_restored", reason=str(error))

    async def run(self) -> None:
        """Write what changes. Until cancelled."""
        await self._registry.follow(self._changed.set)
        while True:
            pause_s = await self._write()
            try:
                async with asyncio.timeout(pause_s):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _write(self) -> float:
        """Write what is not in SQL as it is here; return when to look again."""
        self._changed.clear()
        try:
            await self._registry.refresh()
            rows = list(rows_of(self._registry.table))
            if rows != self._written:
                await self._put(rows)
                self._written = rows
        except (BusError, MetadataDown) as error:
            if not self._is_down:
                log.warning("symbols.not_written", reason=str(error), retry_s=self._retry_s)
            self._is_down = True
            return self._retry_s
        if self._is_down:
            log.info("symbols.written_again", symbols=len(rows))
        self._is_down = False
        return LOOK_EVERY_S

    async def _put(self, rows: list[SymbolRow]) -> None:
        try:
            await self._rows.put(rows)
        except IdTaken as error:
            taken = {symbol_id for symbol_id, _, _ in error.clashes}
            if not taken <= self._told:
                log.error("symbols.contradiction", count=len(taken), reason=str(error))
                self._told |= taken
            await self._rows.put(row for row in rows if row.id not in taken)


def rows_of(symbols: Iterable[Instrument]) -> Iterator[SymbolRow]:
    """Say instruments as rows; a name that the table has no room for is left out."""
    for one in symbols:
        if max(len(one.name), len(one.native)) <= SYMBOL_LENGTH:
            yield SymbolRow(
                id=one.id,
                symbol=one.name,
                venue=one.venue,
                native=one.native,
                base=one.base,
                quote=one.quote,
                is_active=one.is_active,
                price_precision=one.price_precision,
                quantity_precision=one.quantity_precision,
                min_quantity=_exact(one.min_quantity),
                max_quantity=_exact(one.max_quantity),
                step_size=_exact(one.step_size),
                min_notional=_exact(one.min_notional),
                is_simulated=one.simulated,
            )


def instrument_of(row: SymbolRow) -> Instrument:
    """Say a row as an instrument."""
    exchange, _, symbol = row.symbol.partition(":")
    return Instrument(
        id=row.id,
        symbol=symbol,
        exchange=exchange,
        venue=row.venue,
        native=row.native,
        base=row.base,
        quote=row.quote,
        price_precision=row.price_precision,
        quantity_precision=row.quantity_precision,
        simulated=row.is_simulated,
        is_active=row.is_active,
        ended_ms=0 if row.is_active else row.updated_ms,
        min_quantity=_text(row.min_quantity),
        max_quantity=_text(row.max_quantity),
        step_size=_text(row.step_size),
        min_notional=_text(row.min_notional),
    )


def _exact(text: str) -> Decimal | None:
    return Decimal(text) if text else None


def _text(value: Decimal | None) -> str:
    """Write a decimal as exchanges do: plain, and without zeros at its end."""
    if value is None:
        return ""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
