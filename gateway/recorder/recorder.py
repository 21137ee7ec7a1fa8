"""The recorder's parts, put together: on an open store and an open bus, with the venues' REST."""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final, NamedTuple

import structlog

from gateway.cache.cache import Cache
from gateway.recorder.announcer import Announcer
from gateway.recorder.archive import Archive
from gateway.recorder.backfill import Backfill, KlineSource
from gateway.recorder.bars import BarsAnswers
from gateway.recorder.beginnings import Beginnings
from gateway.recorder.cached_history import CachedHistory
from gateway.recorder.candle_log import CandleLog
from gateway.recorder.coverage import Coverage
from gateway.recorder.doubts import Doubts
from gateway.recorder.holes import Holes
from gateway.recorder.listener import Listener
from gateway.recorder.memory import Memory
from gateway.recorder.orders import Orders
from gateway.recorder.recording import Recording
from gateway.recorder.report import Report
from gateway.recorder.ticks import TickWriter
from gateway.recorder.versions import VersionClock
from gateway.recorder.writer import Writer
from gateway.registry import Registry
from gateway.store.history import HistoryStore, StoreDown
from gateway.store.spool import SpooledStore
from gateway.trade_fetcher import TradeFetcher
from processors.bars.bar_row import BarRow
from processors.bus import Bus
from processors.shell import now_us
from protocol.bars import Series

UNWRITTEN_US: Final = 60_000_000
"""What closed so shortly before a recorder's last word, it may not have had final yet."""

log = structlog.get_logger()


class Options(NamedTuple):
    """What may be different from one recorder to the next."""

    enigma: bool = True
    backfill_bars: int = 1_000
    ticks: bool = False
    tick_retention_s: float = 604_800.0


class Recorder:
    """Everything that runs from `run` on, for as long as the process lives."""

    def __init__(
        self,
        store: HistoryStore,
        bus: Bus,
        rests: Mapping[str, KlineSource],
        options: Options,
        last_us: int,
        redis: Cache | None = None,
    ) -> None:
        """`last_us` is the highest version in the store, `last_version` reads it. Without `redis` nothing is
        kept there."""
        self.registry = Registry(bus)
        self._bus = bus
        self._last_us = last_us
        self._memory, self._clock = Memory(), VersionClock(max(last_us, now_us()))
        self._recordings = {
            venue: Recording(venue, self._memory, self._clock, enigma=options.enigma) for venue in rests
        }
        coverage = Coverage(store)
        archive = Archive(store, self._memory, coverage)
        since_us = (last_us or now_us()) - UNWRITTEN_US
        self._backfill = Backfill(
            store, archive, coverage, self._memory, rests, self._correct, since_us, now_ms
        )
        self._beginnings = Beginnings(self._backfill, archive, options.backfill_bars, now_ms)
        self._doubts = Doubts(rests, self._backfill, coverage)
        self._holes = Holes(TradeFetcher(bus, self.registry.table))
        self._listener = Listener(
            bus, self.registry, self._recordings, self._holes, self._beginnings.on_symbol
        )
        self._candle_log = CandleLog(bus)
        self._announcer = Announcer(
            bus, list(self._recordings.values()), self._clock, self._candle_log, self._doubts.on_doubts
        )
        self._writer = Writer(store, self._memory, coverage)
        self._ticks = TickWriter(store, options.tick_retention_s, now_us) if options.ticks else None
        for recording in self._recordings.values():
            recording.on_final = self._on_final
            recording.on_ticks = self._ticks.add if self._ticks else None
        self._bars = BarsAnswers(
            archive, coverage, self._backfill, self._recordings, self.registry, self._clock, now_ms
        )
        self._cached: CachedHistory | None = None
        if redis is not None:
            self._cached = CachedHistory(redis, self._recordings, self.registry.table, self._bars.answer)
            self._bars.on_asked = self._cached.on_asked
        self._orders = Orders(
            store, coverage, self._backfill, self.registry.table, self._announcer.begin_anew
        )
        self._report = Report(self._recordings, self._describe)
        self._store = store

    async def run(self, stop: asyncio.Event) -> None:
        """Record until `stop` is set; then write what waits. Raises BusError."""
        await self.registry.open()
        await self._candle_log.open()
        async with asyncio.TaskGroup() as tasks:
            parts = (self._listener, self._holes, self._backfill, self._doubts, self._announcer, self._writer)
            running = [tasks.create_task(part.run()) for part in (*parts, self._candle_log)]
            running.append(tasks.create_task(self._beginnings.run(list(self._recordings.values()))))
            if self._ticks is not None:
                running.append(tasks.create_task(self._ticks.run()))
            if self._cached is not None:
                running.append(tasks.create_task(self._cached.run()))
            await self._serve(tasks)
            await self._listener.start()
            log.info("recorder.started", venues=list(self._recordings), last_version=self._last_us)
            await stop.wait()
            for task in running:
                task.cancel()
        await self._announcer.flush()
        await self._writer.drain()
        if self._ticks is not None:
            await self._ticks.leave()
        await self._candle_log.drain()

    def _on_final(self, series: Series, open_ms: int) -> None:
        self._doubts.on_final(series, open_ms)
        if self._cached is not None:
            self._cached.on_final(series)

    async def _serve(self, tasks: asyncio.TaskGroup) -> None:
        await self._bus.serve(
            "tickgate-recorder",
            version("tickgate"),
            "the history of bars",
            [],
            {"venues": ",".join(self._recordings)},
            slow=[self._bars.endpoint(), *self._orders.endpoints(), *self._report.endpoints()],
            tasks=tasks,
        )

    async def _correct(self, series: Series, rows: Sequence[BarRow]) -> None:
        instrument = self.registry.table.by_native(series.venue, series.native)
        assert instrument is not None  # nobody can ask for one that is not listed
        self._recordings[series.venue].correct(series.native, instrument.id, series.interval, rows)
        await self._announcer.flushed()

    def _describe(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "version_us": self._clock.last_us,
            "bars": {
                "written": self._writer.written,
                "waiting": self._memory.waiting,
                "dropped": self._memory.dropped,
                "refused_for": self._writer.refused_for,
                "answers": self._bars.answered,
                "fetched": self._backfill.fetched.total(),
                "fetches_under_way": self._backfill.under_way,
                "in_doubt": self._doubts.waiting,
                "doubts_settled": self._doubts.settled,
                "beginnings_waiting": self._beginnings.waiting,
            },
            "trades": {
                "batches": self._listener.batches,
                "bad_messages": self._listener.bad_messages,
                "missed_batches": self._listener.missed_batches,
                "filled": self._holes.filled,
                "lost": self._holes.lost,
                "ticks_dropped": self._ticks.dropped if self._ticks else 0,
            },
            "announced": {
                "batches": self._announcer.batches,
                "candles_waiting": self._candle_log.waiting,
                "candles_dropped": self._candle_log.dropped,
            },
            "cached": self._cached.describe() if self._cached else {},
            "store": self._store.state()._asdict() if isinstance(self._store, SpooledStore) else {},
        }


async def last_version(store: HistoryStore) -> int:
    """Return the highest version in a store, or now if it is away: no clock was ahead of ours, we hope."""
    try:
        return await store.last_version()
    except StoreDown as error:
        log.warning("recorder.store_away", reason=str(error))
        return now_us()


def now_ms() -> int:
    return time.time_ns() // 1_000_000
