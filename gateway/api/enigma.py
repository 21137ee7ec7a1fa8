"""`/api/v1/symbols/{symbol}/enigma`: where the price stands between its lowest and highest ever."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.answers import json_response
from gateway.api.market import SYMBOL
from gateway.api.operations import FLAG, NUMBER, TEXT, WHOLE, Answer, Operation, Values, record
from gateway.api.refusals import NotThere
from gateway.history.windows import History
from protocol.symbols import SymbolTable

SOURCE: Final = {"enum": ["history", "live"]}
LADDER: Final = ("0", "23.6", "38.2", "50", "61.8", "78.6", "100")
SHOW: Final = Operation(
    path="/api/v1/symbols/{symbol}/enigma",
    name="enigma",
    summary="Where the price stands between its extremes",
    details=(
        "`level` is 0 at the all-time low and 100 at the all-time high of this very instrument; `fib_levels`"
        " are prices, up from the low. An extreme comes from the history of bars, then `…_ms` is when its bar"
        " opened, or was traded live. 404 where the feature is switched off, 503 while nothing is known."
    ),
    params=(SYMBOL,),
    answers={
        200: Answer(
            "The level, and what it comes from.",
            record(
                symbol=TEXT, name=TEXT, level={"type": "number", "minimum": 0, "maximum": 100}, ath=NUMBER,
                atl=NUMBER, current_price=NUMBER, fib_levels=record(**dict.fromkeys(LADDER, NUMBER)),
                price_us=WHOLE, ath_ms=WHOLE, atl_ms=WHOLE, ath_source=SOURCE, atl_source=SOURCE,
                simulated=FLAG,
            ),
        )
    },
    refuses=(400, 404, 503),
)  # fmt: skip
OPERATIONS: Final = (SHOW,)


def routes(symbols: SymbolTable, history: History, *, enabled: bool) -> list[Route]:
    """Build the route on this gateway's way to the recorder."""

    async def show(_: Request, given: Values) -> Response:
        instrument = symbols.find(given["symbol"])
        if not enabled:
            raise NotThere("feature_off", "Enigma levels are switched off here: FEATURE_ENIGMA_ENABLED")
        known = await history.enigma(instrument.venue, instrument.native)
        body: dict[str, Any] = {"symbol": instrument.symbol, "name": instrument.name}
        return json_response(
            body | known | {"simulated": instrument.simulated}, headers={"Cache-Control": "no-cache"}
        )

    return [SHOW.route(show)]
