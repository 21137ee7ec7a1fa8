"""The recorder process: trades and the venues' bars in, history out. There is one; it alone has the store.

The store is opened before the bus is looked for: one that is damaged, or in another process's hands, ends
this process at once, with a message that says so. The symbols' ids are restored, if they were lost, before
the folder says that the recorder is there: workers, which give new ones, are started after that.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec
import structlog

from gateway.config.load import Settings
from gateway.feeds.rest import Rest
from gateway.processes.lifetime import Failure
from gateway.recorder.recorder import Options, Recorder, last_version
from gateway.recorder.symbols_mirror import SymbolsMirror
from gateway.roles.bus import bus_address, bus_name, bus_needed
from gateway.roles.feed import venues
from gateway.roles.folder import told_recorder
from gateway.roles.metadata import open_metadata
from gateway.roles.redis import open_redis
from gateway.store.history import HistoryStore, StoreUnusable
from gateway.store.opening import open_store
from processors.bus import Bus, NoAnswer, connect
from protocol import subjects

log = structlog.get_logger()


class RecorderFailed(Failure):
    """It cannot record, or there is one already."""


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Record until `stop` is set; then write what waits and leave. Raises RecorderFailed."""
    with bus_needed():
        async with opened(settings) as store:
            await _record(settings, store, stop)
    log.info("recorder.stopped")


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[HistoryStore]:
    """Open the store. Raises RecorderFailed if it is not to be used."""
    async with contextlib.AsyncExitStack() as stack:
        try:
            store = await stack.enter_async_context(open_store(settings))
        except StoreUnusable as error:
            raise RecorderFailed(str(error)) from error
        yield store


async def _record(settings: Settings, store: HistoryStore, stop: asyncio.Event) -> None:
    history = settings.history
    options = Options(
        enigma=settings.features.enigma_enabled,
        backfill_bars=history.backfill_bars,
        ticks=history.ticks,
        tick_retention_s=history.tick_retention_s,
    )
    async with contextlib.AsyncExitStack() as stack:
        bus = await stack.enter_async_context(
            connect(bus_address(settings), bus_name(settings, "recorder"), stop)
        )
        await _be_the_only_one(bus)
        rests = {one.name: await stack.enter_async_context(Rest(one)) for one in venues(settings)}
        redis = await stack.enter_async_context(open_redis(settings))
        recorder = Recorder(store, bus, rests, options, await last_version(store), redis)
        mirroring = await stack.enter_async_context(_mirrored(settings, recorder))
        stack.enter_context(told_recorder(settings.data.folder))
        await recorder.run(stop)
        mirroring.cancel()


@contextlib.asynccontextmanager
async def _mirrored(settings: Settings, recorder: Recorder) -> AsyncIterator[asyncio.Task[None]]:
    """Restore the symbols, and keep them in SQL until the task is cancelled."""
    async with open_metadata(settings) as database, asyncio.TaskGroup() as tasks:
        mirror = SymbolsMirror(recorder.registry, database.symbols)
        await mirror.restore()
        yield tasks.create_task(mirror.run())


async def _be_the_only_one(bus: Bus) -> None:
    """Raise RecorderFailed if another recorder answers on this bus."""
    try:
        other = msgspec.json.decode(await bus.request(subjects.REQUEST_RECORDER))
    except NoAnswer:
        return
    raise RecorderFailed(f"another recorder is at work on this bus (process {other.get('pid', 'unknown')})")
