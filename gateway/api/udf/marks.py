"""`/udf/marks` and `/udf/timescale_marks`: what a chart shows beside the bars.

On the bars: where the all-time high and low were, which the Enigma level is measured by. On the time scale:
the gaps of the ledger. Evidence that nothing was missing is no gap, and is not shown.
"""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.answers import json_response
from gateway.api.ledger import LedgerTable
from gateway.api.operations import TEXT, WHOLE, Answer, Values, array, record
from gateway.api.udf.form import FROM, RESOLUTION, ROOT, SYMBOL, TO, UdfOperation, refuse
from gateway.history.windows import History
from protocol.events import GapState
from protocol.ledger import LedgerEntry
from protocol.symbols import SymbolTable

MAX_MARKS: Final = 500
"""The newest of them."""
COLORS: Final = {GapState.OPEN: "yellow", GapState.FILLED: "green", GapState.LOST: "red"}

MARKS: Final = UdfOperation(
    path="/udf/marks",
    name="udf_marks",
    summary="Where the all-time high and low were",
    params=(SYMBOL, FROM, TO, RESOLUTION),
    answers={
        200: Answer(
            "Those in [from, to].",
            array(
                record(
                    id=TEXT, time=WHOLE, color=TEXT, text=TEXT, label=TEXT, labelFontColor=TEXT, minSize=WHOLE
                )
            ),
        )
    },
    refuses=(400, 404, 503),
)
TIMESCALE: Final = UdfOperation(
    path="/udf/timescale_marks",
    name="udf_timescale_marks",
    summary="Where trades were missing",
    params=(SYMBOL, FROM, TO, RESOLUTION),
    answers={
        200: Answer(
            "Those in [from, to].",
            array(record(id=TEXT, time=WHOLE, color=TEXT, label=TEXT, tooltip=array(TEXT))),
        )
    },
    refuses=(400, 404),
)
OPERATIONS: Final = (MARKS, TIMESCALE)


def routes(symbols: SymbolTable, history: History, ledger: LedgerTable, *, enigma: bool) -> list[Route]:
    """Build the routes on this gateway's way to the recorder and its copy of the ledger."""

    async def show_marks(_: Request, given: Values) -> Response:
        instrument = symbols.find(given["symbol"])
        known = await history.enigma(instrument.venue, instrument.native) if enigma else {}
        return json_response([one for one in extremes(known) if is_within(one["time"], given)])

    async def show_gaps(_: Request, given: Values) -> Response:
        instrument = symbols.find(given["symbol"])
        entries = [
            entry
            for entry in ledger.newest_first()
            if (entry.venue, entry.native) == (instrument.venue, instrument.native)
            and was_missing(entry)
            and is_within(when_s(entry), given)
        ]
        return json_response([describe(entry) for entry in entries[:MAX_MARKS]])

    return [
        MARKS.route(show_marks, below=ROOT, refuse=refuse),
        TIMESCALE.route(show_gaps, below=ROOT, refuse=refuse),
    ]


def is_within(time_s: int, given: Values) -> bool:
    """Say whether a time is in [from, to]; what is not given has no end."""
    return (given["from"] is None or given["from"] <= time_s) and (
        given["to"] is None or time_s <= given["to"]
    )


def extremes(known: dict[str, Any]) -> list[dict[str, Any]]:
    """Mark the extremes of which it is known when they were."""
    return [
        {
            "id": name,
            "time": known[f"{name}_ms"] // 1000,
            "color": color,
            "text": f"{title}: {known[name]}",
            "label": letter,
            "labelFontColor": "white",
            "minSize": 14,
        }
        for name, title, letter, color in (
            ("ath", "All-time high", "H", "green"),
            ("atl", "All-time low", "L", "red"),
        )
        if known.get(f"{name}_ms")
    ]


def was_missing(entry: LedgerEntry) -> bool:
    """Say whether anything was missing: a filled gap says so by its ids."""
    return entry.state is not GapState.FILLED or entry.last_id != 0


def when_s(entry: LedgerEntry) -> int:
    """Say where a gap stands on the time scale: at the last message before it, or where it was noticed."""
    return (entry.first_us or entry.noticed_us) // 1_000_000


def describe(entry: LedgerEntry) -> dict[str, Any]:
    """Write an entry as a mark."""
    state = entry.state.name.lower()
    lines = [f"Gap, {state}: {entry.cause.name.lower().replace('_', ' ')}"]
    if entry.last_id:
        lines.append(f"{entry.stream} {entry.first_id} to {entry.last_id}, {entry.missing} still missing")
    if entry.detail:
        lines.append(entry.detail)
    return {
        "id": entry.id,
        "time": when_s(entry),
        "color": COLORS[entry.state],
        "label": "G",
        "tooltip": lines,
    }
