"""What is killed comes back alone, and clients see a short pause.

How everything stops is shown where the supervisor's tests are.
"""

import asyncio
import json
import os
import signal
import time

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from bench.demo import ANSWER_TIMEOUT_S, Demo, until
from protocol.frames import decode_v2

SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"]
IN_ONE_DEMO = pytest.mark.asyncio(loop_scope="module")
"""Each leaves it as well as it was."""


@IN_ONE_DEMO
@pytest.mark.parametrize("role", ["feed", "nats-server", "recorder"])
async def test_a_killed_process_comes_back_and_the_stream_goes_on(demo: Demo, role: str):
    stream = await subscribed(demo.ws, SYMBOLS)
    await fresh_prices(stream, len(SYMBOLS))
    await kill_and_see_it_replaced(demo, role)
    await fresh_prices(stream, len(SYMBOLS))  # on the same connection
    await stream.close()
    await until_well(demo)


@IN_ONE_DEMO
async def test_a_killed_gateway_comes_back_on_its_port(demo: Demo):
    stream = await subscribed(demo.ws, SYMBOLS)
    before = await ids(demo)
    await kill_and_see_it_replaced(demo, "gateway")
    with pytest.raises(ConnectionClosed):
        await fresh_prices(stream, 1_000)
    await demo.until_ready()
    stream = await subscribed(demo.ws, SYMBOLS)
    await fresh_prices(stream, len(SYMBOLS))
    await stream.close()
    assert await ids(demo) == before
    await until_well(demo)


@IN_ONE_DEMO
async def test_ready_turns_false_when_prices_stop_and_true_again(demo: Demo):
    async with httpx.AsyncClient(base_url=demo.http, timeout=ANSWER_TIMEOUT_S) as http:

        async def is_unready() -> bool:
            return (await http.get("/readyz")).status_code == 503

        os.kill(demo.children("sim")[0].pid, signal.SIGSTOP)
        await until(is_unready)
        os.kill(demo.children("sim")[0].pid, signal.SIGCONT)
        await demo.until_ready()
    await until_well(demo)


async def test_ids_are_the_same_after_everything_was_restarted(start_demo):
    listed = []
    for _ in range(2):
        async with start_demo("--symbols", "8", "--workers", "1") as demo:
            listed.append(await ids(demo))
    assert listed[0] == listed[1]


async def subscribed(url: str, symbols: list[str]):
    stream = await connect(url, subprotocols=["tickgate.v2"])
    await stream.send(json.dumps({"type": "subscribe", "symbols": symbols}))
    await asyncio.wait_for(stream.recv(), ANSWER_TIMEOUT_S)
    return stream


async def fresh_prices(stream, symbols: int) -> None:
    """Wait until every symbol has a price that the exchange sent after now."""
    now_us = time.time_ns() // 1000
    fresh: set[int] = set()
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        while len(fresh) < symbols:
            message = await stream.recv()
            if isinstance(message, bytes):
                frame = decode_v2(message)
                fresh |= {row.symbol_id for row in frame.rows() if frame.time_us - row.delay_us > now_us}


async def kill_and_see_it_replaced(demo: Demo, role: str) -> None:
    before = {one.pid for one in demo.children(role)}
    victim = demo.kill(role)

    async def is_replaced() -> bool:
        now = {one.pid for one in demo.children(role)}
        return victim not in now and len(now) == len(before)

    await until(is_replaced)


async def until_well(demo: Demo) -> None:
    """Wait until health has nothing to complain of."""

    async def is_well() -> bool:
        return (await demo.get("/healthz"))["status"] == "ok"

    await until(is_well)


async def ids(demo: Demo) -> dict[str, int]:
    return {one["symbol"]: one["id"] for one in await demo.get("/api/v1/symbols")}
