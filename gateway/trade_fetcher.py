"""Asks feed workers for trades by id.

    request.trades.<venue>.<native>   {"first": id, "last": id}   ->   one v2 TRADE frame

The worker that owns the symbol answers with what it holds, or fetches it from the venue. At most `REQUESTS`
are under way at the same time; the others wait for their turn.
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
SECOND_LOOKS_S: Final = (0.5, 1.5, 4.0, 8.0)
"""When it asks again for what an answer lacked: the worker may just be fetching it, or be new and wait until
the venue answers it again."""
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
        self, symbol_id: int, first_id: int, last_id: int, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> list[Trade]:
        """Return what the worker has of a range, in id order. Raises NoAnswer."""
        instrument = self._symbols.by_id(symbol_id)
        if instrument is None:
            raise NoAnswer(f"symbol id {symbol_id} is not known yet")
        subject = subjects.request_trades(instrument.venue, instrument.native)
        question = msgspec.json.encode({"first": first_id, "last": last_id})
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

    async def insist(self, symbol_id: int, first_id: int, last_id: int, look_twice: bool) -> list[Trade]:
        """Return what the worker has of a range; ask again for a while where it does not answer and, if that
        is wanted, where it lacks some."""
        give_up_s = time.monotonic() + PATIENCE_S
        best: list[Trade] = []
        looks = iter(SECOND_LOOKS_S if look_twice else ())
        while True:
            try:
                best = max(await self.fetch(symbol_id, first_id, last_id), best, key=len)
                wait_s = next(looks, None) if len(best) < last_id - first_id + 1 else None
            except BusError as error:
                log.info("trades.no_answer", symbol_id=symbol_id, error=str(error))
                wait_s = RETRY_S if time.monotonic() < give_up_s else None
            if wait_s is None:
                return best
            await asyncio.sleep(wait_s)
