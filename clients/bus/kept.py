"""What JetStream keeps, as records: final candles, and the gap ledger.

A candle's version is a time of the recorder's clock; JetStream is asked by the time at which the NATS server
stored it. So what is wanted from a version on is read from `MARGIN_MS` before it, and what is not newer left
out.
"""

import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Final, NamedTuple

from clients.bus.link import Link, now_us
from clients.bus.reader import Place, Stored
from clients.bus.stored import stored
from clients.updates import Forgotten, StreamCandle, from_candle
from protocol import subjects
from protocol.errors import ProtocolError, UnknownKind
from protocol.events import Kind
from protocol.frames import decode_v2
from protocol.ledger import LedgerEntry, parse_entry

MARGIN_MS: Final = 60_000

log = logging.getLogger(__name__)


class KeptGap(NamedTuple):
    """One entry of the gap ledger. Of those with the same `entry.id` the newest holds."""

    sequence: int
    """Where it is kept on the bus: what a service goes on after."""
    entry: LedgerEntry


async def candles(
    link: Link, names: Iterable[str], intervals: Iterable[str], after: int | None, since_us: int | None
) -> AsyncGenerator[StreamCandle | Forgotten, None]:
    """Yield final and corrected bars from a place on, in the order in which they became so."""
    instruments = await link.listing.find(names)
    lengths = list(dict.fromkeys(intervals))
    places = [subjects.candles(one.venue, one.native, length) for one in instruments for length in lengths]
    begin = Place(after, None if since_us is None else since_us // 1_000 - MARGIN_MS)
    with link.wanted.watching(instruments):
        async with aclosing(stored(link.bus, places, begin)) as messages:
            async for one in messages:
                if isinstance(one, Forgotten):
                    yield one
                    continue
                for candle in _candles(link, one):
                    if since_us is None or candle.version_us > since_us:
                        yield candle


def _candles(link: Link, one: Stored) -> list[StreamCandle]:
    link.stats.messages += 1
    link.stats.bytes += len(one.payload)
    try:
        frame = decode_v2(one.payload)
        if frame.kind is not Kind.CANDLE:
            raise UnknownKind(frame.kind)
        return [
            from_candle(row, link.entry(row.symbol_id), frame.time_us, now_us(), one.sequence)
            for row in frame.rows()
        ]
    except ProtocolError as error:
        link.stats.bad_messages += 1
        log.warning("%s at %d: %s", one.subject, one.sequence, error)
        return []


async def gaps(
    link: Link, names: Iterable[str], after: int | None, since_us: int | None
) -> AsyncGenerator[KeptGap | Forgotten, None]:
    """Yield entries of the gap ledger from a place on: of some symbols or, without names, all there are."""
    instruments = await link.listing.find(names)
    places = [subjects.gaps(one.venue, one.native) for one in instruments] or [subjects.ALL_GAPS]
    begin = Place(after, None if since_us is None else since_us // 1_000)
    async with aclosing(stored(link.bus, places, begin)) as messages:
        async for one in messages:
            if isinstance(one, Forgotten):
                yield one
                continue
            link.stats.messages += 1
            try:
                yield KeptGap(one.sequence, parse_entry(one.payload))
            except ProtocolError as error:
                link.stats.bad_messages += 1
                log.warning("%s at %d: %s", one.subject, one.sequence, error)
