"""`/udf/quotes`: the newest values of a list of symbols, for the watch list and the legend.

Every symbol has its own entry, under the name exactly as it was asked for. Price, bid and ask are the
gateway's newest; what concerns the day comes from its bar, and is left out where history is not to be had: a
price must not wait for it.
"""

import asyncio
import time
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.answers import json_response
from gateway.api.market import price_of
from gateway.api.operations import STATE, TEXT, Answer, Values, array, record
from gateway.api.params import BadParameter, Param, Text
from gateway.api.udf.form import ROOT, UdfOperation, refuse
from gateway.api.udf.symbols import title
from gateway.history.questions import HistoryUnavailable
from gateway.history.windows import History
from gateway.ws.fanout import Fanout
from protocol.errors import UnknownSymbol
from protocol.intervals import MINUTES
from protocol.symbols import Instrument, SymbolTable

MAX_SYMBOLS: Final = 300
LONGEST: Final = 5_000
"""So that a list stays below the longest address that is read, 64 kB, however it is spelled."""
DAY_TIMEOUT_S: Final = 2.0
DAY: Final = MINUTES["1d"]

QUOTES: Final = UdfOperation(
    path="/udf/quotes",
    name="udf_quotes",
    summary="The newest values of some symbols",
    params=(
        Param("symbols", Text(LONGEST), f"with commas between them, at most {MAX_SYMBOLS}", needed=True,
              example="BINANCE:BTCUSDT"),
    ),
    answers={
        200: Answer(
            "An entry for each symbol, in the order they were asked for.",
            record(
                s={"const": "ok"},
                d=array(record("errmsg", s={"enum": ["ok", "error"]}, n=TEXT, v=STATE, errmsg=TEXT)),
            ),
        )
    },
    refuses=(400,),
)  # fmt: skip
OPERATIONS: Final = (QUOTES,)


def routes(symbols: SymbolTable, fanout: Fanout, history: History) -> list[Route]:
    """Build the route on this gateway's newest values and history."""

    async def show_quotes(_: Request, given: Values) -> Response:
        names = [name for name in given["symbols"].split(",") if name]
        if len(names) > MAX_SYMBOLS:
            raise BadParameter("symbols", f"are at most {MAX_SYMBOLS}")
        async with asyncio.TaskGroup() as tasks:
            quotes = [tasks.create_task(quote(name)) for name in names]
        return json_response({"s": "ok", "d": [one.result() for one in quotes]})

    async def quote(name: str) -> dict[str, Any]:
        try:
            instrument = symbols.find(name)
        except UnknownSymbol:
            return {"s": "error", "n": name, "v": {}, "errmsg": "unknown_symbol"}
        day = await day_values(instrument, history)
        values = quote_values(instrument, price_of(instrument, fanout), day)
        if "lp" not in values:
            return {"s": "error", "n": name, "v": {}, "errmsg": "no price has arrived yet"}
        return {"s": "ok", "n": name, "v": values}

    return [QUOTES.route(show_quotes, below=ROOT, refuse=refuse)]


async def day_values(instrument: Instrument, history: History) -> dict[str, float]:
    """Return what the bar of the day says, and the close of the day before; nothing if that cannot be had."""
    to_ms = time.time_ns() // 1_000_000 + 1
    try:
        async with asyncio.timeout(DAY_TIMEOUT_S):
            window = await history.bars(instrument.venue, instrument.native, DAY, to_ms, to_ms, 2)
    except (HistoryUnavailable, TimeoutError):
        return {}
    *before, today = window.bars.tolist() or [None]
    if today is None:
        return {}
    names = window.bars.dtype.names or ()
    bar = dict(zip(names, today, strict=True))
    values = {
        "lp": bar["close"],
        "open_price": bar["open"],
        "high_price": bar["high"],
        "low_price": bar["low"],
        "volume": round(bar["volume"], instrument.quantity_precision),
    }
    if before:
        values["prev_close_price"] = dict(zip(names, before[-1], strict=True))["close"]
    return values


def quote_values(
    instrument: Instrument, price: dict[str, Any] | None, day: dict[str, float]
) -> dict[str, Any]:
    """Put together what the legend shows. Numbers are numbers; what is not known is left out."""
    values: dict[str, Any] = {
        "short_name": instrument.symbol,
        "exchange": instrument.exchange,
        "description": title(instrument),
        "original_name": instrument.name,
        **day,
    }
    if price is not None:
        values["lp"] = price["price"]
        if price["bid"] is not None:
            spread = round(price["ask"] - price["bid"], instrument.price_precision)
            values |= {"bid": price["bid"], "ask": price["ask"], "spread": spread}
    before = day.get("prev_close_price")
    if before:
        change = values["lp"] - before
        values |= {"ch": round(change, instrument.price_precision), "chp": round(change / before * 100, 2)}
    return values
