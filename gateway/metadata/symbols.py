"""The map of symbols: which id belongs to which symbol, for good.

The rules of this file:
- Ids come from the registry (`gateway/registry.py`); here they are kept, so that they outlive it.
- A row is inserted or updated, never deleted: what is delisted is inactive, and keeps its id and its name.
- What a row is, is its id, its name, its venue and the venue's spelling, all together. A row that has some of
  these in common with another, and not all, is a contradiction (IdTaken), and nothing is written.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.metadata.columns import as_stored
from gateway.metadata.errors import IdTaken
from gateway.metadata.tables import SYMBOLSMAP
from gateway.metadata.transactions import Transactions


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolRow:
    """A row of `symbolsmap`."""

    id: int
    symbol: str
    """The full name: `BINANCE:BTCUSDT.P`."""
    venue: str
    native: str
    """The venue's own spelling."""
    base: str = ""
    quote: str = ""
    is_active: bool = True
    """False: the venue lists it no longer."""
    price_precision: int
    """Digits after the point."""
    quantity_precision: int
    min_quantity: Decimal | None = None
    """None, as for the next three: the venue says nothing, or a number of more than 12 and 8 digits."""
    max_quantity: Decimal | None = None
    step_size: Decimal | None = None
    min_notional: Decimal | None = None
    """In the quote currency."""
    created_ms: int = 0
    """When it was first put here; `put` says it, not its caller."""
    updated_ms: int = 0
    """When something of it last changed; `put` says it."""
    is_simulated: bool = False


_C: Final = SYMBOLSMAP.c
_COLUMNS: Final = {
    "id": _C.id,
    "symbol": _C.symbol,
    "venue": _C.venue,
    "native": _C.native,
    "base": _C.base_currency,
    "quote": _C.quote_currency,
    "is_active": _C.is_active,
    "price_precision": _C.price_precision,
    "quantity_precision": _C.quantity_precision,
    "min_quantity": _C.min_quantity,
    "max_quantity": _C.max_quantity,
    "step_size": _C.step_size,
    "min_notional": _C.min_notional,
    "created_ms": _C.created_at,
    "updated_ms": _C.updated_at,
    "is_simulated": _C.is_simulated,
}
"""Field of `SymbolRow` -> its column."""
_QUERY: Final = select(*(column.label(name) for name, column in _COLUMNS.items())).order_by(_C.id)
_EXACT: Final = ("min_quantity", "max_quantity", "step_size", "min_notional")


class SymbolsMap:
    """All that is done with the table."""

    def __init__(self, transactions: Transactions, now_ms: Callable[[], int]) -> None:
        self._transactions = transactions
        self._now_ms = now_ms

    async def all(self) -> list[SymbolRow]:
        """Return every symbol that ever had an id, by id."""
        return await self._transactions.read(_rows)

    async def put(self, rows: Iterable[SymbolRow]) -> int:
        """Insert or update rows by their id; return how many were new or different. Raises IdTaken."""
        wanted = [_as_kept(row) for row in rows]

        async def work(connection: AsyncConnection) -> int:
            there = await _rows(connection)
            if clashes := find_clashes(there, wanted):
                raise IdTaken(clashes)
            new, changed = plan_put(there, wanted, self._now_ms())
            if new:
                await connection.execute(insert(SYMBOLSMAP), [_values(row) for row in new])
            if changed:
                await connection.execute(_UPDATE, [{**_values(row), "row_id": row.id} for row in changed])
            return len(new) + len(changed)

        return await self._transactions.write(work)


_UPDATE: Final = (
    update(SYMBOLSMAP)
    .where(_C.id == bindparam("row_id"))
    .values({column.name: bindparam(column.name) for column in _COLUMNS.values()})
)


def find_clashes(there: Iterable[SymbolRow], wanted: Iterable[SymbolRow]) -> list[tuple[int, str, str]]:
    """Return those of the wanted rows that contradict another: id, name, and what the other one is."""
    owners: dict[object, SymbolRow] = {}
    for row in there:
        owners.update(dict.fromkeys(_identity(row), row))
    clashes = []
    for row in wanted:
        others = [owners.setdefault(part, row) for part in _identity(row)]
        other = next((one for one in others if _identity(one) != _identity(row)), None)
        if other is not None:
            clashes.append((row.id, row.symbol, f"{other.symbol} of {other.venue} is {other.id}"))
    return clashes


def plan_put(
    there: Iterable[SymbolRow], wanted: Iterable[SymbolRow], now_ms: int
) -> tuple[list[SymbolRow], list[SymbolRow]]:
    """Return which rows to insert and which to update, with their times."""
    known = {row.id: row for row in there}
    new, changed = [], []
    for row in {row.id: row for row in wanted}.values():
        before = known.get(row.id)
        if before is None:
            new.append(replace(row, created_ms=now_ms, updated_ms=now_ms))
        elif replace(row, created_ms=before.created_ms, updated_ms=before.updated_ms) != before:
            changed.append(replace(row, created_ms=before.created_ms, updated_ms=now_ms))
    return new, changed


def _identity(row: SymbolRow) -> tuple[int, str, tuple[str, str]]:
    return row.id, row.symbol, (row.venue, row.native)


def _as_kept(row: SymbolRow) -> SymbolRow:
    """Return a row as it will be read again, so that what was rounded or left out is no change."""
    amounts = {name: getattr(row, name) for name in _EXACT}
    kept: dict[str, Any] = {
        name: None if value is None else as_stored(value) for name, value in amounts.items()
    }
    return replace(row, **kept)


def _values(row: SymbolRow) -> dict[str, Any]:
    return {column.name: getattr(row, field) for field, column in _COLUMNS.items()}


async def _rows(connection: AsyncConnection) -> list[SymbolRow]:
    return [SymbolRow(**row) for row in (await connection.execute(_QUERY)).mappings()]
