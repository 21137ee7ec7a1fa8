"""The server as a whole: it starts, goes on where it was, and stops without a trace."""

import asyncio
import json

import pytest

from gateway.sim.server import OtherMarket, SimOptions, SimulatedExchange


async def test_two_exchanges_of_one_genesis_say_the_same(exchange):
    genesis_ms = 1_790_000_000_000
    answers = []
    for _ in range(2):
        async with exchange(genesis_ms=genesis_ms) as desk:
            span = {"startTime": genesis_ms - 60_000, "limit": 700}
            answers.append(await desk.get("/api/v3/aggTrades", symbol="BTCUSDT", **span))
    assert answers[0] == answers[1]
    assert len(answers[0]) == 700


async def test_a_restart_goes_on_as_if_it_had_never_stopped(exchange, tmp_path):
    async with exchange(data=tmp_path) as desk, desk.listen("/ws/btcusdt@aggTrade") as ear:
        before = await ear.hear_some(20)
    async with exchange(data=tmp_path) as desk, desk.listen("/ws/btcusdt@aggTrade") as ear:
        after = await ear.hear()
        between = await desk.get("/api/v3/aggTrades", symbol="BTCUSDT", fromId=before[0]["a"], limit=1000)
    known = {row["a"]: row for row in between}
    assert all(message.items() >= known[message["a"]].items() for message in before)
    assert after["a"] > before[-1]["a"]
    assert after["a"] in known


async def test_a_folder_remembers_the_genesis(tmp_path):
    genesis_ms = 1_790_000_040_000
    first = SimulatedExchange(SimOptions(data=tmp_path, symbols=1, genesis_ms=genesis_ms))
    second = SimulatedExchange(SimOptions(data=tmp_path, symbols=2))
    assert first.market.options.genesis_ms == second.market.options.genesis_ms == genesis_ms


async def test_a_folder_remembers_one_market_only(tmp_path):
    async with SimulatedExchange(SimOptions(data=tmp_path, symbols=1)):
        pass
    assert json.loads((tmp_path / "market.json").read_text())["seed"] == 7
    with pytest.raises(OtherMarket, match="rate"):
        SimulatedExchange(SimOptions(data=tmp_path, symbols=1, rate=11.0))
    (tmp_path / "market.json").write_text("{")
    with pytest.raises(OtherMarket, match="cannot be read"):
        SimulatedExchange(SimOptions(data=tmp_path, symbols=1))


async def test_several_exchanges_run_side_by_side(exchange):
    async with exchange(seed=1) as one, exchange(seed=2) as other:
        assert one.sim.port != other.sim.port
        async with one.listen("/ws/btcusdt@aggTrade") as left, other.listen("/ws/btcusdt@aggTrade") as right:
            assert (await left.hear())["s"] == (await right.hear())["s"]


async def test_it_stops_with_clients_connected_and_leaves_no_task(exchange):
    before = asyncio.all_tasks()
    async with SimulatedExchange(SimOptions(symbols=1)) as sim:
        reader, writer = await asyncio.open_connection("127.0.0.1", sim.port)
        writer.write(b"GET /sim/state HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" in await reader.readline()
    writer.close()
    assert asyncio.all_tasks() == before


async def test_serve_runs_until_it_is_cancelled():
    async with SimulatedExchange(SimOptions(symbols=1)) as sim:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await sim.serve()


async def test_what_the_body_raises_comes_out_as_it_is():
    with pytest.raises(KeyError, match="mine"):
        async with SimulatedExchange(SimOptions(symbols=1)):
            raise KeyError("mine")


async def test_the_state_counts_what_was_sent(exchange):
    async with exchange() as desk, desk.listen("/ws/btcusdt@aggTrade") as ear:
        await ear.hear_some(10)
        state = await desk.state()
    assert state["sent"]["aggTrade"] >= 10
    assert state["open_connections"] == 1
    assert state["counted"]["connections"] == 1
