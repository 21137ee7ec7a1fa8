"""What the recorder asks the venue about, and what it leaves to the next one."""

import asyncio
from pathlib import Path

from gateway.exchanges.venue import VENUES
from gateway.feeds.rest import Rest
from gateway.recorder.archive import Archive
from gateway.recorder.backfill import Backfill
from gateway.recorder.coverage import Coverage
from gateway.recorder.doubts import Doubts
from gateway.recorder.memory import Memory
from gateway.recorder.recording import Recording
from gateway.recorder.versions import VersionClock
from gateway.store.duck.store import DuckStore
from gateway.store.history import Span
from processors.candles import Doubt
from protocol.bars import Series

SERIES = Series("binance", "BTCUSDT", 1)
MINUTE = Span(0, 60_000)


async def announced(series, bars):
    raise AssertionError("nothing was fetched")


async def test_a_doubt_at_the_very_end_leaves_the_bar_to_be_fetched_by_the_next_recorder(tmp_path: Path):
    venue = VENUES["binance"].with_endpoints(rest="http://127.0.0.1:1")
    async with DuckStore(tmp_path / "history.duckdb") as store, Rest(venue) as rest:
        coverage, memory = Coverage(store), Memory()
        archive = Archive(store, memory, coverage)
        backfill = Backfill(
            store, archive, coverage, memory, {"binance": rest}, announced, 2**60, lambda: 60_000
        )
        doubts = Doubts({"binance": rest}, backfill, coverage)
        running = asyncio.create_task(doubts.run())
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])

        recording = Recording("binance", memory, VersionClock(1), enigma=False)
        doubts.on_doubts(recording, [Doubt("BTCUSDT", *MINUTE)])
        doubts.on_final(SERIES, MINUTE.from_ms)
        assert doubts.waiting == 1
        assert coverage.take_unsaved() == {}, "the store would say for certain that it has the bar"
