import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from nats.errors import NoRespondersError

from processors import bus as bus_module
from processors.bus import (
    Bus,
    BusAddress,
    BusError,
    Endpoint,
    GaveUp,
    NoAnswer,
    SlowEndpoint,
    _heeding,
    connect,
)


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


async def test_a_rolling_stream_lets_its_oldest_messages_go(nats_url: str):
    async with connect(address(nats_url), "test") as bus:
        await bus.open_rolling_stream("ROLLS", "rolls.>", max_bytes=4_096)
        for number in range(100):
            last = await bus.append(f"rolls.{number}", bytes(200))
        assert await bus.read_message("ROLLS", 1) is None
        assert await bus.read_message("ROLLS", last) == bytes(200)


async def test_a_stream_can_keep_the_newest_message_of_each_subject(nats_url: str):
    async with connect(address(nats_url), "test") as bus:
        await bus.open_rolling_stream("NEWEST", "newest.>", max_bytes=4_096, newest_only=True)
        for payload in (b"1", b"2"):
            await bus.append("newest.a", payload)
        assert await bus.read_last("NEWEST", "newest.a") == b"2"
        assert await bus.read_last("NEWEST", "newest.b") is None
        assert await bus.read_message("NEWEST", 1) is None


async def test_an_append_that_is_repeated_is_stored_once(nats_url: str):
    async with connect(address(nats_url), "test") as bus:
        await bus.open_rolling_stream("TWICE", "twice.>", max_bytes=4_096)
        for _ in range(2):
            sequence = await bus.append("twice.a", b"", "the same")
        assert sequence == await bus.last_sequence("TWICE") == 1


async def test_where_nothing_keeps_it_an_append_fails(nats_url: str):
    async with connect(address(nats_url), "test") as bus:
        with pytest.raises(BusError, match=r"nobody\.keeps\.this"):
            await bus.append("nobody.keeps.this", b"")


@asynccontextmanager
async def slow_service(url: str, *endpoints: SlowEndpoint) -> AsyncIterator[Bus]:
    async with connect(address(url), "test") as bus, asyncio.TaskGroup() as tasks:
        await bus.serve("slow", "1.0.0", "takes its time", [], {}, slow=endpoints, tasks=tasks)
        yield bus


async def test_a_slow_answer_keeps_nobody_else_waiting(nats_url: str):
    go_on = asyncio.Event()

    async def answer(subject: str, payload: bytes) -> bytes:
        if payload == b"wait":
            await go_on.wait()
        return payload

    async with slow_service(nats_url, SlowEndpoint("slow", "request.slow", answer)) as bus:
        first = asyncio.create_task(bus.request("request.slow", b"wait", timeout_s=10))
        assert await bus.request("request.slow", b"quick") == b"quick"
        go_on.set()
        assert await first == b"wait"


async def test_too_many_slow_answers_at_once_are_refused(nats_url: str):
    go_on = asyncio.Event()

    async def answer(subject: str, payload: bytes) -> bytes:
        await go_on.wait()
        return b"done"

    async with slow_service(nats_url, SlowEndpoint("slow", "request.full", answer)) as bus:
        waiting = [asyncio.create_task(bus.request("request.full", timeout_s=10)) for _ in range(80)]
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        go_on.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all("too many" in str(one.exception()) for one in done)
    assert results.count(b"done") == 64


async def test_a_request_to_all_is_answered_by_the_one_that_can(nats_url: str):
    def owner_of(name: str) -> SlowEndpoint:
        async def answer(subject: str, payload: bytes) -> bytes | None:
            return name.encode() if subject.endswith(name) else None

        return SlowEndpoint("owned", "request.owned.*", answer, asked_by_all=name)

    async with slow_service(nats_url, owner_of("a"), owner_of("b")) as bus:
        for _ in range(5):
            assert await bus.request("request.owned.a") == b"a"
            assert await bus.request("request.owned.b") == b"b"
        with pytest.raises(NoAnswer, match="no answer"):
            await bus.request("request.owned.c", timeout_s=0.1)


async def test_a_slow_endpoint_refuses_what_does_not_exist(nats_url: str):
    async def answer(subject: str, payload: bytes) -> bytes:
        raise KeyError("BTCUSDT")

    async with slow_service(nats_url, SlowEndpoint("none", "request.slow-none", answer)) as bus:
        with pytest.raises(NoAnswer, match="BTCUSDT"):
            await bus.request("request.slow-none")


async def test_a_cancellation_that_comes_with_the_answer_is_heeded(nats_url: str):
    """Python 3.11 would forget it, and whoever appends in a loop would never end."""
    async with connect(address(nats_url), "test") as bus:
        await bus.open_rolling_stream("HEEDS", "heeds.>", max_bytes=100_000)
        stored: asyncio.Queue[bytes] = asyncio.Queue()
        await bus.subscribe("heeds.>", lambda _subject, payload: stored.put_nowait(payload))

        async def append_for_ever() -> None:
            while True:
                await bus.append("heeds.a", b"")

        for _ in range(50):  # the message is heard at about the moment at which its answer comes
            task = asyncio.create_task(append_for_ever())
            await asyncio.wait_for(stored.get(), 5)
            task.cancel()
            await asyncio.wait([task], timeout=5)
            assert task.cancelled()


@pytest.mark.parametrize("refuse", [False, True])
async def test_a_cancellation_that_comes_with_an_answer_or_a_refusal_is_heeded(refuse: bool):
    answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(_heeding(asyncio.wait_for(answer, 60)))
    await asyncio.sleep(0)
    if refuse:
        answer.set_exception(NoRespondersError())
    else:
        answer.set_result(b"")
    await asyncio.sleep(0)  # wait_for has heard of it, and is about to go on
    task.cancel()
    await asyncio.wait([task], timeout=5)
    assert task.cancelled()


async def test_a_message_can_be_handed_over_from_where_nobody_can_wait(nats_url: str):
    async with connect(address(nats_url), "test") as bus:
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        await bus.subscribe("at.once", lambda _, payload: heard.put_nowait(payload))
        await bus.flush()
        for number in range(100):
            bus.publish_now("at.once", b"%d" % number)
        assert bus.pending_bytes > 0
        async with asyncio.timeout(20):
            assert [await heard.get() for _ in range(100)] == [b"%d" % number for number in range(100)]


async def test_what_the_connection_cannot_hold_is_refused_at_once(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bus_module, "MAX_PENDING_BYTES", 8_000_000)
    async with connect(address(nats_url), "test") as bus:
        assert bus.has_room
        for _ in range(7):
            bus.publish_now("at.once", bytes(1_000_000))
        with pytest.raises(BusError, match="more than"):
            bus.publish_now("at.once", bytes(1_000_000))
        assert not bus.has_room
        with pytest.raises(BusError, match="cannot publish"):
            bus.publish_now("no spaces", b"")
        await bus.flush()
        assert bus.has_room
