"""JSON control messages, both ways.

Client to server: subscribe, unsubscribe, auth, market_watch_add, market_watch_remove,
market_watch_order, ping, pong.
Server to client: symbols, error, auth_confirmed, auto_subscribe, auto_unsubscribe,
market_watch_subscribe, ping, pong.

Every message is an object with a `type`. Unknown fields are ignored, unknown types are not.
"""

from collections.abc import Sequence
from typing import Annotated, Final, TypeAlias

import msgspec

from protocol.errors import BadMessage, BadText
from protocol.events import MAX_SYMBOL_ID
from protocol.symbols import Instrument

KINDS: Final = ("price", "quote")
"""The kinds of which the newest value counts; a v1 client gets prices."""
TRADE: Final = "trade"
"""The kind of which every record counts, in v2: the lossless lane."""
CANDLE: Final = "candle"
"""The bars of some intervals, in v2: every final one and every correction counts."""
ENIGMA: Final = "enigma"
"""The Enigma level, in v2: the newest counts."""
COMPACT: Final = "compact"
"""Prices in 7 bytes, in v2: the newest counts."""
KINDS_OF_VERSION: Final = {1: KINDS[:1], 2: (*KINDS, TRADE, CANDLE, ENIGMA, COMPACT)}
DEFAULT_INTERVAL: Final = "1m"

TradeId = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
VersionUs = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Message(msgspec.Struct, frozen=True, tag_field="type"):
    """The base of all messages; the tag is the `type`."""


class Subscribe(_Message, frozen=True, tag="subscribe", omit_defaults=True):
    """Add symbols to the stream."""

    symbols: list[str]
    kinds: list[str] = msgspec.field(default_factory=lambda: ["price"])
    since: dict[str, TradeId] = {}
    """With `trade`: the last id that the client has of a symbol. It gets everything after it."""
    intervals: list[str] = []
    """With `candle`: which ones; none named: `1m`."""
    since_us: VersionUs | None = None
    """With `candle`: the version up to which the client has these. It gets every change after it."""


class Unsubscribe(_Message, frozen=True, tag="unsubscribe"):
    """Take symbols off the stream, in every kind."""

    symbols: list[str]


class Auth(_Message, frozen=True, tag="auth"):
    """Say who one is, where the upgrade request could not."""

    session_token: str
    """Or an API key."""

    def __repr__(self) -> str:
        return "Auth(…)"  # it is a secret


class MarketWatchAdd(_Message, frozen=True, tag="market_watch_add"):
    """Put symbols at the end of the user's market watch."""

    symbols: list[str]


class MarketWatchRemove(_Message, frozen=True, tag="market_watch_remove"):
    """Take symbols off the user's market watch."""

    symbols: list[str]


class MarketWatchOrder(_Message, frozen=True, tag="market_watch_order"):
    """State the whole market watch in another order."""

    symbols: list[str]


class Ping(_Message, frozen=True, tag="ping"):
    """Answered with `pong`, for clients that cannot send WebSocket pings."""


class Pong(_Message, frozen=True, tag="pong"):
    """The answer to `ping`."""


class SymbolEntry(msgspec.Struct, frozen=True):
    """One line of the dictionary."""

    id: Annotated[int, msgspec.Meta(ge=1, le=MAX_SYMBOL_ID)]
    symbol: str
    venue: str
    price_precision: int
    quantity_precision: int = 8
    name: str = ""
    """With its exchange: `BINANCE:BTCUSDT`."""
    simulated: bool = False


class Symbols(_Message, frozen=True, tag="symbols"):
    """The dictionary: sent before the first record that uses an id."""

    symbols: list[SymbolEntry]


class Error(_Message, frozen=True, tag="error"):
    """Something in a message was refused; the connection goes on."""

    code: str
    message: str
    symbols: list[str] = []
    intervals: list[str] = []
    """Where it is about candles: of which intervals."""


class AuthConfirmed(_Message, frozen=True, tag="auth_confirmed"):
    """The answer to `auth`."""

    user: str
    symbols_allowed: list[str]
    """Patterns over full names; none: every symbol."""


class WatchChange(msgspec.Struct, frozen=True):
    symbol: str


class AutoSubscribe(_Message, frozen=True, tag="auto_subscribe"):
    """The user's market watch gained a symbol."""

    data: WatchChange


class AutoUnsubscribe(_Message, frozen=True, tag="auto_unsubscribe"):
    """The user's market watch lost a symbol."""

    data: WatchChange


class MarketWatchSubscribe(_Message, frozen=True, tag="market_watch_subscribe"):
    """The user's whole market watch: on connect, and when its order has changed."""

    symbols: list[str]


WatchEdit: TypeAlias = MarketWatchAdd | MarketWatchRemove | MarketWatchOrder
WatchNews: TypeAlias = AutoSubscribe | AutoUnsubscribe | MarketWatchSubscribe
ClientMessage: TypeAlias = Subscribe | Unsubscribe | Auth | WatchEdit | Ping | Pong
ServerMessage: TypeAlias = Symbols | Error | AuthConfirmed | WatchNews | Ping | Pong

_client_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_server_decoder: msgspec.json.Decoder[ServerMessage] = msgspec.json.Decoder(ServerMessage)
_encoder = msgspec.json.Encoder()


def parse_client_message(text: bytes | str) -> ClientMessage:
    """Parse what a client sent. Raises BadMessage, never anything else."""
    try:
        return _client_decoder.decode(text)
    except UnicodeError as error:
        raise BadText(str(error)) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadMessage(str(error)) from None


def parse_server_message(text: bytes | str) -> ServerMessage:
    """Parse what a server sent. Raises BadMessage, never anything else."""
    try:
        return _server_decoder.decode(text)
    except UnicodeError as error:
        raise BadText(str(error)) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadMessage(str(error)) from None


def format_message(message: ClientMessage | ServerMessage) -> bytes:
    """Write a message as JSON text in UTF-8."""
    return _encoder.encode(message)


def format_error(
    code: str, message: str, symbols: Sequence[str] = (), intervals: Sequence[str] = ()
) -> bytes:
    """Write an `error` that names what it is about, the first 100 of each."""
    return format_message(Error(code, message, list(symbols[:100]), list(intervals[:100])))


def dictionary(instruments: Sequence[Instrument]) -> Symbols:
    """Build the message that introduces instruments to a client."""
    return Symbols(
        [
            SymbolEntry(
                id=one.id,
                symbol=one.symbol,
                venue=one.venue,
                price_precision=one.price_precision,
                quantity_precision=one.quantity_precision,
                name=one.name,
                simulated=one.simulated,
            )
            for one in instruments
        ]
    )
