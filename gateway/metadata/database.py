"""The metadata, as everybody else sees them.

async with open_database(url, Pool()) as database:
    user = await database.users.find("ann")

It opens whether the server answers or not, and comes back by itself: each act says MetadataDown for itself.
"""

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.metadata.engine import Pool, open_engine
from gateway.metadata.errors import MetadataDown, MetadataOld
from gateway.metadata.keys import ApiKeys
from gateway.metadata.schema import check_schema
from gateway.metadata.sessions import Sessions
from gateway.metadata.symbols import SymbolsMap
from gateway.metadata.transactions import Transactions
from gateway.metadata.urls import database_url
from gateway.metadata.users import Users
from gateway.metadata.watchlists import Watchlists

__all__ = ["Database", "MetadataDown", "MetadataOld", "Pool", "database_url", "open_database"]


class Database:
    """What is kept, a part for each table."""

    def __init__(self, engine: AsyncEngine, timeout_s: float, now_ms: Callable[[], int]) -> None:
        self._transactions = transactions = Transactions(engine, timeout_s)
        self.place: Final = transactions.place
        """Which one it is, for people."""
        self.users: Final = Users(transactions, now_ms)
        self.sessions: Final = Sessions(transactions)
        self.keys: Final = ApiKeys(transactions)
        self.watchlists: Final = Watchlists(transactions, now_ms)
        self.symbols: Final = SymbolsMap(transactions, now_ms)

    async def check(self) -> None:
        """Ask whether all is well. Raises MetadataDown, or MetadataOld for tables of another version."""
        await check_schema(self._transactions)


_DEFAULTS: Final = Pool()


def wall_clock_ms() -> int:
    """Return the time of this machine."""
    return time.time_ns() // 1_000_000


@contextlib.asynccontextmanager
async def open_database(
    url: str, pool: Pool = _DEFAULTS, now_ms: Callable[[], int] = wall_clock_ms
) -> AsyncIterator[Database]:
    """Hold the database open until the block is left. Raises BadDatabaseUrl, or MetadataDown of a file."""
    async with open_engine(url, pool) as engine:
        yield Database(engine, pool.timeout_s, now_ms)
