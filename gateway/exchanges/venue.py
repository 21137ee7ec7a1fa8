"""A venue: one market of one exchange, where it is reached, what it allows, which dialect it speaks.

`VENUES` is the table of all of them. A venue is data; what its messages mean is in its dialect.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from gateway.exchanges.binance import COINM, SPOT, USDM
from gateway.exchanges.binance_rest import COINM_REST, SPOT_REST, USDM_REST
from gateway.exchanges.calls import Call
from protocol.market import AggTrade, Bar, DayTicker, VenueMessage
from protocol.symbols import Instrument


class Dialect(Protocol):
    """How a venue's streams are asked for and what they say. Pure."""

    def url(self, endpoint: str, category: str) -> str: ...

    def stream_name(self, native: str, kind: str) -> str: ...

    def subscribe(self, names: Sequence[str], request_id: int) -> bytes: ...

    def unsubscribe(self, names: Sequence[str], request_id: int) -> bytes: ...

    def parse(self, data: bytes) -> VenueMessage | None:
        """Parse one message; None for one that is in order and none of ours.

        Raises BadPayload, never anything else.
        """


class RestDialect(Protocol):
    """The same for REST. What parses raises BadPayload, never anything else."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What every request says beside its parameters."""

    @property
    def reach_s(self) -> int:
        """How far back trades can be asked for; 0 is without end."""

    @property
    def longest_klines_s(self) -> int:
        """The longest time that bars can be asked for at once; 0 is without end."""

    def exchange_info_call(self) -> Call: ...

    def parse_instruments(self, data: bytes) -> list[Instrument]:
        """Return all that is listed; what cannot be traded now is not active."""

    def day_tickers_call(self, natives: Collection[str]) -> Call:
        """Ask for these at least: a venue may answer for one or for all only."""

    def parse_day_tickers(self, data: bytes) -> list[DayTicker]: ...

    def agg_trades_call(self, native: str, from_id: int | None, limit: int) -> Call:
        """Ask for trades from an id on, that one included; without one for the newest."""

    def parse_agg_trades(self, native: str, data: bytes) -> list[AggTrade]:
        """Return past trades in the order of their ids."""

    @property
    def most_klines(self) -> int:
        """How many bars one answer holds."""

    def klines_call(self, native: str, interval: int, from_ms: int, to_ms: int, limit: int) -> Call:
        """Ask for the bars that open in [from_ms, to_ms): the first `limit` of them."""

    def parse_klines(self, native: str, interval: int, data: bytes, now_ms: int) -> list[Bar]:
        """Return bars, oldest first; one is final if it had closed at `now_ms`."""

    def server_time_call(self) -> Call: ...

    def parse_server_time(self, data: bytes) -> int:
        """Return the venue's clock, in ms since 1970."""

    def parse_error(self, data: bytes) -> str | None:
        """Return what the venue says against a request, None if it says nothing that we can read."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one address may ask of the venue."""

    streams_per_connection: int
    control_per_s: int
    """Messages that we send on a connection in a second, pings and pongs counted."""
    attempts_per_5_min: int
    max_life_s: int
    """The venue cuts a connection that is older."""
    ping_interval_s: float
    """How often the venue pings us."""
    weight_per_min: int


@dataclass(frozen=True, slots=True)
class Venue:
    name: str
    exchange: str
    ws_endpoint: str
    """Scheme, host, port and perhaps a path that every stream address begins with."""
    rest_endpoint: str
    limits: Limits
    dialect: Dialect
    rest: RestDialect
    categories: Mapping[str, str]
    """Kind of stream -> the part of the venue's address that serves it. Its keys are the kinds there are."""

    def with_endpoints(self, ws: str | None = None, rest: str | None = None) -> "Venue":
        """Return this venue at other addresses; the paths that users copy along with a host are dropped."""
        return replace(
            self,
            ws_endpoint=_without_path(ws, _WS_PATHS) if ws else self.ws_endpoint,
            rest_endpoint=_without_path(rest, _REST_PATHS) if rest else self.rest_endpoint,
        )

    def url(self, kind: str) -> str:
        """Return the address of the connections that carry one kind of stream."""
        return self.dialect.url(self.ws_endpoint, self.categories[kind])


_WS_PATHS: Final = ("/ws", "/stream", "/public", "/market")
_REST_PATHS: Final = ("/v1", "/v3", "/api", "/fapi", "/dapi")


def _without_path(endpoint: str, known: tuple[str, ...]) -> str:
    endpoint = endpoint.strip().rstrip("/")
    shorter = next((endpoint.removesuffix(path) for path in known if endpoint.endswith(path)), None)
    return endpoint if shorter is None else _without_path(shorter, known)


# https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams (limits, ping rhythm, 24 h)
# https://developers.binance.com/docs/binance-spot-api-docs/rest-api/limits (weight: also in exchangeInfo)
_SPOT_LIMITS: Final = Limits(
    streams_per_connection=1_024,
    control_per_s=5,
    attempts_per_5_min=300,
    max_life_s=86_400,
    ping_interval_s=20,
    weight_per_min=6_000,
)
# https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams
# The page says 1,024 streams, an older copy of it 200: we stay below both. It states no limit of
# attempts: spot's is taken. The weight is one for USD-M and COIN-M together since 2026-06-30, and so
# is the count in the answers: https://developers.binance.com/docs/derivatives/usds-margined-futures/general-info
_FUTURES_LIMITS: Final = Limits(
    streams_per_connection=200,
    control_per_s=10,
    attempts_per_5_min=300,
    max_life_s=86_400,
    ping_interval_s=180,
    weight_per_min=2_400,
)

_ALL_IN_ONE: Final = dict.fromkeys(("trade", "aggTrade", "bookTicker", "miniTicker", "kline_1m"), "")
# A connection of one category hears nothing of the other, without an error. Since 2026-04-23:
# https://developers.binance.com/docs/derivatives/usds-margined-futures/Important-WebSocket-Change-Notice
_USDM_CATEGORIES: Final = {
    "trade": "public",
    "bookTicker": "public",
    "aggTrade": "market",
    "miniTicker": "market",
    "kline_1m": "market",
}

VENUES: Final[Mapping[str, Venue]] = {
    venue.name: venue
    for venue in (
        Venue(
            "binance",
            "BINANCE",
            "wss://stream.binance.com:9443",
            "https://api.binance.com",
            _SPOT_LIMITS,
            SPOT,
            SPOT_REST,
            _ALL_IN_ONE,
        ),
        Venue(
            "binance-usdm",
            "BINANCE",
            "wss://fstream.binance.com",
            "https://fapi.binance.com",
            _FUTURES_LIMITS,
            USDM,
            USDM_REST,
            _USDM_CATEGORIES,
        ),
        Venue(
            "binance-coinm",
            "BINANCE",
            "wss://dstream.binance.com",
            "https://dapi.binance.com",
            _FUTURES_LIMITS,
            COINM,
            COINM_REST,
            _ALL_IN_ONE,
        ),
    )
}
