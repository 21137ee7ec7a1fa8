"""Tells the bus what changed: `recorded.<venue>` for gateways, `candles.…` and `enigma.…` for services.

The rules of this file:
- Running bars go out every `TURN_S`, final bars and corrections `HURRY_S` after they came: those of a
  minute's end come in a bunch.
- `recorded.<venue>` gets a batch at least every `HEARTBEAT_S`; an empty one has a CANDLE frame without
  records. A frame's time is the version up to which everything has been published.
- Core NATS, waiting for nobody: a lost batch shows in the sequence and is healed by `request.bars`.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from gateway.recorder.candle_log import CandleLog
from gateway.recorder.memory import FINAL
from gateway.recorder.recording import News, Recording, as_candles
from gateway.recorder.versions import VersionClock
from processors.bus import Bus, BusError
from processors.candles import Doubt
from processors.shell import now_us
from protocol import subjects
from protocol.bars import no_bars
from protocol.batches import encode_batch
from protocol.events import Enigma, Kind
from protocol.frames import encode_records, encode_v2

TURN_S: Final = 0.25
HURRY_S: Final = 0.02
HEARTBEAT_S: Final = 0.5
ENIGMA_EVERY_S: Final = 1.0
"""To services, for one symbol; gateways have every turn's."""

log = structlog.get_logger()


class Announcer:
    """All venues of the recorder."""

    def __init__(
        self,
        bus: Bus,
        recordings: Sequence[Recording],
        clock: VersionClock,
        candle_log: CandleLog,
        on_doubts: Callable[[Recording, list[Doubt]], None],
    ) -> None:
        self.batches = 0
        self._bus = bus
        self._recordings = recordings
        self._clock = clock
        self._candle_log = candle_log
        self._on_doubts = on_doubts
        self._epoch_us = now_us()
        self._sequences = dict.fromkeys((one.venue for one in recordings), 0)
        self._spoken_s = dict.fromkeys((one.venue for one in recordings), 0.0)
        self._enigma_s: dict[tuple[str, int], float] = {}
        self._urgent = asyncio.Event()
        self._flushed = asyncio.Event()
        """Set at the end of the next `flush` that begins."""
        for recording in recordings:
            recording.on_urgent = self._urgent.set

    def begin_anew(self) -> None:
        """Let every reader ask for all it needs again: much has changed that was not announced."""
        self._epoch_us = now_us()
        self._sequences = dict.fromkeys(self._sequences, 0)

    async def flushed(self) -> None:
        """Return when all that has changed by now is in memory and announced."""
        flushed = self._flushed
        self._urgent.set()
        await flushed.wait()

    async def run(self) -> None:
        """Announce until cancelled."""
        while True:
            turn_s = time.monotonic() + TURN_S
            await self.flush()
            await asyncio.sleep(HURRY_S)
            try:
                async with asyncio.timeout(turn_s - time.monotonic()):
                    await self._urgent.wait()
            except TimeoutError:
                pass
            self._urgent.clear()

    async def flush(self) -> None:
        """Announce all that has changed."""
        flushed, self._flushed = self._flushed, asyncio.Event()
        for recording in self._recordings:
            self._on_doubts(recording, recording.on_time(now_us() // 1_000))
            for news in recording.flush(now_us()):
                await self._announce(recording, news)
            if time.monotonic() - self._spoken_s[recording.venue] >= HEARTBEAT_S:
                empty = as_candles(no_bars(), [], [])
                await self._announce(recording, News(self._clock.last_us, [], empty, []))
        flushed.set()

    async def _announce(self, recording: Recording, news: News) -> None:
        frames = []
        if len(news.candles) or not news.enigmas:
            frames.append(encode_records(Kind.CANDLE, news.candles, news.version))
        if news.enigmas:
            frames.append(encode_v2(news.enigmas, news.version))
        venue = recording.venue
        self._sequences[venue] += 1
        self._spoken_s[venue] = time.monotonic()
        self.batches += 1
        batch = encode_batch(self._epoch_us, self._sequences[venue], news.version, frames)
        await self._publish(subjects.recorded(venue), batch)
        for place, flags in enumerate(news.candles["flags"].tolist()):
            if flags & FINAL:
                self._candle_log.note(news.series[place], news.candles[place : place + 1], news.version)
        for row in news.enigmas:
            await self._tell_services(recording, row, news.version)

    async def _tell_services(self, recording: Recording, row: Enigma, version: int) -> None:
        key, now_s = (recording.venue, row.symbol_id), time.monotonic()
        native = recording.native_of(row.symbol_id)
        if native is None or now_s - self._enigma_s.get(key, 0.0) < ENIGMA_EVERY_S:
            return
        self._enigma_s[key] = now_s
        await self._publish(subjects.enigma(recording.venue, native), encode_v2([row], version))

    async def _publish(self, subject: str, payload: bytes) -> None:
        try:
            await self._bus.publish(subject, payload)
        except BusError as error:  # the sequence shows the loss
            log.warning("recorder.publish_failed", subject=subject, error=str(error))
