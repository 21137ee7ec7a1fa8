"""The HTTP side of a gateway: every route, and the page at `/`.

The WebSocket endpoints are not here: uvicorn hands their upgrades to `gateway/ws/endpoint.py`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

import clients.web
from gateway.accounts.accounts import Accounts
from gateway.accounts.identity import Scope as Right
from gateway.accounts.market_watch import MarketWatch
from gateway.api import auth, bars, enigma, gaps, health, market, market_watch, metrics, openapi, page
from gateway.api.answers import Bodies
from gateway.api.asked_prices import AskedPrices
from gateway.api.cors import Cors, CorsRules
from gateway.api.guard import Guard
from gateway.api.ledger import LedgerTable
from gateway.api.metrics import Metrics
from gateway.api.operations import Gate
from gateway.api.origins import Origins
from gateway.api.readings import GatewayParts
from gateway.api.refusals import refusal_of, refuse
from gateway.api.udf import mount as udf
from gateway.http.answer_time import AnswerTime

PAGE: Final = Path(clients.web.__path__[0], "dist")
OPERATIONS: Final = (
    *market.OPERATIONS,
    *bars.OPERATIONS,
    *enigma.OPERATIONS,
    *gaps.OPERATIONS,
    *market_watch.OPERATIONS,
    *auth.OPERATIONS,
    *udf.OPERATIONS,
    *health.OPERATIONS,
    *metrics.OPERATIONS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppParts:
    """What the application is built on, beside what it measures."""

    gateway: GatewayParts
    prices: AskedPrices
    ledger: LedgerTable
    accounts: Accounts
    market_watch: MarketWatch
    guard: Guard
    metrics: Metrics
    origins: Origins
    cors: CorsRules
    answer_timeout_s: float
    enigma_enabled: bool


def build_app(parts: AppParts) -> ASGIApp:
    """Build the application on one gateway's state."""
    known, bodies = parts.gateway, Bodies()
    symbols, fanout, history = known.clients.symbols, known.clients.fanout, known.history
    operating = Right.READ if parts.accounts.rules.anonymous else Right.OPERATE
    routes: list[BaseRoute] = [
        *market.routes(symbols, fanout, parts.prices.newest),
        *bars.routes(symbols, history, bodies),
        *enigma.routes(symbols, history, enabled=parts.enigma_enabled),
        *gaps.routes(parts.ledger, symbols),
        *market_watch.routes(parts.market_watch, symbols),
        *auth.routes(parts.accounts, parts.guard),
        *health.routes(known, needs=operating),
        *metrics.routes(parts.metrics, operating),
        *openapi.routes(OPERATIONS, known.version, anonymous=parts.accounts.rules.anonymous),
        udf.mount(symbols, fanout, history, parts.ledger, bodies, enigma=parts.enigma_enabled),
        *page.routes(PAGE),
    ]
    app = gated(Starlette(routes=routes, exception_handlers={HTTPException: _explain}), parts.guard)
    in_time = AnswerTime(app, parts.answer_timeout_s)
    areas = udf.open_areas(anonymous=parts.accounts.rules.anonymous)
    return known.traffic.counted(Cors(in_time, parts.origins, parts.cors, areas))


def gated(app: ASGIApp, gate: Gate) -> ASGIApp:
    """Let the operations of an application find their gate."""

    async def pass_on(scope: Scope, receive: Receive, send: Send) -> None:
        scope["gate"] = gate
        await app(scope, receive, send)

    return pass_on


async def _explain(_: Request, error: Exception) -> Response:
    """Answer every refusal in JSON that says what was wrong."""
    return refuse(refusal_of(error))
