"""The HTTP side of a gateway: every route, and the page at `/`.

The WebSocket endpoints are not here: uvicorn hands their upgrades to `gateway/ws/endpoint.py`.
"""

from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

import clients.web
from gateway.api import bars, enigma, gaps, health, market, openapi
from gateway.api.answers import Bodies
from gateway.api.ledger import LedgerTable
from gateway.api.operations import Gate
from gateway.api.refusals import refusal_of, refuse
from gateway.api.udf import mount as udf
from gateway.feed_watch import FeedWatch
from gateway.history.windows import History
from gateway.repair import Repair
from gateway.wire import WireReader
from gateway.ws.endpoint import Clients
from processors.bus import Bus

PAGE: Final = Path(clients.web.__path__[0])
OPERATIONS: Final = (
    *market.OPERATIONS,
    *bars.OPERATIONS,
    *enigma.OPERATIONS,
    *gaps.OPERATIONS,
    *udf.OPERATIONS,
    *health.OPERATIONS,
)


def build_app(
    clients: Clients,
    reader: WireReader,
    repair: Repair,
    watch: FeedWatch,
    ledger: LedgerTable,
    history: History,
    bus: Bus,
    version: str,
    gate: Gate,
    *,
    enigma_enabled: bool,
) -> ASGIApp:
    """Build the application on one gateway's state; the gate decides who may do what."""
    symbols, fanout, bodies = clients.symbols, clients.fanout, Bodies()
    routes: list[BaseRoute] = [
        *market.routes(symbols, fanout),
        *bars.routes(symbols, history, bodies),
        *enigma.routes(symbols, history, enabled=enigma_enabled),
        *gaps.routes(ledger, symbols),
        *health.routes(clients, reader, repair, watch, bus, version),
        *openapi.routes(OPERATIONS, version),
        udf.mount(symbols, fanout, history, ledger, bodies, enigma=enigma_enabled),
        Route("/", _show_page),
        Mount("/static", StaticFiles(directory=PAGE)),
    ]
    return gated(Starlette(routes=routes, exception_handlers={HTTPException: _explain}), gate)


def gated(app: ASGIApp, gate: Gate) -> ASGIApp:
    """Let the operations of an application find their gate."""

    async def pass_on(scope: Scope, receive: Receive, send: Send) -> None:
        scope["gate"] = gate
        await app(scope, receive, send)

    return pass_on


async def _show_page(_: Request) -> Response:
    return FileResponse(PAGE / "index.html")


async def _explain(_: Request, error: Exception) -> Response:
    """Answer every refusal in JSON that says what was wrong."""
    return refuse(refusal_of(error))
