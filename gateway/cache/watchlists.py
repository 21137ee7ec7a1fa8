"""Reads the watchlists of all users, for those who carry what is on them.

    marketwatch:<session>   SET of symbols, as users write them: BTCUSDT, BINANCE:BTCUSDT.P

Whoever keeps users' watchlists writes these sets; here they are read. That Redis is down is a state and no
error: there is no answer then, and whoever asks goes on with what is known.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

import structlog

from gateway.cache.errors import CacheTrouble
from gateway.cache.keys import WATCHLISTS
from gateway.cache.redis import connect, within

TIMEOUT_S: Final = 2.0
"""For each step."""
KEYS_A_STEP: Final = 1_000
MOST_WATCHLISTS: Final = 100_000
"""What there is beyond is not read, and the log says so."""

log = structlog.get_logger()


class WatchlistReader:
    """Open with `async with`; it connects when it is asked."""

    def __init__(
        self, address: str, password: str = "", database: int = 0, timeout_s: float = TIMEOUT_S
    ) -> None:
        """`address` is `host:port`."""
        self.is_down = False
        """The last read failed."""
        self._address = address
        self._timeout_s = timeout_s
        self._redis = connect(address, password, database, pool_size=1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._redis.aclose()

    async def read(self) -> frozenset[str] | None:
        """Return every symbol that is on some watchlist; None while Redis does not answer."""
        try:
            symbols = await self._read()
        except CacheTrouble as error:
            if not self.is_down:
                log.warning("cache.watchlists_unread", reason=str(error))
            self.is_down = True
            return None
        if self.is_down:
            log.info("cache.watchlists_back", address=self._address)
        self.is_down = False
        return symbols

    async def _read(self) -> frozenset[str]:
        symbols: set[bytes] = set()
        cursor, seen = 0, 0
        while True:
            scan = self._redis.scan(cursor, match=WATCHLISTS, count=KEYS_A_STEP)
            cursor, keys = await within(self._timeout_s, self._address, scan)
            seen += len(keys)
            symbols |= await within(self._timeout_s, self._address, self._members(keys))
            if not cursor:
                break
            if seen >= MOST_WATCHLISTS:
                log.warning("cache.too_many_watchlists", address=self._address, read=seen)
                break
        return frozenset(symbol.decode(errors="replace") for symbol in symbols)

    async def _members(self, keys: Sequence[bytes | str]) -> set[bytes]:
        """Read some sets in one go. A key of that name that is no set is none of ours."""
        if not keys:
            return set()
        async with self._redis.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.smembers(key)
            answers = await pipeline.execute(raise_on_error=False)
        return {symbol for answer in answers if isinstance(answer, set) for symbol in answer}
