"""The form of everything below `/udf`.

The rules of this folder:
- Only `s` decides for the client, never the status: an answer that is an error has `s` and a reason that is
  not empty, and beside that a status that says the same to everybody else.
- Every answer may be read by the pages of every origin, errors too.
- Times are seconds.
- Parameters that are not ours are ignored: clients add their own, among them currencyCode and unitId.
- What is not known now is an error: an empty answer would be taken for the truth, and for good.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.answers import json_response
from gateway.api.operations import Operation, record
from gateway.api.params import Choice, Param, Seconds, Text
from gateway.api.refusals import Refusal
from gateway.api.udf.resolutions import ACCEPTED
from gateway.api.windows import AS_OF, LAST_ID

ROOT: Final = "/udf"
OPEN: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": f"ETag, {AS_OF}, {LAST_ID}",
}
PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Max-Age": "86400",
}
SYMBOL: Final = Param(
    "symbol",
    Text(128),
    "what /udf/symbols called `ticker`, or `BTCUSDT`",
    needed=True,
    example="BINANCE:BTCUSDT",
)
RESOLUTION: Final = Param(
    "resolution", Choice(ACCEPTED), "`1` is a minute, `1M` a month", needed=True, example="1"
)
FROM: Final = Param("from", Seconds(), "seconds since 1970", example=0)
TO: Final = Param("to", Seconds(), "seconds since 1970", example=2_000_000_000)
REFUSAL: Final[Mapping[str, Any]] = record(
    s={"type": "string", "const": "error"}, errmsg={"type": "string", "minLength": 1}
)

UdfOperation = partial(Operation, takes_others=True, refusal="UdfRefusal", tag="TradingView UDF")


def refuse(refusal: Refusal) -> Response:
    """Say it as UDF does. `unknown_symbol` is what the chart itself calls it."""
    reason = refusal.error if refusal.error == "unknown_symbol" else refusal.message
    return json_response({"s": "error", "errmsg": reason}, refusal.status, refusal.headers)


class AnyOrigin:
    """Lets pages of every origin read what an application answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_open(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(OPEN)
            await send(message)

        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            await Response(status_code=204, headers=PREFLIGHT)(scope, receive, send_open)
        else:
            await self._app(scope, receive, send_open)
