"""`/api/v1/symbols` and `/api/v1/symbols/{symbol}/price`: what is carried and what it costs now."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.ws.fanout import Fanout
from protocol.errors import UnknownSymbol
from protocol.events import Kind
from protocol.symbols import Instrument, SymbolTable


def routes(symbols: SymbolTable, fanout: Fanout) -> list[Route]:
    """Build the routes on this gateway's symbols and newest values."""

    async def list_symbols(_: Request) -> Response:
        return json_response([describe(one) for one in sorted(symbols, key=lambda one: one.id)])

    async def show_price(request: Request) -> Response:
        name = request.path_params["symbol"]
        try:
            instrument = symbols.find(name)
        except UnknownSymbol as error:
            return json_response({"error": "unknown_symbol", "message": str(error)}, 404)
        body = price_of(instrument, fanout)
        if body is None:
            reason = f"no price of {instrument.name} has arrived yet"
            return json_response({"error": "no_price_yet", "message": reason}, 503)
        return json_response(body)

    return [
        Route("/api/v1/symbols", list_symbols),
        Route("/api/v1/symbols/{symbol}/price", show_price),
    ]


def describe(instrument: Instrument) -> dict[str, Any]:
    """The public form of an instrument."""
    return {
        "symbol": instrument.symbol,
        "name": instrument.name,
        "base_currency": instrument.base,
        "quote_currency": instrument.quote,
        "is_active": True,
        "id": instrument.id,
        "venue": instrument.venue,
        "price_precision": instrument.price_precision,
        "quantity_precision": instrument.quantity_precision,
        "simulated": instrument.simulated,
    }


def price_of(instrument: Instrument, fanout: Fanout) -> dict[str, Any] | None:
    """The newest price of an instrument, with its quote where there is one; None before the first."""
    price = fanout.tables[Kind.PRICE].row(instrument.id)
    if price is None:
        return None
    quote = fanout.tables[Kind.QUOTE].row(instrument.id)
    record, sent_us = price
    return {
        "symbol": instrument.symbol,
        "name": instrument.name,
        "price": record.price,
        "bid": quote[0].bid if quote else None,
        "ask": quote[0].ask if quote else None,
        "volume": record.volume,
        "timestamp": sent_us // 1000,
        "simulated": instrument.simulated,
    }


def json_response(body: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")
