"""`/udf/history`: the bars of a window, as columns.

The rules of this file:
- A window is [from, to), and `countback` outranks `from`: all that is in the window, and at least so many
  bars that open before `to`. It is never cut: what were cut off would be a hole in the chart for good.
- `no_data` means that there is nothing before `to`. Only where a client gives no `countback` can an empty
  window have something before it: then `nextTime` is where to go on. Seconds, as the client really counts.
- At least two bars, where there are two: at a rollover the client needs the one before the running bar.
- Old clients leave `countback` out, others `from`.
"""

import time
from typing import Any, Final

import numpy as np
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.answers import Bodies, Body
from gateway.api.operations import NUMBER, WHOLE, Answer, Values, array, record
from gateway.api.params import BadParameter, Param, Whole
from gateway.api.udf.form import FROM, RESOLUTION, ROOT, SYMBOL, TO, UdfOperation, refuse
from gateway.api.windows import HEADERS, columns_of, identity, send_window
from gateway.history.questions import MAX_WINDOW_BARS
from gateway.history.windows import History, Window
from protocol.symbols import Instrument, SymbolTable

LEAST_BARS: Final = 2
HISTORY: Final = UdfOperation(
    path="/udf/history",
    name="udf_history",
    summary="The bars of a window",
    details=(
        "Every bar that opens in [from, to), and at least `countback` that open before `to`. `no_data` is the"
        " end of history; with `nextTime` it goes on there. What a live subscription goes on from is in the"
        " headers."
    ),
    params=(
        SYMBOL,
        RESOLUTION,
        FROM,
        TO,
        Param("countback", Whole(0, 10**9), "at least so many bars before `to`", default=0, example=300),
    ),
    answers={
        200: Answer(
            "Columns, oldest bar first; `t` is when a bar opened.",
            record(
                "t", "o", "h", "l", "c", "v", "nextTime",
                s={"enum": ["ok", "no_data"]}, t=array(WHOLE), o=array(NUMBER), h=array(NUMBER),
                l=array(NUMBER), c=array(NUMBER), v=array(NUMBER), nextTime=WHOLE,
            ),
            headers=HEADERS,
        )
    },
    refuses=(400, 404, 503),
)  # fmt: skip
OPERATIONS: Final = (HISTORY,)


def routes(symbols: SymbolTable, history: History, bodies: Bodies) -> list[Route]:
    """Build the route on this gateway's symbols and history."""

    async def show_history(request: Request, given: Values) -> Response:
        instrument = symbols.find(given["symbol"])
        from_ms, to_ms = plan_window(given, time.time_ns() // 1_000_000)
        window = await history.bars(
            instrument.venue,
            instrument.native,
            given["resolution"],
            from_ms,
            to_ms,
            min(max(given["countback"], LEAST_BARS), MAX_WINDOW_BARS),
        )
        empty = emptiness(window, from_ms, given["countback"])
        if empty is not None:
            return await send_window(request, window, empty)
        made_from = ("udf", identity(window))
        return await send_window(
            request, window, bodies.get(made_from, lambda: columns_body(window, instrument))
        )

    return [HISTORY.route(show_history, below=ROOT, refuse=refuse)]


def plan_window(given: Values, now_ms: int) -> tuple[int, int]:
    """Say which window `from` and `to` mean. Raises BadParameter where they contradict."""
    to_ms = now_ms + 1 if given["to"] is None else given["to"] * 1000
    if given["from"] is None:
        if not given["countback"]:
            raise BadParameter("from", "is needed where there is no countback")
        return to_ms, to_ms
    if given["from"] * 1000 > to_ms:
        raise BadParameter("from", "is after to")
    return given["from"] * 1000, to_ms


def emptiness(window: Window, from_ms: int, countback: int) -> Body | None:
    """Return the answer without bars, if that is the answer."""
    answer: dict[str, Any] = {"s": "no_data"}
    if len(window.bars):
        newest_ms = int(window.bars[-1]["open_ms"])
        if countback or newest_ms >= from_ms:
            return None
        answer["nextTime"] = newest_ms // 1000
    return Body(orjson.dumps(answer))


def columns_body(window: Window, instrument: Instrument) -> Body:
    """Write a window as UDF's columns."""
    columns = columns_of(window, instrument)
    answer = {
        "s": "ok",
        "t": columns.open_ms // np.int64(1000),
        "o": columns.open,
        "h": columns.high,
        "l": columns.low,
        "c": columns.close,
        "v": columns.volume,
    }
    return Body(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY))
