"""What a client asks on a socket: by the address it comes to, and by its requests.

    spot     /ws[/<stream>...]   /stream?streams=a/b
    USD-M    /fstream/public/… and /fstream/market/… , each its own kinds of stream;
             /fstream/ws and /fstream/stream: the retired address, which accepts everything and
             delivers only what belongs to /public
    COIN-M   /dstream/ws   /dstream/stream

Requests are {"method": SUBSCRIBE | UNSUBSCRIBE | LIST_SUBSCRIPTIONS | SET_PROPERTY | GET_PROPERTY,
"params", "id"}. A stream that does not exist is acknowledged and silent, as on Binance.
"""

import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from gateway.sim.market.symbols import Board
from gateway.sim.streams.listeners import Manner

METHODS: Final = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_PATH: Final = re.compile(r"(?:/(fstream)(?:/(public|market|private))?|/(dstream))?/(ws|stream)(?:/(.*))?")


@dataclass(frozen=True, slots=True)
class Door:
    """What the address of a connection says."""

    board: Board
    category: str
    """Of USD-M: public, market or private; `public` on the retired address. Empty: everything."""
    manner: Manner
    streams: tuple[str, ...]


def parse_door(target: str) -> Door | None:
    """Read the target of an upgrade request; None for a path that leads nowhere."""
    parts = urlsplit(target)
    matched = _PATH.fullmatch(parts.path)
    if matched is None:
        return None
    futures, category, coinm, way, names = matched.groups()
    board = Board.USDM if futures else Board.COINM if coinm else Board.SPOT
    query = parse_qs(parts.query)
    if way == "stream":
        names = query.get("streams", [""])[0]
    micro = board is Board.SPOT and query.get("timeUnit", [""])[0].upper() == "MICROSECOND"
    return Door(
        board=board,
        category=(category or "public") if futures else "",
        manner=Manner(way == "stream", 1 if micro else 1000),
        streams=tuple(unquote(name) for name in (names or "").split("/") if name),
    )


class Refusal(Exception):
    """A request that the exchange answers with an error."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


def parse_request(text: bytes, strict_id: bool) -> dict[str, Any]:
    """Parse a request. Raises Refusal with the code and words of Binance's documents."""
    try:
        request = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise Refusal(3, "Invalid JSON: expected value at line 1 column 1") from None
    if not isinstance(request, dict) or "method" not in request:
        raise Refusal(2, f"Invalid request: missing field `method` at line 1 column {len(text)}")
    if request["method"] not in METHODS:
        expected = ", ".join(f"`{method}`" for method in METHODS)
        raise Refusal(2, f"Invalid request: unknown variant {request['method']}, expected one of {expected}")
    if not _is_id(request.get("id", ...), strict_id):
        raise Refusal(2, "Invalid request: request ID must be an unsigned integer")
    if request.keys() - {"method", "params", "id"}:
        raise Refusal(2, "Invalid request: too many parameters")
    return request


def _is_id(value: object, strict: bool) -> bool:
    """Spot takes 64-bit integers, texts of at most 36 letters, and null; futures only unsigned integers."""
    if isinstance(value, int) and not isinstance(value, bool):
        return 0 <= value < 2**64 if strict else -(2**63) <= value < 2**63
    if strict:
        return False
    return value is None or (isinstance(value, str) and re.fullmatch(r"[\w-]{1,36}", value) is not None)


def stream_names(params: object) -> list[str]:
    if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
        raise Refusal(2, "Invalid request: params must be a list of stream names")
    return params


def check_property(params: object, count: int) -> None:
    if not isinstance(params, list) or not params or not isinstance(params[0], str):
        raise Refusal(2, "Invalid request: property name must be a string")
    if params[0] != "combined":
        raise Refusal(0, "Unknown property")
    if len(params) != count:
        raise Refusal(2, "Invalid request: too many parameters")
