"""`/api/v1/marketwatch`: the symbols that a user's streams carry without being asked.

A change reaches all of the user's streams, on every gateway. The same can be done on a stream itself.
"""

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.accounts.identity import Scope
from gateway.accounts.market_watch import MarketWatch
from gateway.api.answers import json_response
from gateway.api.market import SYMBOL
from gateway.api.operations import TEXT, Answer, Limit, Operation, Values, array, identity_of, record
from gateway.metadata.errors import MetadataDown
from protocol.market_watch import plain
from protocol.symbols import SymbolTable, full_name

PRIVATE: Final = {"Cache-Control": "no-store"}
PATH: Final = "/api/v1/marketwatch"
TAG: Final = "market watch"


class NewOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole market watch in another order."""

    symbols: list[str]


_ANSWERS: Final = {
    200: Answer(
        "The whole list, in the user's order: `BTCUSDT`, or with its exchange where that is another than the "
        "default.",
        record(symbols=array(TEXT)),
    )
}
SHOW: Final = Operation(
    path=PATH,
    name="market_watch",
    summary="What is on the market watch",
    answers=_ANSWERS,
    needs=Scope.WATCH,
    limit=Limit.ACCOUNT,
    tag=TAG,
)
ORDER: Final = Operation(
    path=PATH,
    name="order_market_watch",
    summary="Give the market watch another order",
    details="Names every symbol that is on it, once.",
    method="PUT",
    body=NewOrder,
    answers=_ANSWERS,
    needs=Scope.WATCH,
    limit=Limit.ACCOUNT,
    refuses=(400, 409),
    tag=TAG,
)
ADD: Final = Operation(
    path=f"{PATH}/{{symbol}}",
    name="add_to_market_watch",
    summary="Put a symbol at the end of the market watch",
    details="One that is on it stays where it is.",
    method="POST",
    params=(SYMBOL,),
    answers=_ANSWERS,
    needs=Scope.WATCH,
    limit=Limit.ACCOUNT,
    refuses=(400, 404, 409),
    tag=TAG,
)
REMOVE: Final = Operation(
    path=f"{PATH}/{{symbol}}",
    name="remove_from_market_watch",
    summary="Take a symbol off the market watch",
    details="That it was not on it is no mistake.",
    method="DELETE",
    params=(SYMBOL,),
    answers=_ANSWERS,
    needs=Scope.WATCH,
    limit=Limit.ACCOUNT,
    refuses=(400,),
    tag=TAG,
)
OPERATIONS: Final = (SHOW, ORDER, ADD, REMOVE)


def routes(market_watch: MarketWatch, symbols: SymbolTable) -> list[Route]:
    """Build the routes on the users' lists and on what there is to watch."""

    async def show(request: Request, _given: Values) -> Response:
        return await answer(request)

    async def order(request: Request, given: Values) -> Response:
        names = [full_name(one) for one in given["body"].symbols]
        await market_watch.order(identity_of(request).user_id, names)
        return await answer(request)

    async def add(request: Request, given: Values) -> Response:
        name = symbols.find(given["symbol"]).name.upper()
        await market_watch.add(identity_of(request).user_id, [name])
        return await answer(request)

    async def remove(request: Request, given: Values) -> Response:
        await market_watch.remove(identity_of(request).user_id, [full_name(given["symbol"])])
        return await answer(request)

    async def answer(request: Request) -> Response:
        identity = identity_of(request)
        try:
            names = await market_watch.symbols(identity.user_id)
        except MetadataDown:
            copied = await market_watch.copied([identity.session_id])
            if copied is None:
                raise
            names = copied
        return json_response({"symbols": [plain(one) for one in names]}, headers=PRIVATE)

    return [SHOW.route(show), ORDER.route(order), ADD.route(add), REMOVE.route(remove)]
