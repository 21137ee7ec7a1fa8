"""The price processor on a real bus that goes away and comes back."""

import asyncio
from contextlib import AsyncExitStack

from gateway.natsd import nats_server
from gateway.processes.ports import find_free_port
from processors.bus import BusAddress, connect
from processors.price import PriceProcessor
from processors.shell import PriceShell, now_us
from protocol import subjects
from protocol.batches import decode_batch
from protocol.events import Kind, changes_of
from protocol.market import AggTrade


def shell_on(bus, **options) -> PriceShell:
    processor = PriceProcessor("binance", 0, epoch_us=now_us(), **options)
    processor.add_symbol("BTCUSDT", 1)
    return PriceShell(processor, bus, max_wait_ms=50)


def trade(shell: PriceShell, trade_id: int) -> None:
    at = now_us()
    shell.on_event(AggTrade("BTCUSDT", trade_id, float(trade_id), 1.0, False, at, at, trade_id, trade_id), at)


async def rows_until(queue: asyncio.Queue[bytes], kind: Kind, done) -> list:
    """Read batches until the rows of a kind satisfy the condition."""
    rows: list = []
    async with asyncio.timeout(20):
        while not done(rows):
            batch = decode_batch(await queue.get())
            rows += [row for frame in batch.frames if frame.kind is kind for row in frame.rows()]
    return rows


async def test_an_event_is_published_without_waiting_for_others(nats_url: str):
    async with connect(BusAddress([nats_url]), "test") as bus:
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        await bus.subscribe(subjects.wire("binance", 0), lambda _, payload: heard.put_nowait(payload))
        shell = shell_on(bus)
        running = asyncio.create_task(shell.run())
        trade(shell, 1)
        (price,) = await rows_until(heard, Kind.PRICE, lambda rows: rows)
        assert price.price == 1.0
        running.cancel()
        await asyncio.wait([running])


async def test_while_the_bus_is_away_trades_wait_and_then_all_come(tmp_path):
    port = find_free_port()
    async with AsyncExitStack() as stack:
        first = AsyncExitStack()
        server = await first.enter_async_context(nats_server(tmp_path, port, {}))
        bus = await stack.enter_async_context(connect(BusAddress([server.url]), "test"))
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        await bus.subscribe("wire.>", lambda _, payload: heard.put_nowait(payload))
        shell = shell_on(bus)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        running = tasks.create_task(shell.run())
        await first.aclose()
        while bus.is_connected:  # noqa: ASYNC110  # until the client has noticed; it tells nobody
            await asyncio.sleep(0)
        for trade_id in range(1, 31):
            trade(shell, trade_id)
        async with nats_server(tmp_path, port, {}):
            rows = await rows_until(heard, Kind.TRADE, lambda rows: len(rows) >= 30)
            running.cancel()
            await asyncio.wait([running])
        assert [row.id for row in rows] == list(range(1, 31))


async def test_what_waits_is_published_before_leaving(nats_url: str):
    async with connect(BusAddress([nats_url]), "test") as bus:
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        await bus.subscribe(subjects.wire("binance", 0), lambda _, payload: heard.put_nowait(payload))
        shell = shell_on(bus)
        for trade_id in range(1, 251):
            trade(shell, trade_id)
        await shell.drain()
        rows = await rows_until(heard, Kind.TRADE, lambda rows: len(rows) >= 250)
        assert [row.id for row in rows] == list(range(1, 251))
        assert shell.processor.waiting == 0


async def test_a_snapshot_is_answered_on_the_bus(nats_url: str):
    async with connect(BusAddress([nats_url]), "test") as bus:
        shell = shell_on(bus)
        await bus.serve("feed-of-snapshots", "1.0.0", "a shard", [shell.endpoint()], {})
        trade(shell, 7)
        snapshot = decode_batch(await bus.request(subjects.request_snapshot("binance", 0)))
        (price,) = snapshot.frames[0].rows()
        assert (price.price, changes_of(price.flags)) == (7.0, 1)


def run_of(first_id: int, count: int) -> list[AggTrade]:
    at = now_us()
    return [
        AggTrade("BTCUSDT", one, float(one), 1.0, False, at, at, one, one)
        for one in range(first_id, first_id + count)
    ]


async def test_what_came_in_one_turn_is_sent_at_its_end_without_another_turn_of_the_loop(nats_url: str):
    async with connect(BusAddress([nats_url]), "test") as bus:
        shell = shell_on(bus)
        shell.begin_turn()
        shell.on_run("BTCUSDT", run_of(1, 250), now_us())
        assert shell.processor.waiting > 250
        shell.end_turn()
        assert (shell.processor.waiting, bus.pending_bytes > 250 * 40) == (0, True)


async def test_a_second_turn_waits_for_the_first_to_be_on_its_way(nats_url: str):
    async with connect(BusAddress([nats_url]), "test") as bus:
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        await bus.subscribe(subjects.wire("binance", 0), lambda _, payload: heard.put_nowait(payload))
        await bus.flush()
        shell = shell_on(bus)
        for trade_id in (1, 2, 3):
            shell.begin_turn()
            shell.on_run("BTCUSDT", run_of(trade_id, 1), now_us())
            shell.end_turn()
        assert shell.processor.waiting > 0
        running = asyncio.create_task(shell.run())
        rows = await rows_until(heard, Kind.TRADE, lambda rows: len(rows) >= 3)
        assert [row.id for row in rows] == [1, 2, 3]
        running.cancel()
        await asyncio.wait([running])


async def test_a_burst_larger_than_the_queue_is_not_dropped_while_the_bus_can_take_it(nats_url: str):
    async with connect(BusAddress([nats_url]), "test") as bus:
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        await bus.subscribe(subjects.wire("binance", 0), lambda _, payload: heard.put_nowait(payload))
        await bus.flush()
        shell = shell_on(bus, max_waiting_trades=2_000)
        for first_id in range(1, 10_001, 500):  # in one turn of the loop
            shell.begin_turn()
            shell.on_run("BTCUSDT", run_of(first_id, 500), now_us())
            shell.end_turn()
        await shell.drain()
        rows = await rows_until(heard, Kind.TRADE, lambda rows: len(rows) >= 10_000)
        assert [row.id for row in rows] == list(range(1, 10_001))
        assert shell.processor.counters.dropped_trades == 0
