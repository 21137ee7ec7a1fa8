"""`/api/v1/symbols` and `/api/v1/symbols/{symbol}/price`: what can be watched and what it costs now."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.answers import json_response
from gateway.api.operations import FLAG, NUMBER, TEXT, WHOLE, Answer, Operation, Values, array, maybe, record
from gateway.api.params import Param, Text
from gateway.api.refusals import NotThere, NotYet
from gateway.ws.fanout import Fanout
from protocol.events import Kind
from protocol.symbols import Instrument, SymbolTable

RETRY_AFTER_S: Final = 5.0
NewestPrice: TypeAlias = Callable[[Instrument], Awaitable[dict[str, Any] | None]]

SYMBOL: Final = Param(
    "symbol",
    Text(),
    "`BTCUSDT`, or in full `BINANCE:BTCUSDT`; `.P` at the end is the perpetual",
    in_path=True,
    example="BTCUSDT",
)
LIST: Final = Operation(
    path="/api/v1/symbols",
    name="symbols",
    summary="Every symbol that is or was traded",
    details=(
        "`is_active`: it is traded now. Any other keeps its id and its history; who watches it gets nothing"
        " before it is traded again. Amounts are exact decimals, null where the venue states none; quantities"
        " of coin-margined futures are contracts."
    ),
    answers={
        200: Answer(
            "By id. `carried`: it has a price already; any other begins to flow when somebody watches it.",
            array(
                record(
                    symbol=TEXT, name=TEXT, base_currency=TEXT, quote_currency=TEXT, is_active=FLAG,
                    carried=FLAG, id=WHOLE, venue=TEXT, price_precision=WHOLE, quantity_precision=WHOLE,
                    tick_size=maybe(TEXT), min_quantity=maybe(TEXT), max_quantity=maybe(TEXT),
                    step_size=maybe(TEXT), min_notional=maybe(TEXT), simulated=FLAG,
                )
            ),
        )
    },
)  # fmt: skip
PRICE: Final = Operation(
    path="/api/v1/symbols/{symbol}/price",
    name="price",
    summary="The newest price of a symbol",
    details=(
        "A symbol that nobody watches is taken up for whoever asks: the first answer may take three seconds,"
        " and the later ones are as fast as any while somebody asks once a minute."
    ),
    params=(SYMBOL,),
    answers={
        200: Answer(
            "`volume` is the rolling 24 hours' in the base currency, `timestamp` the venue's time in ms.",
            record(
                symbol=TEXT, name=TEXT, price=NUMBER, bid=maybe(NUMBER), ask=maybe(NUMBER), volume=NUMBER,
                timestamp=WHOLE, simulated=FLAG,
            ),
        )
    },
    refuses=(400, 404, 503),
)  # fmt: skip
OPERATIONS: Final = (LIST, PRICE)


def routes(symbols: SymbolTable, fanout: Fanout, newest: NewestPrice) -> list[Route]:
    """Build the routes on this gateway's symbols and newest values; `newest` knows more prices than these."""

    async def list_symbols(_: Request, _given: Values) -> Response:
        return json_response([describe(one, fanout) for one in sorted(symbols, key=lambda one: one.id)])

    async def show_price(_: Request, given: Values) -> Response:
        instrument = symbols.find(given["symbol"])
        body = await newest(instrument)
        if body is not None:
            return json_response(body)
        if not instrument.is_active:
            raise NotThere("not_traded", f"{instrument.name} is not traded, and its last price is not known")
        raise NotYet("no_price_yet", f"no price of {instrument.name} has arrived yet", RETRY_AFTER_S)

    return [LIST.route(list_symbols), PRICE.route(show_price)]


def describe(instrument: Instrument, fanout: Fanout) -> dict[str, Any]:
    """The public form of an instrument."""
    return {
        "symbol": instrument.symbol,
        "name": instrument.name,
        "base_currency": instrument.base,
        "quote_currency": instrument.quote,
        "is_active": instrument.is_active,
        # It has a price here. Anything else begins to flow as soon as somebody watches it.
        "carried": bool(fanout.tables[Kind.PRICE].changes[instrument.id]),
        "id": instrument.id,
        "venue": instrument.venue,
        "price_precision": instrument.price_precision,
        "quantity_precision": instrument.quantity_precision,
        "tick_size": instrument.tick_size or None,
        "min_quantity": instrument.min_quantity or None,
        "max_quantity": instrument.max_quantity or None,
        "step_size": instrument.step_size or None,
        "min_notional": instrument.min_notional or None,
        "simulated": instrument.simulated,
    }


def price_of(instrument: Instrument, fanout: Fanout) -> dict[str, Any] | None:
    """The newest price of an instrument, with its quote where there is one; None before the first."""
    price = fanout.tables[Kind.PRICE].row(instrument.id)
    if price is None:
        return None
    quote = fanout.tables[Kind.QUOTE].row(instrument.id)
    row, sent_us = price
    return {
        "symbol": instrument.symbol,
        "name": instrument.name,
        "price": row.price,
        "bid": quote[0].bid if quote else None,
        "ask": quote[0].ask if quote else None,
        "volume": row.volume,
        "timestamp": sent_us // 1000,
        "simulated": instrument.simulated,
    }
