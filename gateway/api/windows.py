"""How a window of bars leaves: as columns, with what a live subscription goes on from in the headers.

X-Tickgate-As-Of     the version up to which the answer is complete: `since_us` of a subscription
X-Tickgate-Last-Id   the newest trade in the last bar, which is running; 0: not known
"""

from collections.abc import Hashable
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from zlib_ng.zlib_ng import crc32

from gateway.api.answers import Body, send
from gateway.history.windows import Window
from protocol.symbols import Instrument

AS_OF: Final = "X-Tickgate-As-Of"
LAST_ID: Final = "X-Tickgate-Last-Id"
HEADERS: Final = {
    "ETag": "A digest of the bars: as If-None-Match it is answered 304 while they are the same.",
    "Cache-Control": "For how long this window is not going to change.",
    AS_OF: "The version up to which the answer is complete: `since_us` of a subscription after it.",
    LAST_ID: "The newest trade in the last bar, which is running; 0: not known.",
}
"""For the document."""
SETTLED: Final = "public, max-age=60"
"""Only a correction changes it, and that is announced: nobody is to miss it for longer than this."""
RUNNING: Final = "no-cache"
Column: TypeAlias = np.ndarray[Any, np.dtype[Any]]


class Columns(NamedTuple):
    """The bars of a window as JSON wants them: each column in one piece."""

    open_ms: Column
    open: Column
    high: Column
    low: Column
    close: Column
    volume: Column


def columns_of(window: Window, instrument: Instrument) -> Columns:
    """Take a window apart. Volumes are sums of lots: they are put back on the grid of lots, which adding up
    floats has left."""
    columns = Columns(*(np.ascontiguousarray(window.bars[name]) for name in Columns._fields))
    return columns._replace(volume=np.round(columns.volume, instrument.quantity_precision))


def identity(window: Window) -> Hashable:
    """Name the content of a window: the same for the same bars, and never for others."""
    bars = np.ascontiguousarray(window.bars)
    span = (int(bars[0]["open_ms"]), int(bars[-1]["open_ms"])) if len(bars) else ()
    return window.key, span, len(bars), window.version, crc32(bars.view(np.uint8))


async def send_window(request: Request, window: Window, body: Body) -> Response:
    """Answer with a body that was made from a window."""
    headers = {
        AS_OF: str(window.as_of_us),
        LAST_ID: str(window.last_id),
        "Cache-Control": SETTLED if window.is_settled else RUNNING,
    }
    return await send(request, body, headers)
