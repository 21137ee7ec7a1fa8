"""`/udf`: everything below it, `/config` and `/time`."""

import time
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from gateway.api.answers import Bodies, json_response
from gateway.api.cors import OpenArea
from gateway.api.ledger import LedgerTable
from gateway.api.operations import FLAG, TEXT, WHOLE, Answer, Values, array, record
from gateway.api.refusals import Refusal, refusal_of
from gateway.api.udf import history, marks, quotes, symbols
from gateway.api.udf.form import READABLE, ROOT, UdfOperation, refuse
from gateway.api.udf.resolutions import RESOLUTIONS
from gateway.history.windows import History
from gateway.ws.fanout import Fanout
from protocol.symbols import SymbolTable

CONFIG: Final = UdfOperation(
    path="/udf/config",
    name="udf_config",
    summary="What this server can do",
    answers={
        200: Answer(
            "Asked once by every chart.",
            record(
                supports_search=FLAG, supports_group_request=FLAG, supports_marks=FLAG,
                supports_timescale_marks=FLAG, supports_time=FLAG, supported_resolutions=array(TEXT),
                exchanges=array(record(value=TEXT, name=TEXT, desc=TEXT)),
                symbols_types=array(record(value=TEXT, name=TEXT)),
            ),
        )
    },
)  # fmt: skip
TIME: Final = UdfOperation(
    path="/udf/time",
    name="udf_time",
    summary="The server's time in seconds",
    answers={200: Answer("A bare number.", WHOLE)},
)
OPERATIONS: Final = (
    CONFIG,
    TIME,
    *symbols.OPERATIONS,
    *history.OPERATIONS,
    *quotes.OPERATIONS,
    *marks.OPERATIONS,
)


def mount(
    table: SymbolTable,
    fanout: Fanout,
    past: History,
    ledger: LedgerTable,
    bodies: Bodies,
    *,
    enigma: bool,
) -> Mount:
    """Build it on this gateway's state."""
    routes = [
        *_routes(table),
        *symbols.routes(table),
        *history.routes(table, past, bodies),
        *quotes.routes(table, fanout, past),
        *marks.routes(table, past, ledger, enigma=enigma),
    ]
    handlers = {HTTPException: _explain, Exception: _fail}
    return Mount(ROOT, Starlette(routes=routes, exception_handlers=handlers))


def open_areas(*, anonymous: bool) -> tuple[OpenArea, ...]:
    """Say what the pages of every origin may read, by whether anybody may."""
    return (READABLE,) if anonymous else ()


def _routes(table: SymbolTable) -> list[Route]:
    async def show_config(_: Request, _given: Values) -> Response:
        exchanges = sorted({one.exchange for one in table})
        return json_response(
            {
                # Exactly one of these two: with neither the chart never starts, and groups cannot be had.
                "supports_search": True,
                "supports_group_request": False,
                "supports_marks": True,
                "supports_timescale_marks": True,
                "supports_time": True,
                "supported_resolutions": list(RESOLUTIONS),
                "exchanges": [
                    {"value": "", "name": "All exchanges", "desc": ""},
                    *({"value": one, "name": one, "desc": one} for one in exchanges),
                ],
                "symbols_types": [
                    {"value": "", "name": "All types"},
                    {"value": symbols.TYPE, "name": "Crypto"},
                ],
            }
        )

    async def show_time(_: Request, _given: Values) -> Response:
        return json_response(int(time.time()), headers={"Cache-Control": "no-store"})

    return [
        CONFIG.route(show_config, below=ROOT, refuse=refuse),
        TIME.route(show_time, below=ROOT, refuse=refuse),
    ]


async def _explain(_: Request, error: Exception) -> Response:
    return refuse(refusal_of(error))


async def _fail(_: Request, _error: Exception) -> Response:
    """What went wrong is in the log; a chart needs a reason even so."""
    return refuse(Refusal(500, "internal", "something went wrong in the gateway"))
