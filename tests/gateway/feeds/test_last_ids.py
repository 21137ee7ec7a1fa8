"""What a worker leaves to its successor."""

import asyncio
import itertools

import structlog

from gateway.feeds.trades import last_ids
from gateway.feeds.trades.last_ids import LastIds, LastIdsKeeper
from processors.bus import BusAddress, connect

_venues = (f"test-ids-{number}" for number in itertools.count(1))


async def test_a_successor_reads_what_was_written_last(nats_url: str):
    venue = next(_venues)
    async with connect(BusAddress([nats_url]), "test") as bus:
        keeper = LastIdsKeeper(bus, venue, 3)
        assert await keeper.read() == LastIds(0, {})
        await keeper.write({"BTCUSDT": 1}, 10)
        await keeper.write({"BTCUSDT": 2, "币安人生USDT": 7}, 20)
        await LastIdsKeeper(bus, venue, 4).write({"ETHUSDT": 1}, 30)
        assert await LastIdsKeeper(bus, venue, 3).read() == LastIds(20, {"BTCUSDT": 2, "币安人生USDT": 7})


class Sending:
    """Sends when it is told to, and tells when it is looked at."""

    def __init__(self) -> None:
        self.came = 0
        self.sent = 0
        self.looked_at = asyncio.Event()

    def mark(self) -> int:
        return self.came

    def has_sent(self, mark: int) -> bool:
        self.looked_at.set()
        return self.sent >= mark


async def test_ids_are_written_only_when_what_they_name_has_left(nats_url: str, monkeypatch):
    monkeypatch.setattr(last_ids, "EVERY_S", 0.05)
    venue, sender = next(_venues), Sending()
    async with connect(BusAddress([nats_url]), "test") as bus:
        written: asyncio.Queue[bytes] = asyncio.Queue()
        await bus.subscribe(f"state.feed.{venue}.0", lambda _subject, payload: written.put_nowait(payload))
        keeper = LastIdsKeeper(bus, venue, 0)
        await keeper.read()
        sender.came = 1
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
            running = tasks.create_task(keeper.run(lambda: {"BTCUSDT": sender.came}, sender))
            await sender.looked_at.wait()
            assert written.empty()
            sender.sent, sender.came = 1, 2
            assert b'"BTCUSDT":1' in await written.get(), "2 has come meanwhile, and has not left"
            sender.sent = 2
            assert b'"BTCUSDT":2' in await written.get()
            running.cancel()


async def test_what_cannot_be_read_is_said_and_taken_as_nothing(nats_url: str):
    venue = next(_venues)
    async with connect(BusAddress([nats_url]), "test") as bus:
        keeper = LastIdsKeeper(bus, venue, 0)
        await keeper.read()
        await bus.append(f"state.feed.{venue}.0", b"[]")
        with structlog.testing.capture_logs() as said:
            assert await keeper.read() == LastIds(0, {})
        assert said[0]["event"] == "feed.last_ids_unreadable"


async def test_what_a_predecessor_left_goes_when_nothing_of_it_is_carried(nats_url: str):
    venue, sender = next(_venues), Sending()
    async with connect(BusAddress([nats_url]), "test") as bus:
        written: asyncio.Queue[bytes] = asyncio.Queue()
        await LastIdsKeeper(bus, venue, 0).read()
        await LastIdsKeeper(bus, venue, 0).write({"ETHUSDT": 7}, 10)
        await bus.subscribe(f"state.feed.{venue}.0", lambda _subject, payload: written.put_nowait(payload))
        keeper = LastIdsKeeper(bus, venue, 0)
        await keeper.read()
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
            running = tasks.create_task(keeper.run(dict, sender))
            assert b'"ids":{}' in await written.get()
            running.cancel()
