"""The trades of some symbols: every one once, in the order of the venue's ids.

The rules of this file:
- Ids rise by 1. What a jump leaves out was lost by the bus or by this program, and the feed worker that owns
  the symbol is asked for it: for the last `MOST_ASKED`, in parts, and a moment later again for what an answer
  lacked. Meanwhile newer trades wait in the inbox.
- What cannot be had is a `StreamGap` in its place: open, for it may come yet, flagged recovered.
- What the gap ledger says of a symbol is a `StreamGap` too, where it comes, and is not asked for. Gaps
  between workers and gateways are none of ours.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import Final, TypeAlias

import msgspec
from nats.aio.msg import Msg

from clients.bus.errors import ServicesError
from clients.bus.inbox import Inbox
from clients.bus.link import Link, now_us
from clients.continuity import TradeIds
from clients.updates import Item, StreamGap, StreamTrade, from_gap, from_trade
from protocol import subjects
from protocol.errors import ProtocolError, UnknownKind
from protocol.events import Gap, GapCause, GapState, Kind
from protocol.frames import decode_v2
from protocol.ledger import LedgerEntry, parse_entry
from protocol.symbols import Instrument, full_name

STREAM: Final = "aggTrade"
A_REQUEST: Final = 5_000
MOST_ASKED: Final = 50_000
LOOKS_S: Final = (0.0, 0.5, 1.5)
"""When the worker is asked: it may just be fetching what its first answer lacks."""
ANSWER_TIMEOUT_S: Final = 2.5
"""A worker gives the venue 1.5 s."""

log = logging.getLogger(__name__)

Lossless: TypeAlias = StreamTrade | StreamGap


class TradeLane:
    """The trades of some symbols."""

    def __init__(self, link: Link, since: Mapping[str, int]) -> None:
        """`since` holds, by name, the last trade that is known from another time."""
        self._link = link
        self._since = {full_name(name): last_id for name, last_id in since.items()}
        self._ids: dict[int, TradeIds] = {}
        """By symbol id."""

    async def items(self, names: Iterable[str]) -> AsyncGenerator[Item, None]:
        """Yield the trades, the gaps, and what happens between them."""
        instruments = await self._link.listing.find(names)
        for one in instruments:
            self._ids[one.id] = TradeIds(self._since.get(full_name(one.name), 0))
        places = [subjects.trades(one.venue, one.native) for one in instruments]
        ledger = [subjects.gaps(one.venue, one.native) for one in instruments]
        async with aclosing(self._link.heard(instruments, places + ledger, self._take)) as items:
            async for item in items:
                if isinstance(item, StreamTrade):
                    async for found in self._on_trade(item):
                        yield found
                elif isinstance(item, StreamGap):
                    self._ids[item.entry.id].on_gap(_record(item))
                    yield item
                else:
                    yield item

    def _take(self, message: Msg, inbox: Inbox) -> None:
        if message.subject.startswith("gaps."):
            gap = self._gap(parse_entry(message.data))
            if gap is not None:
                inbox.backlog.put_trade(gap)
            return
        for trade in self._trades(message.data):
            inbox.backlog.put_trade(trade)

    def _trades(self, payload: bytes) -> list[StreamTrade]:
        """Read a frame of trades. Raises ProtocolError."""
        frame = decode_v2(payload)
        if frame.kind is not Kind.TRADE:
            raise UnknownKind(frame.kind)
        return [
            from_trade(row, self._link.entry(row.symbol_id), frame.time_us, now_us()) for row in frame.rows()
        ]

    def _gap(self, entry: LedgerEntry) -> StreamGap | None:
        """Say what an entry of the ledger means to whoever reads the trades."""
        begins_anew = entry.state is GapState.LOST and not entry.last_id
        says_missing = entry.state is not GapState.FILLED and entry.missing > 0 and entry.last_id > 0
        if entry.stream != STREAM or entry.cause is GapCause.BUS or not (begins_anew or says_missing):
            return None
        numbers = (entry.first_id, entry.last_id, entry.first_us, entry.last_us)
        gap = Gap(entry.symbol_id, entry.state, entry.cause, *numbers)
        return from_gap(gap, self._link.entry(entry.symbol_id))

    # In the order of ids

    async def _on_trade(self, trade: StreamTrade) -> AsyncGenerator[Lossless, None]:
        is_new, missing = self._ids[trade.entry.id].on_trade(trade.id)
        for first_id, last_id in missing:
            async for one in self._recovered(trade, first_id, last_id):
                yield one
        if is_new:
            yield trade

    async def _recovered(
        self, trade: StreamTrade, first_id: int, last_id: int
    ) -> AsyncGenerator[Lossless, None]:
        """Yield what is missing before a trade, or where it should stand a gap."""
        next_id = first_id
        for start in range(max(first_id, last_id - MOST_ASKED + 1), last_id + 1, A_REQUEST):
            for one in await self._ask(trade, start, min(start + A_REQUEST - 1, last_id)):
                if one.id > next_id:
                    yield self._missing(trade, next_id, one.id - 1)
                next_id = one.id + 1
                if self._ids[trade.entry.id].on_trade(one.id)[0]:
                    self._link.stats.recovered_trades += 1
                    yield one
        if next_id <= last_id:
            yield self._missing(trade, next_id, last_id)

    def _missing(self, trade: StreamTrade, first_id: int, last_id: int) -> StreamGap:
        self._link.stats.missing_trades += last_id - first_id + 1
        gap = Gap(trade.entry.id, GapState.OPEN, 0, first_id, last_id, 0, trade.exchange_us)
        return from_gap(gap, trade.entry, explained=False)

    async def _ask(self, trade: StreamTrade, first_id: int, last_id: int) -> list[StreamTrade]:
        """Return what the worker has of a range, in the order of ids."""
        best: dict[int, StreamTrade] = {}
        for wait_s in LOOKS_S:
            await asyncio.sleep(wait_s)
            try:
                found = await self._fetch(trade.entry.id, first_id, last_id)
            except (ServicesError, ProtocolError) as error:
                log.info("%s: %s", trade.symbol, error)
                continue
            best |= {one.id: one for one in found if one.entry.id == trade.entry.id}
            if len(best) == last_id - first_id + 1:
                break
        return [best[one] for one in sorted(best) if first_id <= one <= last_id]

    async def _fetch(self, symbol_id: int, first_id: int, last_id: int) -> list[StreamTrade]:
        instrument = self._link.listing.table.by_id(symbol_id)
        assert instrument is not None  # the lane was opened with it
        question = msgspec.json.encode({"first": first_id, "last": last_id})
        payload = await self._link.bus.request(_asked_at(instrument), question, ANSWER_TIMEOUT_S)
        return [one._replace(recovered=True) for one in self._trades(payload)]


def _asked_at(instrument: Instrument) -> str:
    return subjects.request_trades(instrument.venue, instrument.native)


def _record(gap: StreamGap) -> Gap:
    numbers = (gap.first_id, gap.last_id, gap.first_us, gap.last_us)
    return Gap(gap.entry.id, gap.state, gap.cause, *numbers)
