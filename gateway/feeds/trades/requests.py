"""Answers requests for past trades by their ids, on `request.trades.<venue>.<native>`.

    {"first": 4711, "last": 4790, "whole": true}   ->   one v2 TRADE frame, in the order of ids

The rules of this file:
- What the tape has gone past is fetched from the venue, as far as its reach and weight go. What is not in
  the reply cannot be had here.
- Whoever asks for the `whole` is refused for now, instead, while what is lacking may still come: the venue
  is slow or out of reach, or this worker is new and has not heard of the symbol, or not of its newest trades.
  Without that, which is the default, the reply has what there is.
- The venue is asked for one range of a symbol at a time, and to the end, whether or not the asker has gone
  meanwhile: it asks again, others want the same, and both find it among what was fetched.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Final

import msgspec
import structlog
from msgspec import Meta

from gateway.feeds.errors import Refused, Unreachable, VenueError
from gateway.feeds.hub import TradeSource, now_us
from gateway.feeds.trades.fetched import FetchedTrades
from processors.bus import SlowEndpoint, Unavailable
from processors.messages import trade_record
from processors.price import PriceProcessor
from processors.tape import TRADES_A_REQUEST
from protocol import subjects
from protocol.events import Kind, Trade, TradeFlag
from protocol.frames import encode_v2

FETCHES_AT_ONCE: Final = 2
FETCH_TIMEOUT_S: Final = 8.0
"""The most patient asker waits for a little longer than that."""
_Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]

log = structlog.get_logger()


class TradeRequest(msgspec.Struct, frozen=True):
    """Both ends included."""

    first: _Id
    last: _Id
    whole: bool = False


class TradeRequests:
    """One worker's share of a venue: it answers for its own symbols and is silent about all others."""

    def __init__(self, processor: PriceProcessor, source: TradeSource, last_id: Callable[[str], int]) -> None:
        """`last_id` says which trade of a symbol is the newest that is known: none is fetched beyond it."""
        self._processor = processor
        self._source = source
        self._last_id = last_id
        self._natives: dict[str, str] = {}
        self._fetched = FetchedTrades()
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """By symbol. Bounded by what the venue lists."""
        self._fetching = asyncio.Semaphore(FETCHES_AT_ONCE)

    def add_symbol(self, native: str) -> None:
        """Answer for a symbol that the venue lists, whether it is carried or not."""
        self._natives[subjects.request_trades(self._processor.venue, native)] = native

    def endpoint(self) -> SlowEndpoint:
        venue, shard = self._processor.venue, self._processor.shard
        any_symbol = subjects.request_trades(venue, "x").removesuffix("x") + "*"
        return SlowEndpoint("trades", any_symbol, self.answer, asked_by_all=f"{venue}-{shard}")

    async def answer(self, subject: str, payload: bytes) -> bytes | None:
        """Return what can be had; None if the symbol is another worker's. Raises KeyError for nonsense, and
        Unavailable if the whole is wanted and may be had later."""
        native = self._natives.get(subject)
        if native is None:
            return None
        try:
            asked = msgspec.json.decode(payload, type=TradeRequest)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise KeyError(f"not a request for trades: {error}") from None
        newest = self._last_id(native)
        if asked.whole and asked.last > newest:
            raise Unavailable(f"the newest trade of {native} that is known here is {newest}")
        if not self._processor.has_symbol(native):
            return encode_v2([], now_us(), Kind.TRADE)
        first, last = asked.first, min(asked.last, asked.first + TRADES_A_REQUEST - 1, newest)
        trades = {trade.id: trade for trade in self._processor.tape(native).between(first, last)}
        if len(trades) < last - first + 1:
            absent = [one for one in range(first, last + 1) if one not in trades]
            trades |= await self._fetch(native, absent, whole=asked.whole)
        return encode_v2([trades[one] for one in sorted(trades)], now_us(), Kind.TRADE)

    async def _fetch(self, native: str, ids: list[int], *, whole: bool) -> dict[int, Trade]:
        """Return those of some ids that the venue has."""
        symbol_id, found = self._processor.symbol_id(native), dict[int, Trade]()
        try:
            async with asyncio.timeout(FETCH_TIMEOUT_S), self._turns[native]:
                found |= self._fetched.of(native, now_us())
                async with self._fetching:
                    await self._ask(native, symbol_id, [one for one in ids if one not in found], found)
        except (VenueError, TimeoutError) as error:
            reason = str(error) or "the venue does not answer in time"
            lacking = sum(one not in found for one in ids)
            log.warning("feed.trades_not_fetched", native=native, missing=lacking, error=reason)
            if whole and may_pass(error):
                raise Unavailable(reason) from error
        return {one: found[one] for one in ids if one in found}

    async def _ask(self, native: str, symbol_id: int, ids: list[int], found: dict[int, Trade]) -> None:
        """Ask the venue, page by page."""
        next_id = ids[0] if ids else None
        while next_id is not None:
            rows = await self._source.agg_trades(native, next_id, ids[-1] - next_id + 1)
            trades = [trade_record(symbol_id, row, TradeFlag.RECOVERED) for row in rows]
            self._fetched.keep(native, trades, now_us())
            found |= {trade.id: trade for trade in trades}
            last_id = trades[-1].id if trades else ids[-1]
            next_id = next((one for one in ids if one > last_id), None)


def may_pass(error: VenueError | TimeoutError) -> bool:
    """Say whether the venue may answer the same question later, and soon."""
    if isinstance(error, Refused):
        return error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(error, Unreachable | TimeoutError)
