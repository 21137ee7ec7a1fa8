import asyncio
import resource

import numpy as np
import pytest

from gateway.processes.ports import find_free_port
from gateway.store.duck.store import DuckStore
from gateway.store.history import Change, Span, StoreDown, StoreUnusable
from gateway.store.influx import InfluxStore
from gateway.store.spool import SpooledStore
from protocol.bars import Series
from protocol.events import Trade

SERIES = Series("binance", "BTCUSDT", 1)
OTHER = Series("binance", "ETHUSDT", 1)
TRADE = Trade(0, 1, 2, 10, 1_780_000_000_000_001, 70_000.1, 0.1)


class AwayStore(DuckStore):
    """A real store that can be away, and tells in which order it was asked."""

    def __init__(self, path):
        super().__init__(path)
        self.is_away = True
        self.applied = []

    async def apply(self, operation):
        if self.is_away:
            raise StoreDown("it is away")
        self.applied.append(operation)
        await super().apply(operation)


@pytest.fixture
def open_away(tmp_path):
    def open_one(max_bytes=1_000_000, store=None):
        store = store or AwayStore(tmp_path / "history.duckdb")
        return store, SpooledStore(store, tmp_path / "spool", max_bytes, retry_s=0.01)

    return open_one


async def until_written(spooled):
    async with asyncio.timeout(10):
        while spooled.state()[::2] != (0, None):  # noqa: ASYNC110 - health is asked, it calls nobody
            await asyncio.sleep(0.01)


async def everything(store, series=SERIES):
    return await store.read(series, 0, 2**53, 1_000_000)


async def test_what_cannot_be_written_goes_in_later_in_its_order(open_away, make_bars):
    store, opened = open_away()
    async with opened as spooled:
        bars = make_bars(30)
        for start in range(0, 30, 10):
            await spooled.write([Change(SERIES, bars[start : start + 10])])
            await spooled.cover(SERIES, Span(start, start + 10))
        await spooled.uncover(SERIES, Span(5, 15))
        await spooled.write_ticks("binance", "BTCUSDT", [TRADE])
        state = spooled.state()
        assert state.waiting_bytes > bars.nbytes
        assert (state.dropped, state.reason) == (0, "it is away")
        assert state.down_since_ms > 1_700_000_000_000
        store.is_away = False
        await until_written(spooled)
        assert spooled.state() == (0, 0, None, "")
        assert (await everything(spooled)).tobytes() == bars.tobytes()
        assert await spooled.coverage(SERIES) == [Span(0, 5), Span(15, 30)]
        assert await spooled.read_ticks("binance", "BTCUSDT", 0, 2**62, 9) == [TRADE]
        names = [type(one).__name__ for one in store.applied]
        assert names == ["KeepBars", "Cover"] * 3 + ["Uncover", "KeepTicks"]


async def test_reads_say_why_they_cannot_while_anything_waits(open_away, make_bars):
    _, opened = open_away()
    async with opened as spooled:
        assert len(await everything(spooled)) == 0, "nothing waits, and reads it can"
        await spooled.write([Change(SERIES, make_bars(3, version=7))])
        for question in (
            everything(spooled),
            spooled.changed(SERIES, 0, 9),
            spooled.coverage(SERIES),
            spooled.series(),
            spooled.read_ticks("binance", "BTCUSDT", 0, 9, 9),
        ):
            with pytest.raises(StoreDown, match="it is away"):
                await question
        assert await spooled.last_version() == 9, "no version may be given twice"


async def test_what_waits_survives_a_restart(open_away, make_bars):
    _, opened = open_away()
    bars = make_bars(5_000, version=100)
    async with opened as spooled:
        await spooled.write([Change(SERIES, bars)])
    store, opened = open_away()
    async with opened as spooled:
        assert spooled.state().waiting_bytes > bars.nbytes
        with pytest.raises(StoreDown):
            await everything(spooled)
        assert await spooled.last_version() == 5_099
        await spooled.write([Change(OTHER, bars[:1])])
        store.is_away = False
        await until_written(spooled)
        assert (await everything(spooled)).tobytes() == bars.tobytes()
        assert len(await everything(spooled, OTHER)) == 1


