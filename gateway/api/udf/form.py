"""The form of everything below `/udf`.

The rules of this folder:
- Only `s` decides for the client, never the status: an answer that is an error has `s` and a reason that is
  not empty, and beside that a status that says the same to everybody else.
- Where anybody may read, so may the pages of every origin, errors too. Elsewhere only those that are listed.
- Times are seconds.
- Parameters that are not ours are ignored: clients add their own, among them currencyCode and unitId.
- What is not known now is an error: an empty answer would be taken for the truth, and for good.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from starlette.responses import Response

from gateway.api.answers import json_response
from gateway.api.cors import OpenArea
from gateway.api.operations import Operation, record
from gateway.api.params import Choice, Param, Seconds, Text
from gateway.api.refusals import Refusal
from gateway.api.udf.resolutions import ACCEPTED
from gateway.api.windows import AS_OF, LAST_ID

ROOT: Final = "/udf"
READABLE: Final = OpenArea(ROOT, exposed=("ETag", AS_OF, LAST_ID))
"""By the pages of every origin, where anybody may read."""
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
