"""REST: which paths there are, what they weigh, and the faces of refusal.

A request is weighed, judged, and answered, in that order; what is wrong with it is said in
Binance's words, `{"code": -1121, "msg": "Invalid symbol."}`. `/sim/faults` (GET, POST, DELETE),
`/sim/listing` (POST) and `/sim/state` are ours.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.sim.exchange import Exchange
from gateway.sim.faults import BadFault, FaultKind, parse_fault
from gateway.sim.limits import Verdict
from gateway.sim.listings import BadListing, parse_listing
from gateway.sim.market.symbols import Board
from gateway.sim.rest import answers, tickers
from gateway.sim.rest.answers import Moment
from gateway.sim.rest.params import ApiError, Params

Weigh = Callable[[Params], int]

SLOW_ANSWERS: Final = 2
"""At the same time: each makes the past in a thread, and the streams need threads, too."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path below a board's root."""

    answer: Callable[[Params, Moment], Any]
    weigh: Weigh
    known: Sequence[str] = ()
    mandatory: Sequence[str] = ()
    slow: bool = False
    """Answered in a thread: history may have to be made first."""


def _flat(weight: int) -> Weigh:
    return lambda _params: weight


def _by_limit(default: int, steps: Mapping[int, int], beyond: int) -> Weigh:
    """Weigh by `limit`: the weight of the first step that it does not exceed."""

    def weigh(params: Params) -> int:
        limit = params.number("limit") or default
        return next((weight for most, weight in steps.items() if limit <= most), beyond)

    return weigh


def _by_symbols(one: int, everything: int, some: Mapping[int, int] | None = None) -> Weigh:
    """Weigh by how many symbols are asked for."""

    def weigh(params: Params) -> int:
        if "symbol" in params:
            return one
        if some is None or "symbols" not in params:
            return everything
        count = params.text("symbols").count(",") + 1
        return next((weight for most, weight in some.items() if count <= most), everything)

    return weigh


_TIMES: Final = ("startTime", "endTime")
_AGG: Final = ("symbol", "fromId", *_TIMES, "limit")
_KLINES: Final = ("symbol", "interval", *_TIMES, "limit")
_SOME: Final = ("symbol", "symbols", "type", "symbolStatus")

SPOT: Final = {
    "ping": Endpoint(answers.ping, _flat(1)),
    "time": Endpoint(answers.server_time, _flat(1)),
    "exchangeInfo": Endpoint(
        answers.listing, _flat(20), ("symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus")
    ),
    "depth": Endpoint(
        tickers.depth, _by_limit(100, {100: 5, 500: 25, 1000: 50}, 250), ("symbol", "limit"), ("symbol",)
    ),
    "trades": Endpoint(answers.newest_trades, _flat(25), ("symbol", "limit"), ("symbol",)),
    "historicalTrades": Endpoint(answers.old_trades, _flat(25), ("symbol", "limit", "fromId"), ("symbol",)),
    "aggTrades": Endpoint(answers.agg_trades, _flat(4), _AGG, ("symbol",)),
    "klines": Endpoint(tickers.klines, _flat(2), (*_KLINES, "timeZone"), ("symbol", "interval"), slow=True),
    "ticker/24hr": Endpoint(tickers.day, _by_symbols(2, 80, {20: 2, 100: 40}), _SOME, slow=True),
    "ticker/price": Endpoint(tickers.price, _by_symbols(2, 4), _SOME),
    "ticker/bookTicker": Endpoint(tickers.book_ticker, _by_symbols(2, 4), _SOME),
}
FUTURES: Final = {
    "ping": Endpoint(answers.ping, _flat(1)),
    "time": Endpoint(answers.server_time, _flat(1)),
    "exchangeInfo": Endpoint(answers.listing, _flat(1)),
    "depth": Endpoint(
        tickers.depth, _by_limit(500, {50: 2, 100: 5, 500: 10}, 20), ("symbol", "limit"), ("symbol",)
    ),
    "trades": Endpoint(answers.newest_trades, _flat(5), ("symbol", "limit"), ("symbol",)),
    "historicalTrades": Endpoint(answers.old_trades, _flat(200), ("symbol", "limit", "fromId"), ("symbol",)),
    "aggTrades": Endpoint(answers.agg_trades, _flat(20), _AGG, ("symbol",)),
    "klines": Endpoint(
        tickers.klines,
        _by_limit(500, {99: 1, 499: 2, 1000: 5}, 10),
        _KLINES,
        ("symbol", "interval"),
        slow=True,
    ),
    "ticker/24hr": Endpoint(tickers.day, _by_symbols(1, 40), ("symbol",), slow=True),
    "ticker/price": Endpoint(tickers.price, _by_symbols(1, 2), ("symbol",)),
    "ticker/bookTicker": Endpoint(tickers.book_ticker, _by_symbols(2, 5), ("symbol",)),
}