async def test_full_the_oldest_go_and_are_uncovered(open_away, make_bars):
    store, opened = open_away(max_bytes=100_000)
    async with opened as spooled:
        bars = make_bars(3_000)
        opens = bars["open_ms"].tolist()
        await spooled.cover(OTHER, Span(0, 50))
        await spooled.uncover(OTHER, Span(10, 20))
        for start in range(0, 3_000, 50):
            await spooled.write([Change(SERIES, bars[start : start + 50])])
            await spooled.cover(SERIES, Span(opens[start], opens[start] + 50 * 60_000))
            assert spooled.state().waiting_bytes <= 100_000
        dropped = spooled.state().dropped
        assert 1_500 < dropped < 3_000
        store.is_away = False
        await until_written(spooled)
        there = await everything(spooled)
        assert there.tobytes() == bars[dropped:].tobytes(), "the oldest are missing, and no others"
        assert await spooled.coverage(SERIES) == [Span(opens[dropped], opens[-1] + 60_000)]
        assert await spooled.coverage(OTHER) == [], "less is said to be there than is, never more"
        assert spooled.state().dropped == dropped


async def test_what_is_too_large_for_the_room_is_refused(open_away, make_bars):
    store, opened = open_away(max_bytes=10_000)
    async with opened as spooled:
        await spooled.write([Change(SERIES, make_bars(50))])
        with pytest.raises(StoreDown, match="too small"):
            await spooled.write([Change(OTHER, make_bars(500))])
        store.is_away = False
        await until_written(spooled)
        assert len(await everything(spooled, OTHER)) == 0
        assert len(await everything(spooled)) == 50, "nothing was dropped for it in vain"


async def test_who_gives_up_leaves_nothing_stuck(open_away, make_bars):
    store, opened = open_away()
    async with opened as spooled:
        writing = asyncio.create_task(spooled.write([Change(SERIES, make_bars(50))]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait([writing])
        store.is_away = False
        await spooled.write([Change(OTHER, make_bars(5))])
        await until_written(spooled)
        assert len(await everything(spooled, OTHER)) == 5


async def test_a_disk_that_refuses_too_is_said(open_away, make_bars):
    store, opened = open_away()
    async with opened as spooled:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))
        try:
            with pytest.raises(StoreDown, match="it is away; and it cannot wait on disk: File too large"):
                await spooled.write([Change(SERIES, make_bars(50))])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        await spooled.write([Change(SERIES, make_bars(20))])
        store.is_away = False
        await until_written(spooled)
        assert len(await everything(spooled)) == 20


async def test_writes_while_it_drains_are_behind_what_waits(open_away, make_bars):
    store, opened = open_away()
    async with opened as spooled:
        bars = make_bars(2_000)
        for start in range(0, 2_000, 10):
            store.is_away = start % 400 < 200
            await spooled.write([Change(SERIES, bars[start : start + 10])])
        store.is_away = False
        await spooled.write([Change(OTHER, bars[:1])])
        await until_written(spooled)
        assert (await everything(spooled)).tobytes() == bars.tobytes()
        order = np.concatenate([bars for one in store.applied for _, bars in one.changes])["version"][:-1]
        assert (np.diff(order.astype(np.int64)) > 0).all()


async def test_an_unusable_store_is_unusable_behind_a_spool(tmp_path):
    (tmp_path / "history.duckdb").write_bytes(b"nothing of ours" * 1_000)
    spooled = SpooledStore(DuckStore(tmp_path / "history.duckdb"), tmp_path / "spool", 1_000)
    with pytest.raises(StoreUnusable, match="not a DuckDB file"):
        async with spooled:
            pass
    (tmp_path / "history.duckdb").unlink()
    async with SpooledStore(DuckStore(tmp_path / "history.duckdb"), tmp_path / "spool", 1_000):
        pass  # nothing was left locked


async def test_a_real_influxdb_may_go_away_and_come_back(tmp_path, start_influx, make_bars):
    url = f"http://127.0.0.1:{find_free_port()}"
    store = InfluxStore(url, "", "", "history", 1, timeout_s=5.0)
    bars = make_bars(1_000)
    async with SpooledStore(store, tmp_path / "spool", 1_000_000, retry_s=0.05) as spooled:
        await spooled.write([Change(SERIES, bars[:100])])
        assert "cannot be reached" in spooled.state().reason
        with start_influx(url):
            await until_written(spooled)
            assert (await everything(spooled)).tobytes() == bars[:100].tobytes()
            await spooled.write([Change(SERIES, bars[100:200])])
            assert spooled.state().waiting_bytes == 0
        with pytest.raises(StoreDown, match="cannot be reached"):
            await everything(spooled)
        assert spooled.state().down_since_ms is not None
        await spooled.write([Change(SERIES, bars[200:])])
        await spooled.cover(SERIES, Span(0, 9))
        with start_influx(url):
            await until_written(spooled)
            assert (await everything(spooled)).tobytes() == bars.tobytes()
            assert await spooled.coverage(SERIES) == [Span(0, 9)]
