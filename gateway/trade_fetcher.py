"""Asks feed workers for trades by id.

    request.trades.<venue>.<native>   {"first": id, "last": id, "whole": bool}   ->   one v2 TRADE frame

The worker that owns the symbol answers with what it holds, or fetches it from the venue. Asked for the
`whole`, it says "not now" rather than leave out what may still be had. At most `REQUESTS` are under way at
the same time; the others wait for their turn.
"""

import asyncio
import time
from typing import Final

import msgspec
import structlog

from processors.bus import Bus, BusError, NoAnswer
from protocol import subjects
from protocol.errors import ProtocolError
from protocol.events import Kind, Trade
from protocol.frames import decode_v2
from protocol.symbols import SymbolTable

REQUESTS: Final = 16
REQUEST_TIMEOUT_S: Final = 9.0
"""A worker may have to fetch them from the venue, and takes up to 8 s for that."""
PATIENCE_S: Final = 8.0
"""How long `insist` waits for a worker that does not answer: one that was killed is back by then."""
WHOLE_PATIENCE_S: Final = 30.0
"""How long it waits for all of it: for a worker that is new, and a venue that is slow or refuses us for a
while."""
RETRY_S: Final = 0.25

log = structlog.get_logger()


class TradeFetcher:
    """Asks feed workers for trades by id."""

    def __init__(self, bus: Bus, symbols: SymbolTable) -> None:
        self.asked = 0
        self._bus = bus
        self._symbols = symbols
        self._turns = asyncio.Semaphore(REQUESTS)

    async def fetch(
        self,
        symbol_id: int,
        first_id: int,
        last_id: int,
        timeout_s: float = REQUEST_TIMEOUT_S,
        *,
        whole: bool = False,
    ) -> list[Trade]:
        """Return what the worker has of a range, in id order. Raises NoAnswer; if the `whole` is wanted, also
        where it may have more of it later."""
        instrument = self._symbols.by_id(symbol_id)
        if instrument is None:
            raise NoAnswer(f"symbol id {symbol_id} is not known yet")
        subject = subjects.request_trades(instrument.venue, instrument.native)
        question = msgspec.json.encode({"first": first_id, "last": last_id, "whole": whole})
        async with self._turns:
            self.asked += 1
            payload = await self._bus.request(subject, question, timeout_s)
        try:
            frame = decode_v2(payload)
        except ProtocolError as error:
            raise NoAnswer(f"{subject}: {error}") from error
        rows: list[Trade] = frame.rows() if frame.kind is Kind.TRADE else []
        by_id = {row.id: row for row in rows if row.symbol_id == symbol_id}
        return [by_id[one] for one in sorted(by_id) if first_id <= one <= last_id]

    async def insist(self, symbol_id: int, first_id: int, last_id: int, whole: bool) -> list[Trade]:
        """Return what can be had of a range; where there is no answer ask again for a while. If the `whole`
        is wanted and patience ends, return what there is by then."""
        give_up_s = time.monotonic() + (WHOLE_PATIENCE_S if whole else PATIENCE_S)
        while True:
            try:
                return await self.fetch(symbol_id, first_id, last_id, whole=whole)
            except BusError as error:
                log.info("trades.no_answer", symbol_id=symbol_id, error=str(error))
            if time.monotonic() >= give_up_s:
                if not whole:
                    return []
                whole = False
            await asyncio.sleep(RETRY_S)
