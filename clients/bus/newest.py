"""Lanes of which the newest value counts: prices, quotes, Enigma levels."""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing

from nats.aio.msg import Msg

from clients.bus.inbox import Inbox
from clients.bus.link import Link, now_us
from clients.updates import Item, from_v2
from protocol.errors import UnknownKind
from protocol.events import Kind
from protocol.frames import decode_v2


async def newest(
    link: Link, names: Iterable[str], subject: Callable[[str, str], str], kind: Kind
) -> AsyncGenerator[Item, None]:
    """Yield the values of one kind, and what happens between them."""

    def take(message: Msg, inbox: Inbox) -> None:
        frame = decode_v2(message.data)
        if frame.kind is not kind:
            raise UnknownKind(frame.kind)
        for row in frame.rows():
            inbox.backlog.put(from_v2(row, link.entry(row.symbol_id), frame.time_us, now_us()))

    instruments = await link.listing.find(names)
    places = [subject(one.venue, one.native) for one in instruments]
    async with aclosing(link.heard(instruments, places, take)) as items:
        async for item in items:
            yield item