def make_app(exchange: Exchange) -> Starlette:
    """Make the HTTP application of an exchange."""
    boards = {Board.SPOT: SPOT, Board.USDM: FUTURES, Board.COINM: FUTURES}
    slowly = asyncio.Semaphore(SLOW_ANSWERS)
    routes = [
        Route(f"/{board.value}/{path}", _Handler(exchange, board, endpoint, slowly).handle)
        for board, endpoints in boards.items()
        for path, endpoint in endpoints.items()
    ]
    return Starlette(routes=[*routes, *_own_routes(exchange)])


class _Handler:
    """Answers one path."""

    def __init__(
        self, exchange: Exchange, board: Board, endpoint: Endpoint, slowly: asyncio.Semaphore
    ) -> None:
        self._exchange = exchange
        self._board = board
        self._endpoint = endpoint
        self._slowly = slowly

    async def handle(self, request: Request) -> Response:
        now_us, address = self._exchange.clock(), request.client.host if request.client else ""
        params = self._parse(request)
        weight = 1 if isinstance(params, ApiError) else self._endpoint.weigh(params)
        pool = self._exchange.weights[self._board]
        verdict = self._sabotage() or pool.charge(address, weight, now_us)
        self._exchange.counted[f"rest.{verdict.status}"] += 1
        headers = self._weight_headers(verdict)
        if verdict.status != 200:
            return _refuse(verdict, pool.limit, headers)
        try:
            return _json(await self._answer(params, self._moment(request, now_us)), headers=headers)
        except ApiError as wrong:
            return _json({"code": wrong.code, "msg": str(wrong)}, 400, headers)

    def _parse(self, request: Request) -> Params | ApiError:
        """Read the parameters; what is wrong with them is told after the request has been weighed."""
        endpoint, sent = self._endpoint, request.query_params.multi_items()
        try:
            return Params(self._exchange.market, self._board, sent, endpoint.known, endpoint.mandatory)
        except ApiError as wrong:
            return wrong

    async def _answer(self, params: Params | ApiError, at: Moment) -> Any:
        if isinstance(params, ApiError):
            raise params
        if self._endpoint.slow:
            async with self._slowly:
                return await asyncio.to_thread(self._endpoint.answer, params, at)
        return self._endpoint.answer(params, at)

    def _moment(self, request: Request, now_us: int) -> Moment:
        unit = request.headers.get("x-mbx-time-unit", "MILLISECOND").upper()
        if unit not in ("MILLISECOND", "MICROSECOND"):
            raise ApiError(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")
        micro = unit == "MICROSECOND" and self._board is Board.SPOT
        exchange = self._exchange
        limit = exchange.weights[self._board].limit
        unit_us = 1 if micro else 1000
        return Moment(
            exchange.market, exchange.history, exchange.faults, exchange.listings, now_us, unit_us, limit
        )

    def _sabotage(self) -> Verdict | None:
        """Let the faults that stand refuse the request."""
        for standing in self._exchange.faults.of(FaultKind.RATE_LIMIT):
            if standing.concerns_board(self._board) and standing.strikes():
                standing.hits["requests"] += 1
                fault = standing.fault
                back_ms = self._exchange.clock() // 1000 + fault.retry_after * 1000
                return Verdict(fault.status, 0, fault.retry_after, back_ms)
        return None

    def _weight_headers(self, verdict: Verdict) -> dict[str, str]:
        headers = {"x-mbx-used-weight-1m": str(verdict.used)}
        if self._board is Board.SPOT:
            headers["x-mbx-used-weight"] = str(verdict.used)
        return headers


def _refuse(verdict: Verdict, limit: int, headers: dict[str, str]) -> Response:
    advice = "Please use WebSocket Streams for live updates to avoid"
    if verdict.status == 418:
        message = (
            f"Way too much request weight used; IP banned until {verdict.banned_until_ms}. {advice} bans."
        )
    else:
        used = f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE."
        message = f"{used} {advice} polling the API."
    headers = {**headers, "Retry-After": str(verdict.retry_after_s)}
    return _json({"code": -1003, "msg": message}, verdict.status, headers)


def _json(said: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    body = msgspec.json.encode(said)
    return Response(body, status, headers, media_type="application/json;charset=UTF-8")


def _own_routes(exchange: Exchange) -> list[Route]:
    async def faults(request: Request) -> Response:
        if request.method == "DELETE":
            exchange.clear_faults()
        elif request.method == "POST":
            try:
                return _json(exchange.inject(parse_fault(await request.body())).described())
            except BadFault as wrong:
                return _json({"error": str(wrong)}, 400)
        return _json(exchange.faults.described())

    async def listing(request: Request) -> Response:
        try:
            change = parse_listing(await request.body())
            one = exchange.list_symbol(change)
        except BadListing as wrong:
            return _json({"error": str(wrong)}, 400)
        return _json({"market": change.market, "symbol": one.symbol, "status": exchange.listings.status(one)})

    async def state(request: Request) -> Response:  # noqa: ARG001  # starlette's signature
        return _json(exchange.state())

    return [
        Route("/sim/faults", faults, methods=["GET", "POST", "DELETE"]),
        Route("/sim/listing", listing, methods=["POST"]),
        Route("/sim/state", state),
    ]
