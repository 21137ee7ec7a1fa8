"""History over REST: `/api/v1/symbols/{symbol}/bars`, and `/api/v1/candles` and `/api/v1/intervals` as
TradingChart serves them.

All three speak of the same bars. `bars` counts in seconds and takes a window [from, to); `candles` counts in
milliseconds and takes [start, end] and a limit. A number in the wrong unit is refused, never guessed.
"""

import time
from typing import Any, Final

import numpy as np
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.answers import Bodies, Body, json_response
from gateway.api.market import SYMBOL
from gateway.api.operations import FLAG, NUMBER, TEXT, WHOLE, Answer, Operation, Values, array, record
from gateway.api.params import BadParameter, Choice, Milliseconds, Param, Seconds, Text, Whole
from gateway.api.windows import HEADERS, columns_of, identity, send_window
from gateway.history.blocks import MINUTE_MS
from gateway.history.questions import MAX_WINDOW_BARS
from gateway.history.windows import History, Window
from protocol.intervals import MINUTES, format_interval
from protocol.symbols import Instrument, SymbolTable

DEFAULT_COUNTBACK: Final = 300
DEFAULT_LIMIT: Final = 600
MAX_LIMIT: Final = 5_000

BARS: Final = Operation(
    path="/api/v1/symbols/{symbol}/bars",
    name="bars",
    summary="The bars of a window",
    details=(
        "Every bar that opens in [from, to), and at least `countback` bars that open before `to`, oldest"
        " first; the running one too. What cannot be had now is answered 503, never with fewer bars."
        f" A window of more than {MAX_WINDOW_BARS:,} bars is refused, never cut."
        " A live subscription with `as_of_us` as its `since_us` goes on from here. `last_id` is the newest"
        " trade in the last bar, which is running; 0: not known."
    ),
    params=(
        SYMBOL,
        Param("resolution", Choice(MINUTES), "the length of a bar", needed=True, example="1m"),
        Param("from", Seconds(), "seconds since 1970; left out: as `countback` says"),
        Param("to", Seconds(), "seconds since 1970; left out: now"),
        Param("countback", Whole(1, MAX_WINDOW_BARS), f"{DEFAULT_COUNTBACK} where there is no `from` either"),
    ),
    answers={
        200: Answer(
            "`time` is when a bar opened, in seconds.",
            record(
                symbol=TEXT, name=TEXT, resolution=TEXT, simulated=FLAG,
                bars=array(
                    record(time=WHOLE, open=NUMBER, high=NUMBER, low=NUMBER, close=NUMBER, volume=NUMBER)
                ),
                as_of_us=WHOLE, last_id=WHOLE,
            ),
            headers=HEADERS,
        )
    },
    refuses=(400, 404, 503),
)  # fmt: skip
CANDLES: Final = Operation(
    path="/api/v1/candles",
    name="candles",
    summary="The newest bars of a window as rows",
    details="Rows `[ts_ms, open, high, low, close, volume]`: the newest `limit` that open in [start, end].",
    params=(
        Param(
            "symbol", Text(), "as in /api/v1/symbols",
            needed=True, aliases=("pair", "ticker"), example="BTCUSDT",
        ),
        Param(
            "interval", Choice(MINUTES), "the length of a bar",
            needed=True, aliases=("resolution", "tf"), example="1m",
        ),
        Param(
            "limit", Whole(1, MAX_LIMIT), "at most so many",
            default=DEFAULT_LIMIT, aliases=("max", "count"),
        ),
        Param(
            "start", Milliseconds(), "milliseconds since 1970",
            default=0, aliases=("startTime", "from", "fromTs"),
        ),
        Param(
            "end", Milliseconds(), "milliseconds since 1970; left out: now",
            aliases=("endTime", "to", "toTs"),
        ),
    ),
    answers={
        200: Answer(
            "Oldest first.",
            record(
                symbol=TEXT, name=TEXT, interval=TEXT, simulated=FLAG,
                data=array({"type": "array", "items": NUMBER, "minItems": 6, "maxItems": 6}),
            ),
            headers=HEADERS,
        )
    },
    refuses=(400, 404, 503),
)  # fmt: skip
INTERVALS: Final = Operation(
    path="/api/v1/intervals",
    name="intervals",
    summary="The lengths that bars have",
    params=(Param("symbol", Text(), "of this symbol: all have the same", aliases=("pair", "ticker")),),
    answers={200: Answer("Shortest first.", record("symbol", symbol=TEXT, intervals=array(TEXT)))},
    refuses=(400, 404),
)
OPERATIONS: Final = (BARS, CANDLES, INTERVALS)


