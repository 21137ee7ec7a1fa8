"""What is killed comes back alone, and clients see a short pause."""

import asyncio
import json
import os
import signal
import time

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from bench.demo import until, until_gone
from protocol.frames import decode_v2

SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"]


async def subscribed(url: str, symbols: list[str]):
    stream = await connect(url, subprotocols=["tickgate.v2"])
    await stream.send(json.dumps({"type": "subscribe", "symbols": symbols}))
    await asyncio.wait_for(stream.recv(), 10)
    return stream


async def fresh_prices(stream, symbols: int) -> None:
    """Wait until every symbol has a price that the exchange sent after now."""
    now_us = time.time_ns() // 1000
    fresh: set[int] = set()
    async with asyncio.timeout(30):
        while len(fresh) < symbols:
            message = await stream.recv()
            if isinstance(message, bytes):
                frame = decode_v2(message)
                fresh |= {row.symbol_id for row in frame.rows() if frame.time_us - row.delay_us > now_us}


async def until_replaced(demo, role: str, victim: int) -> None:
    async def is_replaced() -> bool:
        return any(one.pid != victim for one in demo.children(role))

    await until(is_replaced)


@pytest.mark.parametrize("role", ["feed", "nats-server", "recorder"])
async def test_a_killed_process_comes_back_and_the_stream_goes_on(start_demo, role: str):
    async with start_demo("--symbols", "8", "--workers", "2") as demo:
        stream = await subscribed(demo.ws, SYMBOLS)
        await fresh_prices(stream, len(SYMBOLS))
        victim = demo.kill(role)
        await until_replaced(demo, role, victim)
        await fresh_prices(stream, len(SYMBOLS))  # on the same connection
        await stream.close()
        await until_well(demo)


async def until_well(demo) -> None:
    """Wait until health has nothing to complain of."""

    async def is_well() -> bool:
        return (await demo.get("/healthz"))["status"] == "ok"

    await until(is_well)


async def test_a_killed_gateway_comes_back_on_its_port(start_demo):
    async with start_demo("--symbols", "8", "--workers", "1") as demo:
        stream = await subscribed(demo.ws, SYMBOLS)
        before = await ids(demo)
        victim = demo.kill("gateway")
        with pytest.raises(ConnectionClosed):
            await fresh_prices(stream, 1_000)
        await until_replaced(demo, "gateway", victim)
        await demo.until_ready()
        stream = await subscribed(demo.ws, SYMBOLS)
        await fresh_prices(stream, len(SYMBOLS))
        await stream.close()
        assert await ids(demo) == before


async def ids(demo) -> dict[str, int]:
    return {one["symbol"]: one["id"] for one in await demo.get("/api/v1/symbols")}


async def test_ids_are_the_same_after_everything_was_restarted(start_demo):
    listed = []
    for _ in range(2):
        async with start_demo("--symbols", "8") as demo:
            listed.append(await ids(demo))
    assert listed[0] == listed[1]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_everything_in_order_and_leaves_nothing(start_demo, how: signal.Signals):
    async with start_demo("--symbols", "4") as demo:
        family = [one.pid for role in ROLES for one in demo.children(role)]
        assert len(family) >= len(ROLES)
        assert await demo.stop(how) == 0
        await until_gone(family)


async def test_a_child_that_hangs_does_not_keep_the_rest_from_stopping(start_demo):
    async with start_demo("--symbols", "4") as demo:
        family = [one.pid for role in ROLES for one in demo.children(role)]
        for role in ("feed", "nats-server"):
            os.kill(demo.children(role)[0].pid, signal.SIGSTOP)
        await demo.stop()
        await until_gone(family)


async def test_when_the_supervisor_is_killed_its_children_end_too(start_demo):
    async with start_demo("--symbols", "4") as demo:
        family = [one.pid for role in ROLES for one in demo.children(role)]
        demo.process.kill()
        await until_gone(family)


async def test_ready_turns_false_when_prices_stop_and_true_again(start_demo):
    async with start_demo("--symbols", "4") as demo, httpx.AsyncClient(base_url=demo.http) as http:

        async def is_unready() -> bool:
            return (await http.get("/readyz")).status_code == 503

        os.kill(demo.children("sim")[0].pid, signal.SIGSTOP)
        await until(is_unready)
        os.kill(demo.children("sim")[0].pid, signal.SIGCONT)
        await demo.until_ready()


ROLES = ("nats-server", "sim", "recorder", "feed", "gateway")
