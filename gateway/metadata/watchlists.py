"""Market watches: the symbols that a user has on their list, in the order that they gave them."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.metadata.errors import DoesNotFit, OtherSymbols, UnknownUser, WatchlistFull
from gateway.metadata.tables import MARKET_WATCH, SYMBOL_LENGTH, USERS
from gateway.metadata.transactions import Transactions

_C: Final = MARKET_WATCH.c


class Watchlists:
    """All that is done with the table. Two that change one list at once come one after the other."""

    def __init__(self, transactions: Transactions, now_ms: Callable[[], int]) -> None:
        self._transactions = transactions
        self._now_ms = now_ms

    async def of(self, user_id: int) -> list[str]:
        """Return the symbols of a user in their order."""
        return await self._transactions.read(lambda connection: _symbols(connection, user_id))

    async def add(self, user_id: int, symbol: str, most: int) -> bool:
        """Put a symbol at the end. False: it was there. Raises WatchlistFull, UnknownUser, DoesNotFit."""
        if len(symbol) > SYMBOL_LENGTH:
            raise DoesNotFit("the symbol", f"is too long: {SYMBOL_LENGTH} characters at most")

        async def work(connection: AsyncConnection) -> bool:
            await _lock(connection, user_id)
            there = await _symbols(connection, user_id)
            if symbol in there:
                return False
            if len(there) >= most:
                raise WatchlistFull(most)
            row = {
                "user_id": user_id,
                "symbol": symbol,
                "display_order": await _next_place(connection, user_id),
                "created_at": self._now_ms(),
            }
            await connection.execute(insert(MARKET_WATCH).values(row))
            return True

        return await self._transactions.write(work)

    async def remove(self, user_id: int, symbol: str) -> bool:
        """Take a symbol off the list. False: it was not there."""
        entry = (_C.user_id == user_id) & (_C.symbol == symbol)
        return bool(await self._transactions.change(delete(MARKET_WATCH).where(entry)))

    async def order(self, user_id: int, symbols: Sequence[str]) -> None:
        """Give the whole list a new order. Raises OtherSymbols if these are not just those that are on it."""

        async def work(connection: AsyncConnection) -> None:
            await _lock(connection, user_id)
            _compare(await _symbols(connection, user_id), symbols)
            places = [{"name": symbol, "place": place} for place, symbol in enumerate(symbols)]
            if places:
                entry = (_C.user_id == user_id) & (_C.symbol == bindparam("name"))
                move = update(MARKET_WATCH).where(entry).values(display_order=bindparam("place"))
                await connection.execute(move, places)

        await self._transactions.write(work)


async def _lock(connection: AsyncConnection, user_id: int) -> None:
    """Let nobody else change this user's list before we are done. SQLite's writers are alone anyway."""
    row = await connection.execute(select(USERS.c.id).where(USERS.c.id == user_id).with_for_update())
    if row.first() is None:
        raise UnknownUser(user_id)


async def _symbols(connection: AsyncConnection, user_id: int) -> list[str]:
    query = select(_C.symbol).where(_C.user_id == user_id).order_by(_C.display_order, _C.id)
    return list((await connection.execute(query)).scalars())


async def _next_place(connection: AsyncConnection, user_id: int) -> int:
    last = await connection.scalar(select(func.max(_C.display_order)).where(_C.user_id == user_id))
    return 0 if last is None else last + 1


def _compare(there: Sequence[str], wanted: Sequence[str]) -> None:
    missing, unknown = Counter(there) - Counter(wanted), Counter(wanted) - Counter(there)
    if missing or unknown:
        raise OtherSymbols(sorted(missing), sorted(unknown))
