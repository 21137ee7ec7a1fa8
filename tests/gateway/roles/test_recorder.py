"""The recorder as a process of its own: its store, its neighbours, and the commands that give it orders."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from gateway.config.load import Settings, changed, load_settings
from gateway.exchanges.venue import VENUES
from gateway.feeds.rest import Rest
from gateway.natsd import nats_server
from gateway.processes.ports import find_free_port
from gateway.registry import Registry
from gateway.roles import history, recorder
from gateway.roles.folder import bus_of, is_recorder, told_bus
from gateway.roles.history import OrderFailed
from gateway.roles.metadata import open_metadata
from gateway.roles.recorder import RecorderFailed
from gateway.sim.server import SimOptions, SimulatedExchange
from gateway.store.opening import history_folder
from processors.bus import BusAddress, NoAnswer, connect
from protocol import subjects
from protocol.bars import Series
from protocol.symbols import Instrument

TIMEOUT_S = 60
DAY_MS = 86_400_000
FROM_MS = round(datetime(2026, 3, 1, tzinfo=UTC).timestamp() * 1_000)
SERIES = Series("binance", "BTCUSDT", 60)


@pytest.fixture
async def sim() -> AsyncIterator[SimulatedExchange]:
    async with SimulatedExchange(SimOptions(symbols=2, rate=5)) as running:
        yield running


@pytest.fixture
def settings_at(nats_url: str, sim: SimulatedExchange) -> Callable[[Path], Settings]:
    """Settings of a recorder in a folder of its own."""

    def make(folder: Path) -> Settings:
        environ = {"NATS_URL": nats_url, "EXCHANGE_REST_ENDPOINT": sim.url, "DATA_FOLDER": str(folder)}
        return load_settings(None, environ, {})

    return make


@pytest.fixture
async def listed(nats_url: str, sim: SimulatedExchange) -> None:
    """What a feed worker does first: everything that the venue lists has an id."""
    async with (
        connect(BusAddress([nats_url]), "test") as bus,
        Rest(VENUES["binance"].with_endpoints(rest=sim.url)) as rest,
    ):
        registry = Registry(bus)
        await registry.open()
        await registry.register(await rest.exchange_info())


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[None]:
    """Run a recorder until the block is left; it answers when the block is entered."""
    stop = asyncio.Event()
    role = asyncio.create_task(recorder.run(settings, stop))
    async with connect(BusAddress([settings.messaging.nats.url]), "test") as bus, asyncio.timeout(TIMEOUT_S):
        while not role.done():
            try:
                await bus.request(subjects.REQUEST_RECORDER)
                break
            except NoAnswer:
                await asyncio.sleep(0.02)
    yield
    stop.set()
    await asyncio.wait_for(role, TIMEOUT_S)


def told(kind: type[Exception], message: str) -> AbstractContextManager[object]:
    """Expect a failure as `lifetime.run` takes it: in whatever groups."""
    expected = pytest.RaisesExc(kind, match=message)
    return pytest.RaisesGroup(expected, allow_unwrapped=True, flatten_subgroups=True)


async def kept(settings: Settings, series: Series = SERIES) -> list[int]:
    """Return the openings that are in a store, when no recorder has it."""
    async with recorder.opened(settings) as store:
        bars = await store.read(series, 0, 2**53, 1_000_000)
    return bars["open_ms"].tolist()


async def test_a_recorder_says_that_it_has_its_store_and_takes_it_back(settings_at, tmp_path):
    async with running(settings_at(tmp_path)):
        assert is_recorder(tmp_path, os.getpid())
        assert not is_recorder(tmp_path, os.getpid() + 1)
    assert not is_recorder(tmp_path, os.getpid())


async def test_there_is_one_recorder_on_a_bus(settings_at, tmp_path):
    async with running(settings_at(tmp_path / "one")):
        with told(RecorderFailed, "another recorder is at work on this bus"):
            await asyncio.wait_for(recorder.run(settings_at(tmp_path / "two"), asyncio.Event()), TIMEOUT_S)


async def test_a_damaged_store_ends_it_with_a_message_and_stays_as_it_is(settings_at, tmp_path):
    settings = settings_at(tmp_path)
    file = history_folder(settings) / "history.duckdb"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"this is no store")
    with told(RecorderFailed, r"history\.duckdb"):
        await recorder.run(settings, asyncio.Event())
    assert file.read_bytes() == b"this is no store"


async def test_a_damaged_store_ends_everything_before_it_has_begun(tmp_path):
    file = tmp_path / "history" / "history.duckdb"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"this is no store")
    argv = ["-m", "gateway.cli", "demo", "--data", str(tmp_path), "--port", "0", "--sim-port", "0"]
    process = await asyncio.create_subprocess_exec(sys.executable, *argv, stdout=PIPE, stderr=PIPE)
    said, complained = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert process.returncode == 1
    assert b"is not a DuckDB file" in complained
    assert b"recorder cannot run" in complained.splitlines()[-1]
    assert b"page" not in said


def test_where_the_bus_is_can_be_read_while_a_supervisor_runs(tmp_path):
    with told_bus(tmp_path, "nats://here:1"):
        assert bus_of(tmp_path) == "nats://here:1"
        assert (tmp_path / "nats.url").stat().st_mode & 0o077 == 0
    assert bus_of(tmp_path) == ""


async def test_the_ids_of_symbols_outlive_a_bus_that_was_lost(sim, tmp_path):
    names = ["SECONDUSDT", "FIRSTUSDT"]
    listed = [Instrument(symbol=one, venue="binance", native=one, price_precision=2) for one in names]
    async with on_a_new_bus(sim, tmp_path, "one") as (settings, registry):
        registered = await registry.register(listed)
        async with open_metadata(settings) as database, asyncio.timeout(TIMEOUT_S):
            await registry.announce("binance", registered, 1)
            while len(await database.symbols.all()) < 2:  # noqa: ASYNC110  # who writes there tells nobody
                await asyncio.sleep(0.02)
    async with on_a_new_bus(sim, tmp_path, "two") as (_, registry):
        assert await registry.register(listed[::-1]) == registered[::-1]


@asynccontextmanager
async def on_a_new_bus(
    sim: SimulatedExchange, folder: Path, name: str
) -> AsyncIterator[tuple[Settings, Registry]]:
    """Run a recorder of this folder on a bus that has nothing; yield a copy of its registry."""
    async with nats_server(folder / name, find_free_port(), {}) as nats:
        environ = {"NATS_URL": nats.url, "EXCHANGE_REST_ENDPOINT": sim.url, "DATA_FOLDER": str(folder)}
        settings = load_settings(None, environ, {})
        async with running(settings), connect(BusAddress([nats.url]), "test") as bus:
            registry = Registry(bus)
            await registry.open()
            yield settings, registry


# Orders


async def test_a_backfill_through_a_recorder_is_in_its_store(settings_at, listed, tmp_path):
    settings = settings_at(tmp_path)
    async with running(settings):
        await history.backfill(settings, "btcusdt", 60, FROM_MS, FROM_MS + 100 * DAY_MS, asyncio.Event())
    opens = await kept(settings)
    assert [one for one in opens if one < FROM_MS + 100 * DAY_MS] == list(
        range(FROM_MS, FROM_MS + 100 * DAY_MS, 3_600_000)
    )


async def test_without_a_recorder_a_backfill_opens_the_store_itself(settings_at, tmp_path, monkeypatch):
    monkeypatch.setattr(history, "CONNECT_S", 0.2)  # nobody is there
    settings = changed(settings_at(tmp_path), {"messaging.nats.url": ""})
    with told_bus(tmp_path, "nats://127.0.0.1:1"):  # left by one that was killed
        await history.backfill(settings, "BTCUSDT", 60, FROM_MS, FROM_MS + 2 * DAY_MS, asyncio.Event())
    assert await kept(settings) == list(range(FROM_MS, FROM_MS + 2 * DAY_MS, 3_600_000))


async def test_a_backfill_that_was_stopped_goes_on_where_it_was(settings_at, sim, tmp_path):
    settings = changed(settings_at(tmp_path), {"messaging.nats.url": ""})
    async with history.desk(settings) as desk:
        order = history.Order("binance", "BTCUSDT", 1, FROM_MS, FROM_MS + 3 * DAY_MS)
        asked_before = sim.exchange.counted["rest.200"]
        while not (await desk.backfill(order)).finished:
            pass
        asked_once = sim.exchange.counted["rest.200"]
    async with history.desk(settings) as desk:
        done = await desk.backfill(order)
    assert asked_once - asked_before == 5
    assert (done.finished, done.bars, done.done_from_ms) == (True, 0, FROM_MS)
    assert sim.exchange.counted["rest.200"] == asked_once


async def test_a_stop_ends_a_backfill(settings_at, tmp_path):
    settings, stop = changed(settings_at(tmp_path), {"messaging.nats.url": ""}), asyncio.Event()
    stop.set()
    await history.backfill(settings, "BTCUSDT", 1, 0, FROM_MS, stop)
    assert await kept(settings, SERIES._replace(interval=1)) == []


async def test_a_symbol_that_nobody_lists_is_an_order_that_fails(settings_at, tmp_path):
    settings = settings_at(tmp_path)
    async with running(settings):
        with told(OrderFailed, "NOBODY"):
            await history.backfill(settings, "NOBODY", 60, 0, FROM_MS, asyncio.Event())
    alone = changed(settings, {"messaging.nats.url": ""})
    with told(OrderFailed, "NOBODY"):
        await history.backfill(alone, "NOBODY", 60, 0, FROM_MS, asyncio.Event())


async def test_history_goes_from_one_folder_to_another_in_a_file(settings_at, listed, tmp_path):
    first, second = settings_at(tmp_path / "one"), settings_at(tmp_path / "two")
    file = str(tmp_path / "bars.parquet")
    async with running(first):
        await history.backfill(first, "BTCUSDT", 60, FROM_MS, FROM_MS + DAY_MS, asyncio.Event())
        written = await history.export_file(first, file, ["BTCUSDT"], [60])
    alone = changed(second, {"messaging.nats.url": ""})
    assert await history.import_file(alone, file) == written
    assert await kept(second) == await kept(first)
    async with running(second):
        assert await history.import_file(second, file) == written


async def test_a_file_that_is_none_of_ours_is_refused(settings_at, tmp_path):
    file = tmp_path / "bars.parquet"
    file.write_bytes(b"PAR1 no")
    with told(OrderFailed, "parquet"):
        await history.import_file(changed(settings_at(tmp_path), {"messaging.nats.url": ""}), str(file))


async def test_what_a_recorder_refuses_is_told(settings_at, tmp_path):
    settings = settings_at(tmp_path)
    async with running(settings):
        with told(OrderFailed, "parquet"):
            await history.import_file(settings, str(tmp_path / "not-there.parquet"))


def test_a_chunk_says_what_it_did_in_json():
    done = msgspec.json.encode(history.Done(1, 2, finished=True))
    assert done == b'{"done_from_ms":1,"bars":2,"finished":true}'
