"""The JSON candle stream at `/ws`: what is said on it, and the server's end of the conversation.

    client  {"type": "subscribe", "symbols": ["BTCUSDT"], "intervals": ["1m"]}   and `since_us`, if wanted
            {"type": "unsubscribe", "symbols": ["BTCUSDT"]}
    server  {"event": "welcome", "symbols": ["BTCUSDT"], "intervals": ["1m"], "partials": false}
            {"type": "candle", "symbol": "BTCUSDT", "interval": "1m", "final": true, "data": [ms,o,h,l,c,v]}
            {"type": "resync_done", "interval": "1m", "symbols": ["BTCUSDT"]}

Beside these, errors, pings and pongs of `control.py`. The first wish stands in the address:
`/ws?symbols=BTCUSDT,ETHUSDT&intervals=1m,5m&partials=1`. Symbols are named, there are no ids.
"""

import re
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from protocol.control import CANDLE, DEFAULT_INTERVAL, Error, Subscribe, format_message
from protocol.errors import BadMessage
from protocol.events import Candle, CandleFlag
from protocol.intervals import format_interval
from protocol.session import Limits, Reaction, ServerSession
from protocol.standing import ANYBODY, Standing
from protocol.symbols import DEFAULT_EXCHANGE, Instrument, SymbolTable

DIGITS: Final = re.compile("[0-9]{1,19}")
PARAMETERS: Final = ("symbols", "intervals", "partials", "since_us")
_encode: Final = msgspec.json.Encoder().encode


class CandleWish(NamedTuple):
    """What the address of a stream asks for."""

    subscribe: Subscribe
    partials: bool
    """Running bars too, and not only final ones."""


def parse_address(query: str) -> CandleWish:
    """Read the part of an address behind `?`. Raises BadMessage, which names what is wrong."""
    fields = dict(parse_qsl(query, keep_blank_values=True))
    for name in fields:
        if name not in PARAMETERS:
            raise BadMessage(f"there is no parameter {name!r}, only {', '.join(PARAMETERS)}")
    partials, since_us = fields.get("partials", "0"), fields.get("since_us", "")
    if partials not in ("0", "1"):
        raise BadMessage(f"partials is 0 or 1, not {partials!r}")
    if since_us and not (DIGITS.fullmatch(since_us) and int(since_us) < 2**63):
        raise BadMessage(f"since_us is a time in microseconds, not {since_us!r}")
    wish = Subscribe(
        _listed(fields.get("symbols", "")),
        [CANDLE],
        intervals=_listed(fields.get("intervals", "")) or [DEFAULT_INTERVAL],
        since_us=int(since_us) if since_us else None,
    )
    return CandleWish(wish, partials == "1")


class CandleSession(ServerSession):
    """The server's end of one stream: every subscription means candles, and nothing is introduced."""

    def __init__(self, symbols: SymbolTable, limits: Limits, standing: Standing = ANYBODY) -> None:
        super().__init__(2, symbols, limits, standing)

    def subscribe(self, wish: Subscribe) -> Reaction:
        return super().subscribe(Subscribe(wish.symbols, [CANDLE], {}, wish.intervals, wish.since_us))

    def _introduce(self, instruments: list[Instrument], reaction: Reaction) -> None:
        """Symbols go by their names here."""

    def welcome(self, wish: CandleWish) -> tuple[bytes, Reaction]:
        """Return the greeting, and what to do about the wish that the address states."""
        reaction = self.subscribe(wish.subscribe)
        if not wish.subscribe.symbols:
            text = "name symbols: /ws?symbols=BTCUSDT,ETHUSDT, or subscribe to them"
            reaction.replies.append(format_message(Error("no_symbols", text)))
        known = {key.symbol_id: None for key in reaction.candles}
        instruments = [one for symbol_id in known if (one := self._symbols.by_id(symbol_id))]
        greeting = {
            "event": "welcome",
            "symbols": [plain_name(one) for one in instruments],
            "intervals": [format_interval(one) for one in {key.interval: None for key in reaction.candles}],
            "partials": wish.partials,
        }
        return _encode(greeting), reaction


def format_candle(symbol: str, candle: Candle) -> bytes:
    message = {
        "type": "candle",
        "symbol": symbol,
        "interval": format_interval(candle.interval),
        "final": bool(candle.flags & CandleFlag.FINAL),
        "data": (candle.open_ms, candle.open, candle.high, candle.low, candle.close, candle.volume),
    }
    return _encode(message)


def format_resync_done(interval: int, symbols: list[str]) -> bytes:
    """Say that bars of these symbols have come late, or come again corrected."""
    message = {"type": "resync_done", "interval": format_interval(interval), "symbols": symbols}
    return _encode(message)


def plain_name(instrument: Instrument) -> str:
    """Name an instrument as it is written where nobody asks for its exchange."""
    return instrument.symbol if instrument.exchange == DEFAULT_EXCHANGE else instrument.name


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]
