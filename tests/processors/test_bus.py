import asyncio

import pytest

from processors.bus import BusAddress, BusError, Endpoint, GaveUp, NoAnswer, connect


def address(url: str) -> BusAddress:
    return BusAddress([url])


async def test_messages_arrive_in_the_order_they_were_published(nats_url: str):
    async with connect(address(nats_url), "test") as bus:
        seen: asyncio.Queue[bytes] = asyncio.Queue()
        await bus.subscribe("lane.order.>", lambda _subject, payload: seen.put_nowait(payload))
        for number in range(500):
            await bus.publish("lane.order.x", str(number).encode())
        heard = [await asyncio.wait_for(seen.get(), 5) for _ in range(500)]
    assert heard == [str(number).encode() for number in range(500)]


async def test_a_request_is_answered_by_the_service(nats_url: str):
    async with connect(address(nats_url), "test") as bus:
        echo = Endpoint("echo", "request.echo.*", lambda subject, payload: subject.encode() + b"=" + payload)
        await bus.serve("echoes", "1.0.0", "says it again", [echo], {"shard": "0/1"})
        assert await bus.request("request.echo.a", b"1") == b"request.echo.a=1"


async def test_what_a_service_does_not_have_is_no_answer_with_the_reason(nats_url: str):
    def nothing(_subject: str, _payload: bytes) -> bytes:
        raise KeyError("BTCUSDT")

    async with connect(address(nats_url), "test") as bus:
        await bus.serve("empty", "1.0.0", "has nothing", [Endpoint("none", "request.none", nothing)], {})
        with pytest.raises(NoAnswer, match="BTCUSDT"):
            await bus.request("request.none")


async def test_a_request_that_nobody_serves_fails_at_once(nats_url: str):
    async with connect(address(nats_url), "test") as bus:
        with pytest.raises(NoAnswer, match="nobody answers"):
            await bus.request("request.of.nobody", timeout_s=30)


async def test_a_stop_ends_the_search_for_a_server_that_is_not_there():
    stop = asyncio.Event()
    stop.set()
    with pytest.raises(GaveUp):
        async with connect(address("nats://127.0.0.1:1"), "test", stop):
            pass


async def test_a_process_shows_up_as_a_micro_service(nats_url: str):
    async with connect(address(nats_url), "test") as bus:
        await bus.serve("tickgate-shown", "1.0.0", "for nats micro ls", [], {"venue": "binance"})
        info = await bus.request("$SRV.INFO.tickgate-shown")
    assert b'"venue":"binance"' in info.replace(b" ", b"")


async def test_only_the_first_message_of_a_subject_is_appended(nats_url: str):
    async with connect(address(nats_url), "test") as bus:
        await bus.open_stream("FIRSTS", "firsts.>", 10)
        assert await bus.append_first("firsts.a", b"1") == 1
        assert await bus.append_first("firsts.a", b"2") is None
        assert await bus.append_first("firsts.b", b"3") == 2
        assert await bus.last_sequence("FIRSTS") == 2
        assert await bus.read_message("FIRSTS", 1) == b"1"
        assert await bus.read_message("FIRSTS", 9) is None


async def test_a_full_stream_refuses_and_says_so(nats_url: str):
    async with connect(address(nats_url), "test") as bus:
        await bus.open_stream("FULL", "full.>", 2)
        for name in ("a", "b"):
            await bus.append_first(f"full.{name}", b"")
        with pytest.raises(BusError, match=r"full\.c"):
            await bus.append_first("full.c", b"")
