"""Every NATS subject, built and parsed here and nowhere else.

    wire.<venue>.<shard>                       batches for gateways and the recorder
    prices.<venue>.<native> quotes.… trades.…  one symbol each, for services
    bars.<venue>.<native>.<interval>           the venue's own final bar: JSON of `market.Bar`
    candles.<venue>.<native>.<interval>        final and corrected candles: CANDLE frames, kept by JetStream
    enigma.<venue>.<native>                    one symbol each, for services
    recorded.<venue>                           batches of the recorder: CANDLE and ENIGMA frames, for gateways
    symbols.<venue>.<native>                   the symbol registry: the stream sequence is the id
    state.symbols.<venue>                      how its symbols are now: JSON, the newest kept by JetStream
    gaps.<venue>.<native>                      the gap ledger: JSON, kept by JetStream
    state.feed.<venue>.<shard>                 where a feed worker stopped: JSON, the newest kept by JetStream
    request.price.<venue>.<native>             request/reply
    request.trades.<venue>.<native>            trades by id, from the worker that owns the symbol
    request.bars  request.enigma               history, from the recorder
    request.backfill  request.export  request.import  request.recorder   what it is told to do, how it is
    control.symbols                            who wants which symbols, for feed workers
    control.accounts                           who is not what they were, and whose market watch has changed
    request.symbols  request.snapshot.<venue>.<shard>  request.feed.<venue>.<shard>
    request.metrics                            the figures of every gateway: all of them answer

`<native>` is the venue's own spelling (`BTCUSDT`, `BTCUSD_PERP`). A character that means
something to NATS, and `%`, is written as `%` and two upper-case hex digits. Every text has one
spelling, and parsing takes no other.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote

from protocol.errors import BadSubject

ALL_WIRE: Final = "wire.>"
ALL_SYMBOLS: Final = "symbols.>"
ALL_FEED_STATES: Final = "state.feed.>"
ALL_SYMBOL_STATES: Final = "state.symbols.*"
ALL_GAPS: Final = "gaps.>"
ALL_BARS: Final = "bars.>"
ALL_CANDLES: Final = "candles.>"
ALL_RECORDED: Final = "recorded.*"
CONTROL_SYMBOLS: Final = "control.symbols"
CONTROL_ACCOUNTS: Final = "control.accounts"
REQUEST_BARS: Final = "request.bars"
REQUEST_ENIGMA: Final = "request.enigma"
REQUEST_BACKFILL: Final = "request.backfill"
REQUEST_EXPORT: Final = "request.export"
REQUEST_IMPORT: Final = "request.import"
REQUEST_RECORDER: Final = "request.recorder"
CONNECTIONS: Final = "_connections"
"""Stands for `<native>` where an entry of the ledger is about a connection and not one symbol."""
REQUEST_SYMBOLS: Final = "request.symbols"
REQUEST_METRICS: Final = "request.metrics"
ANY_REQUEST_PRICE: Final = "request.price.*.*"
_SPECIAL: Final = re.compile(r"[\x00-\x20.*>%\x7f]")
_SHARD: Final = re.compile(r"0|[1-9][0-9]{0,4}")


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


def bars(venue: str, native: str, interval: str) -> str:
    return f"bars.{token(venue)}.{token(native)}.{token(interval)}"


def candles(venue: str, native: str, interval: str) -> str:
    return f"candles.{token(venue)}.{token(native)}.{token(interval)}"


def enigma(venue: str, native: str) -> str:
    return f"enigma.{token(venue)}.{token(native)}"


def recorded(venue: str) -> str:
    return f"recorded.{token(venue)}"


def symbols(venue: str, native: str) -> str:
    return f"symbols.{token(venue)}.{token(native)}"


def feed_state(venue: str, shard: int) -> str:
    return f"state.feed.{token(venue)}.{shard}"


def symbol_states(venue: str) -> str:
    return f"state.symbols.{token(venue)}"


def gaps(venue: str, native: str) -> str:
    return f"gaps.{token(venue)}.{token(native)}"


def request_trades(venue: str, native: str) -> str:
    return f"request.trades.{token(venue)}.{token(native)}"


def request_price(venue: str, native: str) -> str:
    return f"request.price.{token(venue)}.{token(native)}"


def request_feed(venue: str, shard: int) -> str:
    return f"request.feed.{token(venue)}.{shard}"


def request_snapshot(venue: str, shard: int) -> str:
    return f"request.snapshot.{token(venue)}.{shard}"


def parse_wire(subject: str) -> tuple[str, int]:
    """Return venue and shard of a `wire.` subject. Raises BadSubject."""
    parts = subject.split(".")
    if len(parts) != 3 or parts[0] != "wire" or not _SHARD.fullmatch(parts[2]):
        raise BadSubject(subject)
    return _text(parts[1], subject), int(parts[2])


def parse_symbol_states(subject: str) -> str:
    """Return the venue of a `state.symbols.` subject. Raises BadSubject."""
    parts = subject.split(".")
    if len(parts) != 3 or parts[:2] != ["state", "symbols"]:
        raise BadSubject(subject)
    return _text(parts[2], subject)


def parse_bars(subject: str) -> tuple[str, str, str]:
    """Return venue, native symbol and interval of a `bars.` subject. Raises BadSubject."""
    parts = subject.split(".")
    if len(parts) != 4 or parts[0] != "bars":
        raise BadSubject(subject)
    return _text(parts[1], subject), _text(parts[2], subject), _text(parts[3], subject)


def parse_request_price(subject: str) -> tuple[str, str]:
    """Return venue and native symbol of a `request.price.` subject. Raises BadSubject."""
    parts = subject.split(".")
    if len(parts) != 4 or parts[:2] != ["request", "price"]:
        raise BadSubject(subject)
    return _text(parts[2], subject), _text(parts[3], subject)


def parse_symbol_subject(subject: str) -> SymbolSubject:
    """Take `<lane>.<venue>.<native>` apart. Raises BadSubject."""
    parts = subject.split(".")
    if len(parts) != 3 or parts[0] not in {"prices", "quotes", "trades", "symbols"}:
        raise BadSubject(subject)
    return SymbolSubject(parts[0], _text(parts[1], subject), _text(parts[2], subject))


@lru_cache(maxsize=16_384)  # a subject is built for every record; the venues list a few thousand symbols
def token(text: str) -> str:
    """Spell a text as one subject token. Raises BadSubject if it is empty or not to be had in UTF-8."""
    if not text or not _is_utf8(text):
        raise BadSubject(text)
    return _SPECIAL.sub(lambda match: f"%{ord(match[0]):02X}", text)


def _text(spelled: str, subject: str) -> str:
    text = unquote(spelled)
    if not text or not _is_utf8(text) or token(text) != spelled:
        raise BadSubject(subject)
    return text


def _is_utf8(text: str) -> bool:
    """Say whether a text has a form in UTF-8: half of a surrogate pair has none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
