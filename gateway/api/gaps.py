"""`/api/v1/gaps`: every discontinuity that is on record, newest first."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.answers import json_response
from gateway.api.ledger import LedgerTable
from gateway.api.operations import TEXT, WHOLE, Answer, Operation, Values, array, maybe, record
from gateway.api.params import BadParameter, Choice, Param, Text, Whole
from protocol.errors import UnknownSymbol
from protocol.events import GapCause, GapState
from protocol.ledger import LedgerEntry
from protocol.subjects import CONNECTIONS
from protocol.symbols import SymbolTable

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1_000
MAX_MS: Final = 2**53
Words = TypeVar("Words", bound=IntEnum)


def _words(values: type[Words]) -> dict[str, Words]:
    return {one.name.lower(): one for one in values}


LIST: Final = Operation(
    path="/api/v1/gaps",
    name="gaps",
    summary="Every discontinuity that is on record, newest first",
    params=(
        Param("symbol", Text(), f"as in /api/v1/symbols; `{CONNECTIONS}`: what concerns no single one"),
        Param("venue", Text(), "`binance`, `binance-usdm` …"),
        Param("state", Choice(_words(GapState)), "how it ended"),
        Param("cause", Choice(_words(GapCause)), "why it happened"),
        Param("since_ms", Whole(0, MAX_MS), "noticed at or after this time", default=0),
        Param("limit", Whole(1, MAX_LIMIT), "at most so many", default=DEFAULT_LIMIT),
    ),
    answers={
        200: Answer(
            "Times in ms; `symbol` and `name` are null for what concerns no single symbol.",
            array(
                record(
                    id=TEXT, symbol=maybe(TEXT), name=maybe(TEXT), venue=TEXT, native=TEXT, stream=TEXT,
                    state=TEXT, cause=TEXT, missing=WHOLE, first_id=WHOLE, last_id=WHOLE, first_ms=WHOLE,
                    last_ms=WHOLE, noticed_ms=WHOLE, closed_ms=maybe(WHOLE), detail=TEXT,
                )
            ),
        )
    },
    refuses=(400,),
)  # fmt: skip
OPERATIONS: Final = (LIST,)


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for; None: any."""

    native: str | None
    venue: str | None
    state: GapState | None
    cause: GapCause | None
    since_us: int
    limit: int

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

    async def list_gaps(_: Request, given: Values) -> Response:
        query = plan_query(given, symbols)
        found = [entry for entry in table.newest_first() if query.fits(entry)]
        return json_response([describe(entry, symbols) for entry in found[: query.limit]])

    return [LIST.route(list_gaps)]


def plan_query(given: Values, symbols: SymbolTable) -> Query:
    """Say what is asked for. Raises BadParameter for a symbol that is not, or not at that venue."""
    native, venue = given["symbol"], given["venue"]
    if native not in (None, CONNECTIONS):
        try:
            instrument = symbols.find(native)
        except UnknownSymbol:
            raise BadParameter("symbol", f"is not listed here: {native!r}") from None
        if venue not in (None, instrument.venue):
            raise BadParameter("venue", f"is not where the symbol is listed: that is {instrument.venue}")
        native, venue = instrument.native, instrument.venue
    since_us = given["since_ms"] * 1000
    return Query(native, venue, given["state"], given["cause"], since_us, given["limit"])


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
