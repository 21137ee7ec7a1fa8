"""Every fault does what it says, to whom it says, and counts what it did."""

import json

import pytest
import websockets

from gateway.sim.faults import BadFault, Fault, FaultKind, parse_fault


async def inject(desk, kind: str, **fields):
    answer = await desk.http.post("/sim/faults", json={"kind": kind, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def hits(desk, kind: str) -> dict[str, int]:
    told = await desk.get("/sim/faults")
    return next(one["hits"] for one in told["standing"] + told["past"] if one["kind"] == kind)


def ids(messages) -> list[int]:
    return [message["a"] for message in messages]


async def test_cut_drops_connections_without_a_word(exchange):
    async with exchange() as desk, desk.listen("/ws/btcusdt@aggTrade") as ear:
        await ear.hear()
        await inject(desk, "cut")
        assert await ear.closed() == 1006
        assert await hits(desk, "cut") == {"connections": 1}
        async with desk.listen("/ws/btcusdt@aggTrade") as again:
            await again.hear()


async def test_cut_can_strike_only_those_who_listen_to_a_symbol(exchange):
    async with (
        exchange() as desk,
        desk.listen("/ws/btcusdt@aggTrade") as one,
        desk.listen("/ws/ethusdt@aggTrade") as other,
    ):
        await other.hear()
        await inject(desk, "cut", symbols=["BTCUSDT"])
        assert await one.closed() == 1006
        await other.hear_some(10)


async def test_refuse_rejects_connection_attempts_while_it_stands(exchange):
    async with exchange() as desk:
        await inject(desk, "refuse", markets=["spot"])
        with pytest.raises(websockets.InvalidStatus):
            async with desk.listen("/ws"):
                pass
        async with desk.listen("/dstream/ws"):
            pass
        await desk.http.delete("/sim/faults")
        async with desk.listen("/ws"):
            pass


async def test_mute_acknowledges_and_says_nothing(exchange):
    async with exchange() as desk:
        await inject(desk, "mute", streams=["aggTrade"])
        async with desk.listen("/ws") as ear:
            assert (await ear.ask("SUBSCRIBE", ["btcusdt@aggTrade", "btcusdt@trade"]))["result"] is None
            assert {message["e"] for message in await ear.hear_some(30)} == {"trade"}
        assert (await hits(desk, "mute"))["aggTrade"] > 0


async def test_what_is_lost_on_the_socket_is_told_by_rest(exchange):
    async with exchange() as desk:
        await inject(desk, "lose", share=0.3)
        async with desk.listen("/ws/btcusdt@aggTrade") as ear:
            heard = await ear.hear_some(80)
        told = await desk.get("/api/v3/aggTrades", symbol="BTCUSDT", fromId=heard[0]["a"], limit=1000)
    missing = set(range(heard[0]["a"], heard[-1]["a"])) - set(ids(heard))
    assert 10 < len(missing) < 80
    assert missing <= {row["a"] for row in told}


async def test_messages_come_twice(exchange):
    async with exchange() as desk:
        await inject(desk, "duplicate", symbols=["BTCUSDT"])
        async with desk.listen("/ws/btcusdt@aggTrade") as ear:
            heard = ids(await ear.hear_some(20))
    assert heard[::2] == heard[1::2] == list(range(heard[0], heard[0] + 10))


async def test_neighbours_change_places(exchange):
    async with exchange() as desk:
        await inject(desk, "reorder", share=0.3)
        async with desk.listen("/stream?streams=btcusdt@aggTrade/ethusdt@aggTrade") as ear:
            heard = await ear.hear_some(160, lambda message: message["data"]["s"] == "BTCUSDT")
    numbers = ids(message["data"] for message in heard)
    assert numbers != sorted(numbers)
    assert len(set(numbers)) == len(numbers)
    assert sorted(numbers)[:-2] == list(range(min(numbers), min(numbers) + len(numbers) - 2))


async def test_what_was_held_back_comes_when_a_fault_ends(exchange):
    async with exchange() as desk, desk.listen("/ws/btcusdt@aggTrade") as ear:
        for kind in ("reorder", "slow"):
            first = (await ear.hear())["a"]
            await inject(desk, kind)
            await desk.listen_elsewhere(30)
            await desk.http.delete("/sim/faults")
            heard = ids(await ear.hear_some(100))
            assert sorted(heard) == list(range(first + 1, first + 101))


async def test_messages_are_malformed_in_two_ways(exchange):
    async with exchange() as desk:
        await inject(desk, "malformed")
        async with desk.listen("/ws/btcusdt@aggTrade") as ear:
            texts = [await ear.connection.recv() for _ in range(10)]
    broken, mistyped = texts[::2], texts[1::2]
    for text in broken:
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)
    assert all(json.loads(text)["s"] == {} for text in mistyped)


async def test_slow_messages_come_late_and_in_order(exchange):
    async with exchange() as desk:
        await inject(desk, "slow", delay_ms=300)
        async with desk.listen("/ws/btcusdt@aggTrade") as ear:
            heard = await ear.hear_some(20)
            now_ms = (await desk.get("/api/v3/time"))["serverTime"]
    assert ids(heard) == list(range(heard[0]["a"], heard[0]["a"] + 20))
    assert now_ms - heard[-1]["E"] >= 300


async def test_market_streams_go_stale_and_public_ones_do_not(exchange):
    async with exchange() as desk:
        await inject(desk, "stale")
        async with (
            desk.listen("/fstream/market/ws/btcusdt@aggTrade") as market,
            desk.listen("/fstream/public/ws/btcusdt@bookTicker") as public,
            desk.listen("/ws/btcusdt@aggTrade") as spot,
        ):
            await public.hear_some(20)
            await spot.hear_some(20)
            await desk.http.delete("/sim/faults")
            first = await market.hear()
        assert (await hits(desk, "stale"))["aggTrade"] > 0
        told = await desk.get("/fapi/v1/aggTrades", symbol="BTCUSDT", fromId=first["a"] - 1, limit=1)
        assert told[0]["a"] == first["a"] - 1


@pytest.mark.parametrize("status", [429, 418])
async def test_rest_is_refused_with_a_time_to_come_back(exchange, status):
    async with exchange() as desk:
        await inject(desk, "rate_limit", status=status, retry_after=7)
        answer = await desk.http.get("/api/v3/ping")
        assert answer.status_code == status
        assert answer.headers["retry-after"] == "7"
        assert answer.json()["code"] == -1003
        assert await hits(desk, "rate_limit") == {"requests": 1}


async def test_a_shutdown_is_announced_and_comes(exchange):
    async with exchange() as desk, desk.listen("/stream?streams=btcusdt@aggTrade") as ear:
        await ear.hear()
        await inject(desk, "shutdown", seconds=0.2)
        (said,) = await ear.hear_some(1, lambda message: message["stream"] == "!serverShutdown")
        assert said["data"]["e"] == "serverShutdown"
        assert await ear.closed() == 1001


async def test_lives_can_be_short(exchange):
    async with exchange() as desk, desk.listen("/ws/btcusdt@aggTrade") as ear:
        await inject(desk, "max_life", life_seconds=0.1)
        assert await ear.closed() == 1008


async def test_a_halt_keeps_trades_back_and_loses_none(exchange):
    async with exchange() as desk, desk.listen("/ws/btcusdt@aggTrade") as ear:
        last = (await ear.hear_some(5))[-1]["a"]
        await inject(desk, "halt", symbols=["BTCUSDT"])
        await desk.listen_elsewhere(30)
        halted = await desk.get("/api/v3/aggTrades", symbol="BTCUSDT", limit=1)
        async with desk.listen("/ws/btcusdt@aggTrade") as late:
            await desk.listen_elsewhere(10)
            await desk.http.delete("/sim/faults")
            assert (await late.hear())["a"] == halted[0]["a"] + 1
        heard = ids(await ear.hear_some(40))
    assert heard == list(range(last + 1, last + 41))
    assert last <= halted[0]["a"] < heard[30]


async def test_a_fault_ends_with_its_time(exchange):
    async with exchange() as desk, desk.listen("/ws/btcusdt@aggTrade") as ear:
        await inject(desk, "mute", seconds=0.2)
        await ear.hear()
        told = await desk.get("/sim/faults")
        while told["standing"]:
            told = await desk.get("/sim/faults")
        assert told["past"][0]["kind"] == "mute"


async def test_faults_stand_from_the_start(exchange):
    async with exchange(faults=(Fault(FaultKind.RATE_LIMIT),)) as desk:
        assert (await desk.http.get("/api/v3/ping")).status_code == 429


async def test_a_fault_can_be_injected_in_process(exchange):
    async with exchange() as desk, desk.listen("/ws/btcusdt@aggTrade") as ear:
        await ear.hear()
        desk.sim.inject(Fault(FaultKind.CUT))
        assert await ear.closed() == 1006


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "JSON"), ("[]", "object"), ('{"kind": "flood"}', "kind"), ('{"kind": "cut", "hue": 1}', "hue"),
        ('{"kind": "lose", "share": 0}', "share"), ('{"kind": "lose", "share": "half"}', "share"),
        ('{"kind": "mute", "seconds": -1}', "seconds"), ('{"kind": "mute", "markets": ["moon"]}', "moon"),
        ('{"kind": "rate_limit", "status": 500}', "status"), ('{"kind": "slow", "delay_ms": -5}', "delay_ms"),
        ('{"kind": "mute", "symbols": "BTCUSDT"}', "symbols"),
    ],
)  # fmt: skip
def test_a_wrong_fault_is_refused_by_name(text, named):
    with pytest.raises(BadFault, match=named):
        parse_fault(text)


async def test_a_wrong_fault_is_a_400(exchange):
    async with exchange() as desk:
        answer = await desk.http.post("/sim/faults", content="{}")
        assert answer.status_code == 400
        assert "kind" in answer.json()["error"]


def test_a_fault_is_parsed_with_all_its_fields():
    fault = parse_fault('{"kind": "lose", "seconds": 2, "share": 0.5, "symbols": ["A"], "markets": ["spot"]}')
    assert fault == Fault(FaultKind.LOSE, 2, 0.5, ("A",), (), ("spot",))


async def test_many_faults_at_once_are_refused(exchange):
    async with exchange() as desk:
        for _ in range(100):
            desk.sim.inject(Fault(FaultKind.SLOW, delay_ms=0))
        with pytest.raises(BadFault, match="100"):
            desk.sim.inject(Fault(FaultKind.SLOW))
