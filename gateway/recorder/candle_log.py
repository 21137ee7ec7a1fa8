"""Stores final bars and corrections by JetStream on `candles.<venue>.<native>.<interval>`, for replay.

The stream keeps seven days, or 256 MiB, of which the oldest go. Nothing else waits for it: candles queue
here. Full, at 50,000 (the bus has been away for long): the oldest go, counted; whoever misses them asks
`request.bars`.
"""

import asyncio
from collections import deque
from typing import Final, NamedTuple

import structlog

from processors.bus import Bus, BusError
from protocol import subjects
from protocol.bars import Series
from protocol.events import Kind
from protocol.frames import Records, encode_records
from protocol.intervals import format_interval

STREAM: Final = "CANDLES"
MAX_AGE_S: Final = 7 * 24 * 3_600
MAX_BYTES: Final = 256 * 1024 * 1024
MAX_WAITING: Final = 50_000
AT_ONCE: Final = 128
"""Candles that wait for their acknowledgement together."""
RETRY_S: Final = 0.5

log = structlog.get_logger()


class _Waiting(NamedTuple):
    subject: str
    frame: bytes
    message_id: str
    """With an id of its own, a candle that was stored and not acknowledged is not stored twice."""


class CandleLog:
    """Takes candles without waiting and stores them in their order."""

    def __init__(self, bus: Bus, max_waiting: int = MAX_WAITING) -> None:
        self.dropped = 0
        self._bus = bus
        self._waiting: deque[_Waiting] = deque()
        self._max_waiting = max_waiting
        self._wake = asyncio.Event()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def open(self) -> None:
        """Make sure that the stream exists. Raises BusError."""
        await self._bus.open_rolling_stream(
            STREAM, subjects.ALL_CANDLES, max_bytes=MAX_BYTES, max_age_s=MAX_AGE_S
        )

    def note(self, series: Series, candle: Records, version: int) -> None:
        """Store one CANDLE record soon."""
        subject = subjects.candles(series.venue, series.native, format_interval(series.interval))
        message_id = f"{subject}-{candle['open_ms'][0]}-{version}"
        if len(self._waiting) >= self._max_waiting:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(_Waiting(subject, encode_records(Kind.CANDLE, candle, version), message_id))
        self._wake.set()

    async def run(self) -> None:
        """Store what was noted. Until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                try:
                    await self._store_some()
                except BusError as error:
                    log.warning("recorder.candles_not_stored", waiting=self.waiting, error=str(error))
                    await asyncio.sleep(RETRY_S)

    async def drain(self) -> None:
        """Store what still waits. The last thing before leaving; raises nothing if the bus is away."""
        try:
            while self._waiting and self._bus.is_connected:
                await self._store_some()
        except BusError as error:
            log.warning("recorder.candles_left_behind", candles=self.waiting, error=str(error))

    async def _store_some(self) -> None:
        """Store the oldest. Raises BusError, and keeps all of them, if one was not stored."""
        some = [one for one, _ in zip(self._waiting, range(AT_ONCE), strict=False)]
        results = await asyncio.gather(*(self._bus.append(*one) for one in some), return_exceptions=True)
        for error in results:
            if isinstance(error, BaseException):
                raise error
        for one in some:
            if self._waiting and self._waiting[0] is one:  # it may have had to make room meanwhile
                self._waiting.popleft()
