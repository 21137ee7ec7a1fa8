"""Questions to gateways and the recorder, and their answers as records."""

from typing import Final

import msgspec
import numpy as np

from clients.bus.connection import Bus
from clients.bus.errors import NoAnswer
from protocol import subjects
from protocol.bars import AnswerState, BarsAnswer, BarsQuery, decode_answer, format_query
from protocol.errors import ProtocolError
from protocol.symbols import Instrument

PRICE_TIMEOUT_S: Final = 2.0
BARS_TIMEOUT_S: Final = 6.0
"""The recorder may have to fetch them from the venue; it gives up after 4 s, and says why."""


class NewestPrice(msgspec.Struct, frozen=True):
    """The newest price of a symbol."""

    symbol: str
    name: str
    """With its exchange: `BINANCE:BTCUSDT`."""
    price: float
    bid: float | None
    ask: float | None
    volume: float
    """Rolling 24 h volume in the base currency."""
    timestamp: int
    """When the venue stated it, in ms."""
    simulated: bool


async def ask_price(bus: Bus, instrument: Instrument) -> NewestPrice:
    """Ask any gateway. Raises NoAnswer, or NotThere if no price has come yet."""
    subject = subjects.request_price(instrument.venue, instrument.native)
    payload = await bus.request(subject, timeout_s=PRICE_TIMEOUT_S)
    try:
        return msgspec.json.decode(payload, type=NewestPrice)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise NoAnswer(subject, f"it makes no sense: {error}") from None


async def ask_bars(bus: Bus, query: BarsQuery) -> BarsAnswer:
    """Ask the recorder, page by page, the newest first. Raises NoAnswer."""
    pages = [await _ask_page(bus, query)]
    while AnswerState.MORE in pages[-1].state and len(pages[-1].bars):
        to_ms = int(pages[-1].bars[0]["open_ms"])
        left = max(query.countback - sum(len(page.bars) for page in pages), 0)
        earlier = {"from_ms": min(query.from_ms, to_ms), "to_ms": to_ms, "countback": left}
        pages.append(await _ask_page(bus, msgspec.structs.replace(query, **earlier)))
    return BarsAnswer(
        min(page.as_of_us for page in pages),
        pages[0].last_id,
        pages[-1].state,
        np.concatenate([page.bars for page in reversed(pages)]),
    )


async def _ask_page(bus: Bus, query: BarsQuery) -> BarsAnswer:
    payload = await bus.request(subjects.REQUEST_BARS, format_query(query), BARS_TIMEOUT_S)
    try:
        return decode_answer(payload)
    except ProtocolError as error:
        raise NoAnswer(subjects.REQUEST_BARS, f"it makes no sense: {error}") from None
