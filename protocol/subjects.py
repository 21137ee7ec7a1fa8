"""Every NATS subject, built and parsed here and nowhere else.

    wire.<venue>.<shard>                       batches for gateways and the recorder
    prices.<venue>.<native> quotes.… trades.…  one symbol each, for services
    symbols.<venue>.<native>                   the symbol registry: the stream sequence is the id
    request.price.<venue>.<native>             request/reply
    request.symbols  request.snapshot.<venue>.<shard>

`<native>` is the venue's own spelling (`BTCUSDT`, `BTCUSD_PERP`). A character that means
something to NATS, and `%`, is written as `%` and two hex digits of each of its UTF-8 bytes.
"""

import re
from typing import Final, NamedTuple
from urllib.parse import unquote

from protocol.errors import BadSubject

ALL_WIRE: Final = "wire.>"
ALL_SYMBOLS: Final = "symbols.>"
REQUEST_SYMBOLS: Final = "request.symbols"
_SPECIAL: Final = re.compile(r"[\x00-\x20.*>%\x7f]")


class SymbolSubject(NamedTuple):
    """A subject that speaks of one symbol, taken apart."""

    lane: str
    venue: str
    native: str


def wire(venue: str, shard: int) -> str:
    return f"wire.{token(venue)}.{shard}"


def prices(venue: str, native: str) -> str:
    return f"prices.{token(venue)}.{token(native)}"


def quotes(venue: str, native: str) -> str:
    return f"quotes.{token(venue)}.{token(native)}"


def trades(venue: str, native: str) -> str:
    return f"trades.{token(venue)}.{token(native)}"


def symbols(venue: str, native: str) -> str:
    return f"symbols.{token(venue)}.{token(native)}"


def request_price(venue: str, native: str) -> str:
    return f"request.price.{token(venue)}.{token(native)}"


def request_snapshot(venue: str, shard: int) -> str:
    return f"request.snapshot.{token(venue)}.{shard}"


def parse_wire(subject: str) -> tuple[str, int]:
    """Return venue and shard of a `wire.` subject. Raises BadSubject."""
    parts = subject.split(".")
    if len(parts) != 3 or parts[0] != "wire" or not parts[2].isascii() or not parts[2].isdecimal():
        raise BadSubject(subject)
    return unquote(parts[1]), int(parts[2])


def parse_symbol_subject(subject: str) -> SymbolSubject:
    """Take `<lane>.<venue>.<native>` apart. Raises BadSubject."""
    parts = subject.split(".")
    if len(parts) != 3 or parts[0] not in {"prices", "quotes", "trades", "symbols"}:
        raise BadSubject(subject)
    return SymbolSubject(parts[0], unquote(parts[1]), unquote(parts[2]))


def token(text: str) -> str:
    """Spell any text as one subject token; `urllib.parse.unquote` reads it back."""
    if not text:
        raise BadSubject(text)
    return _SPECIAL.sub(lambda match: f"%{ord(match[0]):02X}", text)
