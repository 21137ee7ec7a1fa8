"""A venue's REST, as far as prices need it: what is listed, the rolling day, past trades, bars, the
clock.

    async with Rest(venue) as rest:
        instruments = await rest.exchange_info()

Stays within the venue's weight a minute, which all processes of one address share: the venue's own
count, in the header of every answer, is taken over. Told to wait, it waits, and while a ban lasts
it does not even ask, because asking prolongs it. After a refusal one asks at a time until an answer
shows that it is over: venues ban whoever goes on. Raises VenueError, never anything else.
"""

import asyncio
import random
import time
from collections.abc import Callable, Collection
from typing import Final, Self, TypeVar

import httpx

from gateway.exchanges.calls import Call
from gateway.exchanges.errors import BadPayload
from gateway.exchanges.venue import Venue
from gateway.feeds.backoff import Backoff
from gateway.feeds.budget import Budget
from gateway.feeds.errors import Refused, Unreachable, UnusableAnswer, VenueError, explain
from gateway.feeds.tls import trusted
from protocol.market import AggTrade, Bar, DayTicker
from protocol.symbols import Instrument

__all__ = ["Rest", "VenueError"]

TIMEOUT_S: Final = 10.0
ATTEMPTS: Final = 4
LONGEST_WAIT_S: Final = 60.0
"""Told to wait for longer, a call fails instead."""
LONG_BYTES: Final = 256 * 1024
"""What is longer is parsed in a thread: all that spot lists is 2 MB, 45 ms, and trades go on meanwhile."""
Answer = TypeVar("Answer")
_TOO_MUCH: Final = (418, 429)
_DEFAULT_RETRY_S: Final = {418: 120.0, 429: 10.0}


class Rest:
    def __init__(
        self,
        venue: Venue,
        *,
        timeout_s: float = TIMEOUT_S,
        first_backoff_ms: int = 500,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._venue = venue
        self._client = httpx.AsyncClient(
            base_url=venue.rest_endpoint,
            timeout=timeout_s,
            verify=trusted(),
            headers=dict(venue.rest.headers),
        )
        self._first_backoff_ms = first_backoff_ms
        self._jitter = jitter
        self._weight = Budget(venue.limits.weight_per_min, 60_000)
        self._refusal: Refused | None = None
        self._refused_until_ms = 0
        self._one_at_a_time = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._client.aclose()

    @property
    def has_spare(self) -> bool:
        """Less than half of the weight of a minute is used, by us and by others of this address."""
        return not self._weight.wait_ms(_now_ms(), self._weight.limit // 2)

    @property
    def longest_klines_ms(self) -> int:
        """The longest time that bars can be asked for at once; 0 is without end."""
        return self._venue.rest.longest_klines_s * 1_000

    async def exchange_info(self) -> list[Instrument]:
        """Return everything that is listed; what cannot be traded now is not active."""
        return await self._ask(self._venue.rest.exchange_info_call(), self._venue.rest.parse_instruments)

    async def day_tickers(self, natives: Collection[str]) -> list[DayTicker]:
        """Return the rolling day of those symbols that have traded in it."""
        wanted = frozenset(natives)
        call = self._venue.rest.day_tickers_call(wanted)
        tickers = await self._ask(call, self._venue.rest.parse_day_tickers)
        return [ticker for ticker in tickers if ticker.native in wanted]

    async def agg_trades(self, native: str, from_id: int | None, limit: int) -> list[AggTrade]:
        """Return trades from an id on, in order; without one the newest. 1,000 at most."""
        call = self._venue.rest.agg_trades_call(native, from_id, limit)
        return await self._ask(call, lambda data: self._venue.rest.parse_agg_trades(native, data))

    async def klines(self, native: str, interval: int, from_ms: int, to_ms: int, limit: int) -> list[Bar]:
        """Return the first `limit` of the bars that open in [from_ms, to_ms), the running one included."""
        call = self._venue.rest.klines_call(native, interval, from_ms, to_ms, limit)
        asked_ms = time.time_ns() // 1_000_000  # what closes while we ask may lack its last trades
        return await self._ask(
            call, lambda data: self._venue.rest.parse_klines(native, interval, data, asked_ms)
        )

    async def server_time(self) -> int:
        """Return the venue's clock, in ms since 1970."""
        return await self._ask(self._venue.rest.server_time_call(), self._venue.rest.parse_server_time)

    async def _ask(self, call: Call, parse: Callable[[bytes], Answer]) -> Answer:
        backoff = Backoff(self._first_backoff_ms)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = await self._get(call)
                return await asyncio.to_thread(parse, answer) if len(answer) > LONG_BYTES else parse(answer)
            except BadPayload as error:
                raise UnusableAnswer(self._url(call), error.reason) from error
            except (Unreachable, Refused) as error:
                if attempt == ATTEMPTS or not self._may_pass(error):
                    raise
            await asyncio.sleep(backoff.next_delay_ms(self._jitter()) / 1_000)
        raise AssertionError("the last attempt returns or raises")

    async def _get(self, call: Call) -> bytes:
        if self._refusal is None:
            return await self._send(call)
        async with self._one_at_a_time:
            return await self._send(call)

    async def _send(self, call: Call) -> bytes:
        await self._allowed(call)
        try:
            answer = await self._client.get(call.path, params=call.params)
        except httpx.RequestError as error:
            raise Unreachable(self._url(call), explain(error)) from error
        self._learn_weight(answer)
        if answer.is_success:
            if not self._refused_s():
                self._refusal = None
            return answer.content
        refusal = Refused(self._url(call), answer.status_code, self._venue.rest.parse_error(answer.content))
        if answer.status_code in _TOO_MUCH:
            self._refusal = refusal
            self._refused_until_ms = _now_ms() + round(_retry_after_s(answer) * 1_000)
        raise refusal

    async def _allowed(self, call: Call) -> None:
        """Wait until the venue lets us ask. Raises its last refusal where that is too long."""
        await self._until_not_refused()
        await asyncio.sleep(self._weight.book(_now_ms(), call.weight) / 1_000)
        await self._until_not_refused()  # another may have been refused while this one waited

    async def _until_not_refused(self) -> None:
        while wait_s := self._refused_s():
            if self._refusal is not None and wait_s > LONGEST_WAIT_S:
                raise self._refusal
            await asyncio.sleep(wait_s)

    def _refused_s(self) -> float:
        return max(self._refused_until_ms - _now_ms(), 0) / 1_000

    def _may_pass(self, error: Unreachable | Refused) -> bool:
        """Say whether the same request may fare better in a moment."""
        if isinstance(error, Refused) and error.status in _TOO_MUCH:
            return self._refused_s() <= LONGEST_WAIT_S
        return isinstance(error, Unreachable) or error.status >= 500

    def _learn_weight(self, answer: httpx.Response) -> None:
        used = answer.headers.get("x-mbx-used-weight-1m", "")
        if used.isascii() and used.isdecimal():
            self._weight.learn(_now_ms(), int(used))

    def _url(self, call: Call) -> str:
        return f"{self._venue.rest_endpoint}{call.path}"


def _retry_after_s(answer: httpx.Response) -> float:
    """Read the seconds to wait; Binance never sends the header's other form, a date."""
    stated = answer.headers.get("retry-after", "")
    if stated.isascii() and stated.isdecimal():
        return float(stated)
    return _DEFAULT_RETRY_S[answer.status_code]


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
