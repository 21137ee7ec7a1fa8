"""Every key, in one place.

    price:{symbol}                     JSON, `values.CachedPrice`
    enigma:{symbol}                    JSON {level, ath, atl, current_price, fib_levels, …}
    cache:bars:{symbol}:{resolution}   JSON, `values.CachedBars`
    session:{token_hash}               JSON
    marketwatch:{session_id}           SET of symbols, as users write them
    limit:{what}:{who}                 what somebody has used up of a limit
    prices                             the stream of prices

{symbol} is `BTCUSDT` on the default exchange, else the full name. A perpetual ends in `.P`.
"""

from hashlib import sha256
from typing import Final

from protocol.intervals import format_interval
from protocol.symbols import DEFAULT_EXCHANGE, Instrument

PRICES: Final = "prices"
WATCHLISTS: Final = "marketwatch:*"
"""A pattern: all of them."""
PROBE: Final = "tickgate:probe"
"""Written to see whether Redis takes anything."""
LONGEST_WHO: Final = 80
"""Whoever asks may choose who they say they are: what is longer stands there as its digest."""


def symbol_of(instrument: Instrument) -> str:
    """Name an instrument as keys do."""
    return instrument.symbol if instrument.exchange == DEFAULT_EXCHANGE else instrument.name


def price(instrument: Instrument) -> str:
    return f"price:{symbol_of(instrument)}"


def enigma(instrument: Instrument) -> str:
    return f"enigma:{symbol_of(instrument)}"


def bars(instrument: Instrument, interval: int) -> str:
    """Name the newest bars of an interval in minutes. Raises UnknownInterval."""
    return f"cache:bars:{symbol_of(instrument)}:{format_interval(interval)}"


def session(token_hash: str) -> str:
    return f"session:{token_hash}"


def market_watch(session_id: str) -> str:
    return f"marketwatch:{session_id}"


def limit(what: str, who: str) -> str:
    """Name what somebody (a user, a key, an address) has used up of something."""
    if len(who) > LONGEST_WHO:
        who = sha256(who.encode(errors="surrogatepass")).hexdigest()
    return f"limit:{what}:{who}"
