"""What every lane of a service works with: one connection, the symbols, the demand, the figures."""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from nats.aio.msg import Msg

from clients.bus.connection import Bus
from clients.bus.inbox import Inbox
from clients.bus.listing import Listing
from clients.bus.wanted import Wanted
from clients.stats import ServicesStats
from clients.updates import Connected, Item
from protocol.control import SymbolEntry
from protocol.errors import UnknownSymbolId
from protocol.symbols import Instrument


@dataclass(frozen=True, slots=True)
class Link:
    bus: Bus
    listing: Listing
    wanted: Wanted
    stats: ServicesStats

    def entry(self, symbol_id: int) -> SymbolEntry:
        """Say what is known of a symbol. Raises UnknownSymbolId."""
        entry = self.listing.entry(symbol_id)
        if entry is None:
            raise UnknownSymbolId(symbol_id)
        return entry

    async def heard(
        self,
        instruments: Sequence[Instrument],
        subjects: Sequence[str],
        take: Callable[[Msg, Inbox], None],
    ) -> AsyncGenerator[Item, None]:
        """Watch some symbols and hear some subjects: yield what `take` puts into the inbox."""
        inbox = Inbox(self.bus, self.stats)
        with self.wanted.watching(instruments), inbox.told():
            heard = self.bus.subscribed(
                subjects, lambda message: inbox.on_message(message, take), inbox.on_dropped
            )
            async with heard, aclosing(inbox.items()) as items:
                inbox.tell(Connected(self.bus.url, 0))
                async for item in items:
                    yield item


def now_us() -> int:
    return time.time_ns() // 1_000
