"""Stores final bars and corrections by JetStream on `candles.<venue>.<native>.<interval>`, for replay.

The stream keeps seven days, or 256 MiB, of which the oldest go. Nothing else waits for it: candles queue
here. Full, at 50,000 (the bus has been away for long): the oldest go, counted; whoever misses them asks
`request.bars`.
"""

from typing import Final

from gateway.appender import Appender
from processors.bus import Bus
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


class CandleLog:
    """Takes candles without waiting and stores them in their order."""

    def __init__(self, bus: Bus, max_waiting: int = MAX_WAITING) -> None:
        self._bus = bus
        self._queue = Appender(bus, "candles", max_waiting=max_waiting, at_once=AT_ONCE)
        self.run = self._queue.run
        self.drain = self._queue.drain

    @property
    def dropped(self) -> int:
        return self._queue.dropped

    @property
    def waiting(self) -> int:
        return self._queue.waiting

    async def open(self) -> None:
        """Make sure that the stream exists. Raises BusError."""
        await self._bus.open_rolling_stream(
            STREAM, subjects.ALL_CANDLES, max_bytes=MAX_BYTES, max_age_s=MAX_AGE_S
        )

    def note(self, series: Series, candle: Records, version: int) -> None:
        """Store one CANDLE record soon."""
        subject = subjects.candles(series.venue, series.native, format_interval(series.interval))
        message_id = f"{subject}-{candle['open_ms'][0]}-{version}"
        self._queue.note(subject, encode_records(Kind.CANDLE, candle, version), message_id)
