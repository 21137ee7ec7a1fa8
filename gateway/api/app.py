"""The HTTP side of a gateway: every route, and the page at `/`.

The WebSocket endpoint is not here: uvicorn hands its upgrades to `gateway/ws/endpoint.py`.
"""

from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

import clients.web
from gateway.api import gaps, health, market
from gateway.api.ledger import LedgerTable
from gateway.api.market import json_response
from gateway.feed_watch import FeedWatch
from gateway.repair import Repair
from gateway.wire import WireReader
from gateway.ws.endpoint import Clients
from processors.bus import Bus

PAGE: Final = Path(clients.web.__path__[0])


def build_app(
    clients: Clients,
    reader: WireReader,
    repair: Repair,
    watch: FeedWatch,
    ledger: LedgerTable,
    bus: Bus,
    version: str,
) -> Starlette:
    """Build the application on one gateway's state."""
    routes: list[BaseRoute] = [
        *market.routes(clients.symbols, clients.fanout),
        *gaps.routes(ledger, clients.symbols),
        *health.routes(clients, reader, repair, watch, bus, version),
        Route("/", _show_page),
        Mount("/static", StaticFiles(directory=PAGE)),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _explain})


async def _show_page(_: Request) -> Response:
    return FileResponse(PAGE / "index.html")


async def _explain(_: Request, error: Exception) -> Response:
    """Answer every refusal in JSON that says what was wrong."""
    assert isinstance(error, HTTPException)
    body = {"error": "http_error", "message": error.detail}
    return json_response(body, error.status_code)
