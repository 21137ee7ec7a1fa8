"""The one door to Redis.

    marketwatch:<session>   SET of symbols, as users write them: BTCUSDT, BINANCE:BTCUSDT.P

Whoever keeps users' watchlists writes these sets; here they are read. That Redis is down is a state and no
error: there is no answer then, and whoever asks goes on with what is known.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

WATCHLISTS: Final = "marketwatch:*"
TIMEOUT_S: Final = 2.0
"""For a connection, and for each answer."""
KEYS_A_STEP: Final = 1_000
MOST_WATCHLISTS: Final = 100_000
"""What there is beyond is not read, and the log says so."""

log = structlog.get_logger()


class WatchlistReader:
    """Reads the watchlists of all users. Open with `async with`; it connects when it is asked."""

    def __init__(
        self, address: str, password: str = "", database: int = 0, timeout_s: float = TIMEOUT_S
    ) -> None:
        """`address` is `host:port`."""
        self.is_down = False
        """The last read failed."""
        self._address = address
        place = urlsplit(f"//{address}")
        self._redis = Redis(
            host=place.hostname or "",
            port=place.port or 6379,
            db=database,
            password=password or None,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 1),  # once, over a new connection: an idle one may have been cut
        )

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
        except (RedisError, OSError) as error:
            self.is_down = True
            log.warning("cache.redis_down", address=self._address, error=str(error) or type(error).__name__)
            return None
        if self.is_down:
            log.info("cache.redis_back", address=self._address)
        self.is_down = False
        return symbols

    async def _read(self) -> frozenset[str]:
        symbols: set[bytes] = set()
        cursor, seen = 0, 0
        while True:
            cursor, keys = await self._redis.scan(cursor, match=WATCHLISTS, count=KEYS_A_STEP)
            seen += len(keys)
            symbols |= await self._members(keys)
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
