"""A feed worker and a recorder with a real Redis, without one, and with one that never answers."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fleet import Fleet, run_fleet, until
from redis.asyncio import Redis
from redis_servers import RedisServer, silent_server

from gateway.cache.open import open_cache
from gateway.config.load import load_settings
from gateway.history.questions import HistoryUnavailable
from gateway.history.windows import History
from gateway.registry import Registry
from gateway.roles import recorder
from gateway.sim.server import SimOptions, SimulatedExchange
from processors.bus import BusAddress, connect

TIMEOUT_S = 60
FAR_MS = 2**53


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    server = RedisServer(tmp_path)
    await server.come()
    yield server
    await server.go()


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    async with SimulatedExchange(SimOptions(symbols=3, rate=20)) as sim, run_fleet(tmp_path, sim) as one:
        yield one


@asynccontextmanager
async def recording(fleet: Fleet, folder: Path, address: str) -> AsyncIterator[None]:
    environ = {
        "NATS_URL": fleet.nats_url,
        "EXCHANGE_REST_ENDPOINT": fleet.sim.url,
        "DATA_FOLDER": str(folder / "data"),
        "REDIS_ADDR": address,
        "HISTORY_BACKFILL_BARS": "20",
    }
    stop = asyncio.Event()
    role = asyncio.create_task(recorder.run(load_settings(None, environ, {}), stop))
    yield
    stop.set()
    await asyncio.wait_for(role, TIMEOUT_S)


async def value(redis: Redis, key: str, holds: Callable[[dict], object] = bool) -> dict:
    """Return what a key says, once it says something like this."""
    found: dict = {}

    async def is_there() -> bool:
        nonlocal found
        payload = await redis.get(key)
        found = json.loads(payload) if payload else {}
        return bool(found and holds(found))

    await until(is_there)
    return found


async def test_a_worker_keeps_the_prices_of_its_symbols_in_redis(fleet, redis):
    async with fleet.worker("BTCUSDT", REDIS_ADDR=redis.address, REDIS_PRICE_STREAM="true"):
        first = await value(redis.client, "price:BTCUSDT", lambda one: one["bid"])
        assert first["bid"] <= first["ask"]
        assert first["price"] == pytest.approx(first["ask"], rel=0.01)
        assert first["simulated"] is True
        await value(redis.client, "price:BTCUSDT", lambda one: one["timestamp"] > first["timestamp"])
        assert await redis.client.keys("price:*") == [b"price:BTCUSDT"]
        assert await redis.client.xlen("prices") >= 2
        assert (await fleet.state())["cached_prices"]["written"] >= 2


async def test_a_worker_goes_on_while_its_redis_never_answers(fleet):
    async with silent_server() as (address, _), fleet.worker("BTCUSDT", REDIS_ADDR=address):
        began = (await fleet.state())["counters"]

        async def has_gone_on() -> bool:
            state = await fleet.state()
            has_skipped = state["cached_prices"]["skipped_rounds"] >= 2
            return has_skipped and state["counters"]["records"] > began["records"] + 20

        await until(has_gone_on)
        assert (await fleet.state())["cached_prices"]["written"] == 0


async def test_without_redis_a_worker_writes_nothing(fleet):
    async with fleet.worker("BTCUSDT"):
        assert (await fleet.state())["cached_prices"] == {}


async def test_a_chart_and_a_level_outlive_the_recorder_in_redis(fleet, redis, tmp_path):
    async with (
        fleet.worker("BTCUSDT"),
        connect(BusAddress([fleet.nats_url]), "gateway") as bus,
        open_cache(redis.address) as cache,
    ):
        registry = Registry(bus)
        await registry.open()
        history = History(bus, registry.table, shared=cache)
        await history.start()

        async def has_a_chart() -> bool:
            try:
                return len((await history.bars("binance", "BTCUSDT", 1, FAR_MS, FAR_MS, 20)).bars) > 0
            except HistoryUnavailable:  # the recorder is on its way
                return False

        async with recording(fleet, tmp_path, redis.address):
            await until(has_a_chart)
            left = await value(redis.client, "cache:bars:BTCUSDT:1m")
            level = await value(redis.client, "enigma:BTCUSDT")
        history.cache.clear()
        newest = left["bars"][-1]["time"] * 1_000
        window = await history.bars("binance", "BTCUSDT", 1, newest, newest + 1, 10)
        assert window.as_of_us >= left["as_of_us"]
        assert window.bars["open_ms"].tolist()[-1] == newest
        assert len(window.bars) >= 10
        answered = await history.enigma("binance", "BTCUSDT")
        assert answered["ath"] >= level["ath"]
        assert set(answered) | {"simulated"} == set(level)
        assert history.cached.served == 2
