"""What a venue said, in our words, before it has a symbol id.

A dialect (`gateway/exchanges`) turns one exchange message into one of these; the price
processor turns them into the records of `events.py`. `native` is the venue's spelling.
`sent_us` is when the venue sent the message (its event time), 0 where it states none;
`traded_us` is when the trade happened.
"""

from typing import Final, NamedTuple, TypeAlias

import msgspec

from protocol.errors import BadMessage


class AggTrade(NamedTuple):
    """One taker order against one price: the lossless lane. `id` rises by 1 per symbol."""

    native: str
    id: int
    price: float
    quantity: float
    taker_sold: bool
    traded_us: int
    sent_us: int
    first_id: int
    """The first and last single trade in it; across messages they may skip, `id` may not."""
    last_id: int


class RawTrade(NamedTuple):
    """One single trade. Moves the price; the lossless lane is AggTrade."""

    native: str
    id: int
    price: float
    quantity: float
    taker_sold: bool
    traded_us: int
    sent_us: int


class BookTop(NamedTuple):
    """Best bid and ask. `update_id` rises, never by a known step."""

    native: str
    update_id: int
    bid: float
    bid_size: float
    ask: float
    ask_size: float
    sent_us: int


class DayTicker(NamedTuple):
    """The rolling 24 hours: last price and base volume."""

    native: str
    close: float
    volume: float
    sent_us: int


class Bar(NamedTuple):
    """The venue's own candle, running or final."""

    native: str
    interval: int
    """Minutes, as in `intervals.py`."""
    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    taker_buy: float
    taker_buy_quote: float
    trades: int
    first_id: int
    """First and last single trade in it; -1 where it has none, or the venue does not say."""
    last_id: int
    final: bool
    sent_us: int


class Ack(NamedTuple):
    """The venue's answer to a subscribe or unsubscribe."""

    request_id: int | str | None
    error: str | None


class Shutdown(NamedTuple):
    """The venue will close this connection soon: move now."""

    sent_us: int


MarketEvent: TypeAlias = AggTrade | RawTrade | BookTop | DayTicker | Bar
VenueMessage: TypeAlias = MarketEvent | Ack | Shutdown

_bar_decoder: Final = msgspec.json.Decoder(Bar)


def format_bar(bar: Bar) -> bytes:
    """Write a bar as JSON: an array, in the order of its fields."""
    return msgspec.json.encode(bar)


def parse_bar(text: bytes) -> Bar:
    """Read a bar. Raises BadMessage, never anything else."""
    try:
        return _bar_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadMessage(str(error)) from None
