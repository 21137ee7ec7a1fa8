"""What values say: JSON, for whoever reads Redis.

    price:{symbol}                     {"price", "bid", "ask", "volume", "timestamp"}
    enigma:{symbol}                    {"level", "atl", "ath", "current_price", "fib_levels", …}
    cache:bars:{symbol}:{resolution}   {"as_of_us", "from_beginning", "bars": [{"time", "open", …}]}

What a simulated venue has traded says so: `"simulated": true`.
"""

from typing import Final, TypeVar

import msgspec


class CachedPrice(msgspec.Struct, frozen=True, omit_defaults=True):
    """The newest price of a symbol."""

    price: float
    bid: float | None
    """None: no quote has been heard."""
    ask: float | None
    volume: float
    """The rolling 24 hours', in the base currency."""
    timestamp: int
    """When the venue sent it, in ms."""
    simulated: bool = False


class CachedLevel(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a price stands between its extremes, as the recorder says it."""

    level: float
    """0 at the all-time low, 100 at the all-time high."""
    atl: float
    ath: float
    current_price: float
    fib_levels: dict[str, float]
    """Prices at 0, 23.6 … 100 percent, up from the low."""
    price_us: int
    atl_ms: int
    ath_ms: int
    atl_source: str
    ath_source: str
    simulated: bool = False


class CachedBar(msgspec.Struct, frozen=True):
    time: int
    """When it opened, in seconds."""
    open: float
    high: float
    low: float
    close: float
    volume: float


class CachedBars(msgspec.Struct, frozen=True, omit_defaults=True):
    """The newest bars of a series, oldest first, one behind the other; the last one may be running."""

    as_of_us: int
    """They hold every change up to this version."""
    from_beginning: bool
    """There is nothing before the first of them."""
    bars: list[CachedBar]
    simulated: bool = False


Value = TypeVar("Value", CachedPrice, CachedLevel, CachedBars)
encode_value: Final = msgspec.json.Encoder().encode


def decode_value(payload: bytes, kind: type[Value]) -> Value | None:
    """Read a value; None if it is none of ours."""
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.DecodeError, UnicodeError):
        return None
