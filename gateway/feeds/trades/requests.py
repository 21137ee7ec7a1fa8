"""Answers requests for past trades by their ids, on `request.trades.<venue>.<native>`.

    {"first": 4711, "last": 4790}   ->   one v2 TRADE frame, in the order of ids

What the tape has gone past is fetched from the venue, as far as its reach and weight go. What is not
in the reply cannot be had here, or not before the asker has gone: it may ask again for the rest. Of a
symbol that is not carried now, nothing can.
"""

import asyncio
from collections.abc import Callable
from typing import Annotated, Final

import msgspec
import structlog
from msgspec import Meta

from gateway.feeds.errors import VenueError
from gateway.feeds.hub import TradeSource, now_us
from processors.bus import SlowEndpoint
from processors.price import PriceProcessor, trade_record
from processors.tape import TRADES_A_REQUEST
from protocol import subjects
from protocol.events import Kind, Trade, TradeFlag
from protocol.frames import encode_v2

FETCHES_AT_ONCE: Final = 2
FETCH_TIMEOUT_S: Final = 1.5
"""Whoever asks waits for a little longer than that."""
_Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]

log = structlog.get_logger()


class TradeRequest(msgspec.Struct, frozen=True):
    """Both ends included."""

    first: _Id
    last: _Id


class TradeRequests:
    """One worker's share of a venue: it answers for its own symbols and is silent about all others."""

    def __init__(self, processor: PriceProcessor, source: TradeSource, last_id: Callable[[str], int]) -> None:
        """`last_id` says which trade of a symbol is the newest that is known: none is fetched beyond it."""
        self._processor = processor
        self._source = source
        self._last_id = last_id
        self._natives: dict[str, str] = {}
        self._fetching = asyncio.Semaphore(FETCHES_AT_ONCE)

    def add_symbol(self, native: str) -> None:
        """Answer for a symbol that the venue lists, whether it is carried or not."""
        self._natives[subjects.request_trades(self._processor.venue, native)] = native

    def endpoint(self) -> SlowEndpoint:
        venue, shard = self._processor.venue, self._processor.shard
        any_symbol = subjects.request_trades(venue, "x").removesuffix("x") + "*"
        return SlowEndpoint("trades", any_symbol, self.answer, asked_by_all=f"{venue}-{shard}")

    async def answer(self, subject: str, payload: bytes) -> bytes | None:
        """Return what can be had; None if the symbol is another worker's. Raises KeyError for nonsense."""
        native = self._natives.get(subject)
        if native is None:
            return None
        try:
            asked = msgspec.json.decode(payload, type=TradeRequest)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise KeyError(f"not a request for trades: {error}") from None
        if not self._processor.has_symbol(native):
            return encode_v2([], now_us(), Kind.TRADE)
        tape = self._processor.tape(native)
        first, last = asked.first, min(asked.last, asked.first + TRADES_A_REQUEST - 1, self._last_id(native))
        trades = {trade.id: trade for trade in tape.between(first, last)}
        if len(trades) < last - first + 1:
            fetched = await self._fetch(native, [one for one in range(first, last + 1) if one not in trades])
            trades = {trade.id: trade for trade in fetched} | trades
        return encode_v2([trades[one] for one in sorted(trades)], now_us(), Kind.TRADE)

    async def _fetch(self, native: str, ids: list[int]) -> list[Trade]:
        """Fetch these ids, page by page, for as long as somebody may still be waiting."""
        symbol_id, wanted, next_id = self._processor.symbol_id(native), set(ids), ids[0]
        found: list[Trade] = []
        try:
            async with asyncio.timeout(FETCH_TIMEOUT_S), self._fetching:
                while next_id <= ids[-1]:
                    rows = await self._source.agg_trades(native, next_id, ids[-1] - next_id + 1)
                    found += [
                        trade_record(symbol_id, row, TradeFlag.RECOVERED) for row in rows if row.id in wanted
                    ]
                    if not rows:
                        break
                    next_id = min((one for one in ids if one > rows[-1].id), default=ids[-1] + 1)
        except (VenueError, TimeoutError) as error:
            log.warning(
                "feed.trades_not_fetched", native=native, missing=len(ids) - len(found), error=str(error)
            )
        return found
