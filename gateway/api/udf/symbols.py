"""`/udf/symbols`, `/udf/search` and `/udf/symbol_info`.

A symbol is found by what it is called, `BTCUSDT`, and by its ticker, `BINANCE:BTCUSDT`, which no other symbol
has: charts ask for it from then on. What `/symbols` answers has no `s`, or it would be an error. One that is
not traded any more is `expired`: its chart begins where it ended, and a search finds it after the others.
"""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.answers import json_response
from gateway.api.operations import FLAG, NUMBER, TEXT, WHOLE, Answer, Values, array, record
from gateway.api.params import Param, Text, Whole
from gateway.api.udf.form import ROOT, SYMBOL, UdfOperation, refuse
from gateway.api.udf.resolutions import DAILY, INTRADAY, MONTHLY, RESOLUTIONS, WEEKLY
from protocol.symbols import Instrument, SymbolTable

TYPE: Final = "crypto"
MAX_FOUND: Final = 500
TIMEZONE: Final = "Etc/UTC"
"""The list of time zones is closed; `UTC` is not in it."""

SYMBOLS: Final = UdfOperation(
    path="/udf/symbols",
    name="udf_symbols",
    summary="How a symbol is charted",
    params=(SYMBOL,),
    answers={
        200: Answer(
            "What the chart needs.",
            record(
                "expired", "expiration_date",
                name=TEXT, ticker=TEXT, description=TEXT, type=TEXT, exchange=TEXT, listed_exchange=TEXT,
                session=TEXT, timezone=TEXT, format=TEXT, pricescale=WHOLE, minmov=WHOLE,
                volume_precision=WHOLE, has_intraday=FLAG, intraday_multipliers=array(TEXT),
                has_daily=FLAG, daily_multipliers=array(TEXT), has_weekly_and_monthly=FLAG,
                weekly_multipliers=array(TEXT), monthly_multipliers=array(TEXT),
                supported_resolutions=array(TEXT), data_status=TEXT, visible_plots_set=TEXT,
                expired=FLAG, expiration_date=WHOLE,
            ),
        )
    },
    refuses=(400, 404),
)  # fmt: skip
SEARCH: Final = UdfOperation(
    path="/udf/search",
    name="udf_search",
    summary="Symbols by what somebody types",
    params=(
        Param("query", Text(), "part of a name; in any case", default=""),
        Param("type", Text(), "`crypto`, or empty for all", default=""),
        Param("exchange", Text(), "as in /udf/config; empty for all", default=""),
        Param("limit", Whole(1, MAX_FOUND), "at most so many", default=30),
    ),
    answers={
        200: Answer(
            "The best first.",
            array(
                record(symbol=TEXT, full_name=TEXT, ticker=TEXT, description=TEXT, exchange=TEXT, type=TEXT)
            ),
        )
    },
    refuses=(400,),
)
INFO: Final = UdfOperation(
    path="/udf/symbol_info",
    name="udf_symbol_info",
    summary="Symbols by group: none, there are no groups here",
    answers={200: Answer("An empty list, which the client takes well.", record(symbol=array(NUMBER)))},
)
OPERATIONS: Final = (SYMBOLS, SEARCH, INFO)


def routes(table: SymbolTable) -> list[Route]:
    """Build the routes on this gateway's symbols."""

    async def show_symbol(_: Request, given: Values) -> Response:
        return json_response(describe(table.find(given["symbol"])))

    async def search(_: Request, given: Values) -> Response:
        listed = [one for one in table if given["exchange"] in ("", one.exchange)]
        found = rank(listed, given["query"]) if given["type"] in ("", TYPE) else []
        return json_response([_found(one) for one in found[: given["limit"]]])

    async def show_groups(_: Request, _given: Values) -> Response:
        return json_response({"symbol": []})

    return [
        SYMBOLS.route(show_symbol, below=ROOT, refuse=refuse),
        SEARCH.route(search, below=ROOT, refuse=refuse),
        INFO.route(show_groups, below=ROOT, refuse=refuse),
    ]


def describe(instrument: Instrument) -> dict[str, Any]:
    """State what the chart needs, and nothing more: a field that it does not expect stops it in silence."""
    described = {
        "name": instrument.symbol,
        "ticker": instrument.name,
        "description": title(instrument),
        "type": TYPE,
        "exchange": instrument.exchange,
        "listed_exchange": instrument.exchange,
        "session": "24x7",
        "timezone": TIMEZONE,
        "format": "price",
        "pricescale": 10**instrument.price_precision,
        "minmov": 1,
        "volume_precision": instrument.quantity_precision,
        "has_intraday": True,
        "intraday_multipliers": INTRADAY,
        "has_daily": True,
        "daily_multipliers": DAILY,
        "has_weekly_and_monthly": True,
        "weekly_multipliers": WEEKLY,
        "monthly_multipliers": MONTHLY,
        "supported_resolutions": list(RESOLUTIONS),
        "data_status": "streaming",
        "visible_plots_set": "ohlcv",
    }
    if not instrument.is_active:
        described |= {"expired": True, "expiration_date": instrument.ended_ms // 1_000}
    return described


def title(instrument: Instrument) -> str:
    """Say what an instrument is, for people; and that it is not real, or not traded, where it is not."""
    pair = f"{instrument.base} / {instrument.quote}" if instrument.base else instrument.symbol
    ended = "" if instrument.is_active else ", not traded"
    return f"{pair}, {instrument.venue}{ended}" + (" (SIMULATED)" if instrument.simulated else "")


def rank(instruments: list[Instrument], query: str) -> list[Instrument]:
    """Return those that fit a query: the very name, then names that begin so, then those that hold it.

    What is not traded comes after all of them.
    """
    exchange, _, wanted = query.strip().upper().rpartition(":")
    places = []
    for one in instruments:
        name = one.symbol.upper()
        if wanted in name and exchange in ("", one.exchange):
            places.append(
                (not one.is_active, name != wanted, not name.startswith(wanted), len(name), name, one.id, one)
            )
    return [place[-1] for place in sorted(places, key=lambda place: place[:-1])]


def _found(instrument: Instrument) -> dict[str, Any]:
    return {
        "symbol": instrument.symbol,
        "full_name": instrument.name,
        "ticker": instrument.name,
        "description": title(instrument),
        "exchange": instrument.exchange,
        "type": TYPE,
    }
