"""What a price processor knows of one symbol, and what of it has not been sent yet.

`volume` is the 24 h volume as the venue last stated it, plus the trades later than that statement. It goes
out as a decimal number of as many digits as the symbol's quantities have.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from processors.tape import TradeTape
from protocol.events import Kind, PriceFlag
from protocol.frames import LAYOUTS, MAX_UNITS
from protocol.market import AggTrade, BookTop

MOST_CHANGES: Final = 255
"""A record can say no more: so many, or more."""
_I32_MAX: Final = 2**31 - 1
_PRICE: Final = LAYOUTS[Kind.PRICE].struct
_QUOTE: Final = LAYOUTS[Kind.QUOTE].struct


@dataclass(slots=True)
class SymbolState:
    """One symbol."""

    id: int
    native: str
    tape: TradeTape
    units: float = 1e8
    """How many steps of its quantities are 1."""
    price: float = 0.0
    price_sent_us: int = 0
    """When the venue last stated price or volume; if it did not say, when we received it."""
    price_flags: int = 0
    price_changes: int = 0
    stated_volume: float = 0.0
    stated_us: int = 0
    traded_since: float = 0.0
    priced_id: int = 0
    """The newest trade whose price was shown."""
    last_raw_id: int = 0
    bid: float = 0.0
    bid_size: float = 0.0
    ask: float = 0.0
    ask_size: float = 0.0
    quote_sent_us: int = 0
    quote_flags: int = 0
    quote_changes: int = 0

    @property
    def volume(self) -> float:
        """The 24 h volume by now, on the step of its quantities: a sum of floats is beside it."""
        volume = self.stated_volume + self.traded_since
        units = volume * self.units
        return round(units) / self.units if units < MAX_UNITS else volume

    def take_price(self, price: float, sent_us: int, received_us: int) -> None:
        self.price = price
        self.price_sent_us = sent_us or received_us
        self.price_flags = 0 if sent_us else PriceFlag.RECEIPT_TIME
        self.price_changes += 1

    def take_book(self, book: BookTop, received_us: int) -> None:
        self.bid, self.bid_size = book.bid, book.bid_size
        self.ask, self.ask_size = book.ask, book.ask_size
        self.quote_sent_us = book.sent_us or received_us
        self.quote_flags = 0 if book.sent_us else PriceFlag.RECEIPT_TIME
        self.quote_changes += 1

    def add_volume(self, trades: Sequence[AggTrade]) -> None:
        """Add what was traded after the venue last stated the volume."""
        since, stated_us = self.traded_since, self.stated_us
        for trade in trades:
            if trade.traded_us > stated_us:
                since += trade.quantity
        self.traded_since = since

    def take_price_record(self, now_us: int) -> bytes:
        """Pack the PRICE record that is to be sent; it stands for all changes since the last one."""
        changes, self.price_changes = self.price_changes, 0
        return self.price_record(now_us, changes)

    def take_quote_record(self, now_us: int) -> bytes:
        """Pack the QUOTE record that is to be sent; it stands for all changes since the last one."""
        changes, self.quote_changes = self.quote_changes, 0
        return self.quote_record(now_us, changes)

    def price_record(self, now_us: int, changes: int = 1) -> bytes:
        flags = self.price_flags | min(changes, MOST_CHANGES) << 8
        return _PRICE.pack(self.id, flags, _saturated(now_us - self.price_sent_us), self.price, self.volume)

    def quote_record(self, now_us: int, changes: int = 1) -> bytes:
        flags = self.quote_flags | min(changes, MOST_CHANGES) << 8
        delay_us = _saturated(now_us - self.quote_sent_us)
        return _QUOTE.pack(self.id, flags, delay_us, self.bid, self.bid_size, self.ask, self.ask_size)


def _saturated(delay_us: int) -> int:
    return max(-_I32_MAX - 1, min(_I32_MAX, delay_us))
