"""The ledger's writer on a real bus, and on one that comes later."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from gateway.ledger import STREAM, LedgerWriter, open_ledger
from gateway.natsd import nats_server
from gateway.processes.ports import find_free_port
from processors.bus import BusAddress, connect
from protocol.events import GapCause, GapState
from protocol.ledger import LedgerEntry, parse_entry


def entry(number: int, state: GapState = GapState.OPEN) -> LedgerEntry:
    return LedgerEntry(
        id=f"gap-{number}",
        venue="test-ledger",
        native="BTCUSDT",
        stream="aggTrade",
        cause=GapCause.SKIPPED,
        state=state,
        missing=1 if state is GapState.OPEN else 0,
        noticed_us=1,
    )


@asynccontextmanager
async def running(writer: LedgerWriter) -> AsyncIterator[None]:
    task = asyncio.create_task(writer.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_entries_are_stored_and_told_in_their_order(nats_url: str):
    async with connect(BusAddress([nats_url]), "test") as bus:
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        await bus.subscribe("gaps.test-ledger.>", lambda _subject, payload: heard.put_nowait(payload))
        await open_ledger(bus)
        await open_ledger(bus)  # by every worker
        writer = LedgerWriter(bus)
        async with running(writer), asyncio.timeout(10):
            for number in range(200):
                writer.note(entry(number))
            writer.note(entry(0, GapState.FILLED))
            told = [parse_entry(await heard.get()) for _ in range(201)]
        assert [one.id for one in told] == [f"gap-{number}" for number in range(200)] + ["gap-0"]
        assert told[-1].state is GapState.FILLED
        stored = await bus.read_message(STREAM, await bus.last_sequence(STREAM))
        assert stored is not None
        assert parse_entry(stored) == told[-1]


async def test_an_entry_that_is_written_twice_is_stored_once(nats_url: str):
    async with connect(BusAddress([nats_url]), "test") as bus:
        await open_ledger(bus)
        for _ in range(2):
            writer = LedgerWriter(bus)
            writer.note(entry(1_000))
            await writer.drain()
            last = await bus.last_sequence(STREAM)
        assert await bus.last_sequence(STREAM) == last
        before = await bus.read_message(STREAM, last - 1)
        assert before is None or parse_entry(before).id != "gap-1000"


async def test_what_is_noted_while_the_bus_is_away_is_stored_when_it_is_back(tmp_path):
    port = find_free_port()
    async with AsyncExitStack() as stack:
        first = AsyncExitStack()
        server = await first.enter_async_context(nats_server(tmp_path, port, {}))
        bus = await stack.enter_async_context(connect(BusAddress([server.url]), "test"))
        await open_ledger(bus)
        writer = LedgerWriter(bus)
        await first.aclose()
        async with running(writer), asyncio.timeout(30):
            for number in range(3):
                writer.note(entry(number))
            async with nats_server(tmp_path, port, {}):
                while writer.waiting:  # noqa: ASYNC110  # it tells nobody
                    await asyncio.sleep(0.01)
                assert await bus.last_sequence(STREAM) == 3


async def test_when_too_many_wait_the_oldest_goes_and_is_named(nats_url: str):
    async with connect(BusAddress([nats_url]), "test") as bus:
        writer = LedgerWriter(bus, max_waiting=2)
        with structlog.testing.capture_logs() as said:
            for number in range(3):
                writer.note(entry(number))
        assert (writer.waiting, writer.dropped) == (2, 1)
        assert [one["id"] for one in said] == ["gap-0"]