def routes(symbols: SymbolTable, history: History, bodies: Bodies) -> list[Route]:
    """Build the routes on this gateway's symbols and history."""

    async def show_bars(request: Request, given: Values) -> Response:
        instrument = symbols.find(given["symbol"])
        from_ms, to_ms, countback = plan_window(given, time.time_ns() // 1_000_000)
        window = await history.bars(
            instrument.venue, instrument.native, given["resolution"], from_ms, to_ms, countback
        )
        bars = bodies.get(("bars", identity(window)), lambda: bars_body(window, instrument))
        return await send_window(request, window, whole_body(window, instrument, bars))

    async def show_candles(request: Request, given: Values) -> Response:
        instrument = symbols.find(given["symbol"])
        end_ms = time.time_ns() // 1_000_000 if given["end"] is None else given["end"]
        if given["start"] > end_ms:
            raise BadParameter("start", "is after the end")
        window = await newest(
            history, instrument, given["interval"], given["start"], end_ms + 1, given["limit"]
        )
        made_from = ("candles", identity(window))
        return await send_window(
            request, window, bodies.get(made_from, lambda: rows_body(window, instrument))
        )

    async def list_intervals(_: Request, given: Values) -> Response:
        body: dict[str, Any] = {"intervals": list(MINUTES)}
        if given["symbol"] is not None:
            body = {"symbol": symbols.find(given["symbol"]).symbol} | body
        return json_response(body)

    return [BARS.route(show_bars), CANDLES.route(show_candles), INTERVALS.route(list_intervals)]


def plan_window(given: Values, now_ms: int) -> tuple[int, int, int]:
    """Say which window `from`, `to` and `countback` mean. Raises BadParameter where they contradict."""
    to_ms = now_ms + 1 if given["to"] is None else given["to"] * 1000
    countback = given["countback"] or 0
    if given["from"] is None:
        return to_ms, to_ms, countback or DEFAULT_COUNTBACK
    if given["from"] * 1000 > to_ms:
        raise BadParameter("from", "is after to")
    return given["from"] * 1000, to_ms, countback


async def newest(
    history: History, instrument: Instrument, interval: int, from_ms: int, to_ms: int, limit: int
) -> Window:
    """Return the newest bars of a window, at most so many."""
    longest = (to_ms - from_ms) // (interval * MINUTE_MS) + 1
    window = await history.bars(
        instrument.venue, instrument.native, interval, to_ms, to_ms, min(limit, longest)
    )
    first = int(np.searchsorted(window.bars["open_ms"], from_ms))
    return window._replace(bars=window.bars[max(first, len(window.bars) - limit) :])


# Bodies


def bars_body(window: Window, instrument: Instrument) -> Body:
    """Write the bars of a window as a list of objects."""
    columns = columns_of(window, instrument)
    names = ("time", *columns._fields[1:])
    rows = zip((columns.open_ms // 1000).tolist(), *(one.tolist() for one in columns[1:]), strict=True)
    return Body(orjson.dumps([dict(zip(names, row, strict=True)) for row in rows]))


def whole_body(window: Window, instrument: Instrument, bars: Body) -> Body:
    """Put around the bars what changes all the time, and does not make them others."""
    ending = b',"as_of_us":%d,"last_id":%d}' % (window.as_of_us, window.last_id)
    return Body(_head(window, instrument, "resolution") + b',"bars":' + bars.plain + ending, bars.tag)


def rows_body(window: Window, instrument: Instrument) -> Body:
    """Write a window as a list of rows."""
    columns = columns_of(window, instrument)
    rows = orjson.dumps(list(zip(*(one.tolist() for one in columns), strict=True)))
    return Body(_head(window, instrument, "interval") + b',"data":' + rows + b"}")


def _head(window: Window, instrument: Instrument, interval_is_called: str) -> bytes:
    head = {
        "symbol": instrument.symbol,
        "name": instrument.name,
        interval_is_called: format_interval(window.key.interval),
        "simulated": instrument.simulated,
    }
    return orjson.dumps(head)[:-1]
