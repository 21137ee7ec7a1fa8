"""`/api/v1/gaps`: every discontinuity that is on record, newest first.

    symbol     a name as in /api/v1/symbols; `_connections` for what concerns no single symbol
    venue      binance, binance-usdm …
    state      open, filled, lost
    cause      skipped, connection_lost, rotated, mute, worker_restarted, bus, overflow, out_of_reach
    since_ms   noticed at or after this time
    limit      at most so many, 1 to 1,000; 100 if it is left out

A parameter that is none of these, or has a value that makes no sense, is refused with 400 and named.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.ledger import LedgerTable
from gateway.api.market import json_response
from protocol.errors import UnknownSymbol
from protocol.events import GapCause, GapState
from protocol.ledger import LedgerEntry
from protocol.subjects import CONNECTIONS
from protocol.symbols import SymbolTable

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1_000
MAX_MS: Final = 2**53
Choice = TypeVar("Choice", bound=IntEnum)


class BadParameter(Exception):
    """A query parameter that makes no sense."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        super().__init__(f"{name} {reason}")


@dataclass(slots=True)
class Query:
    """What is asked for; None: any."""

    native: str | None = None
    venue: str | None = None
    state: GapState | None = None
    cause: GapCause | None = None
    since_us: int = 0
    limit: int = DEFAULT_LIMIT

    def fits(self, entry: LedgerEntry) -> bool:
        return (
            self.native in (None, entry.native)
            and self.venue in (None, entry.venue)
            and self.state in (None, entry.state)
            and self.cause in (None, entry.cause)
            and entry.noticed_us >= self.since_us
        )


def routes(table: LedgerTable, symbols: SymbolTable) -> list[Route]:
    """Build the route on this gateway's copy of the ledger."""

    async def list_gaps(request: Request) -> Response:
        try:
            query = parse_query(request.query_params.multi_items(), symbols)
        except BadParameter as error:
            body = {"error": "bad_parameter", "parameter": error.name, "message": str(error)}
            return json_response(body, 400)
        found = [entry for entry in table.newest_first() if query.fits(entry)]
        return json_response([describe(entry, symbols) for entry in found[: query.limit]])

    return [Route("/api/v1/gaps", list_gaps)]


def parse_query(given: Sequence[tuple[str, str]], symbols: SymbolTable) -> Query:
    """Read the parameters. Raises BadParameter for the first that is wrong."""
    query = Query()
    seen = set()
    for name, text in given:
        if name in seen:
            raise BadParameter(name, "is given twice")
        seen.add(name)
        match name:
            case "symbol":
                _choose_symbol(query, text, symbols)
            case "venue":
                if query.venue not in (None, text):
                    raise BadParameter(name, f"is not where the symbol is listed: that is {query.venue}")
                query.venue = text
            case "state":
                query.state = _one_of(GapState, name, text)
            case "cause":
                query.cause = _one_of(GapCause, name, text)
            case "since_ms":
                query.since_us = _number(name, text, 0, MAX_MS) * 1000
            case "limit":
                query.limit = _number(name, text, 1, MAX_LIMIT)
            case _:
                raise BadParameter(name, "is not a parameter of this path")
    return query


def _choose_symbol(query: Query, text: str, symbols: SymbolTable) -> None:
    if text == CONNECTIONS:
        query.native = text
        return
    try:
        instrument = symbols.find(text)
    except UnknownSymbol:
        raise BadParameter("symbol", f"is not carried here: {text!r}") from None
    if query.venue not in (None, instrument.venue):
        raise BadParameter("venue", f"is not where the symbol is listed: that is {instrument.venue}")
    query.native, query.venue = instrument.native, instrument.venue


def _one_of(choices: type[Choice], name: str, text: str) -> Choice:
    for choice in choices:
        if choice.name.lower() == text:
            return choice
    raise BadParameter(name, f"is one of {', '.join(one.name.lower() for one in choices)}, not {text!r}")


def _number(name: str, text: str, lowest: int, highest: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and lowest <= int(text) <= highest):
        raise BadParameter(name, f"is a whole number from {lowest} to {highest}, not {text!r}")
    return int(text)


def describe(entry: LedgerEntry, symbols: SymbolTable) -> dict[str, Any]:
    """The public form of an entry."""
    instrument = symbols.by_native(entry.venue, entry.native)
    return {
        "id": entry.id,
        "symbol": instrument.symbol if instrument else None,
        "name": instrument.name if instrument else None,
        "venue": entry.venue,
        "native": entry.native,
        "stream": entry.stream,
        "state": entry.state.name.lower(),
        "cause": entry.cause.name.lower(),
        "missing": entry.missing,
        "first_id": entry.first_id,
        "last_id": entry.last_id,
        "first_ms": entry.first_us // 1000,
        "last_ms": entry.last_us // 1000,
        "noticed_ms": entry.noticed_us // 1000,
        "closed_ms": entry.closed_us // 1000 or None,
        "detail": entry.detail,
    }
