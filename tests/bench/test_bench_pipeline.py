"""The bench of the pipeline: its clients in C, how many a gateway holds, and what is said of a run."""

import asyncio
import os
import time
from contextlib import asynccontextmanager

import pytest

from bench.fanout.compiled import CLIENTS, CannotCompile, compile_program
from bench.fanout.reader import ReaderFailed, reader
from bench.fanout.watchlists import conversation, draw
from bench.pipeline import Params, plan_headline, plan_processes, run
from gateway.ws.connection import frame_binary
from protocol.events import Price
from protocol.frames import encode_v2
from protocol.session import SUBPROTOCOL_V2

TIMEOUT_S = 20.0
SECOND_US = 1_000_000


@pytest.fixture
def compiled_clients(tmp_path):
    try:
        return compile_program(CLIENTS, tmp_path)
    except CannotCompile as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


# Its clients


@asynccontextmanager
async def a_client(binary, folder):
    """Run one client of ours, its counting begun, and the stream on which it is written to."""
    streams = asyncio.Queue()

    async def serve(incoming, outgoing):
        handshake = await incoming.readuntil(b"\r\n\r\n")
        assert f"Sec-WebSocket-Protocol: {SUBPROTOCOL_V2}\r\n".encode() in handshake
        outgoing.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x02{}")
        streams.put_nowait(outgoing)

    (folder / "conversations").write_bytes(conversation(1, ["S1USDT"], SUBPROTOCOL_V2))
    async with (
        asyncio.timeout(TIMEOUT_S),
        await asyncio.start_server(serve, "127.0.0.1", 0) as server,
        reader("a test", binary, folder / "conversations") as clients,
    ):
        await clients.connect(server.sockets[0].getsockname()[1], 1)
        await clients.begin()
        stream = await streams.get()
        yield clients, stream
        stream.close()


def prices(*delays_us: int) -> list[Price]:
    return [Price(number + 1, 0, delay_us, 1.5, 2.5) for number, delay_us in enumerate(delays_us)]


async def test_a_record_is_as_old_as_its_frame_and_what_it_was_before(compiled_clients, tmp_path):
    frames = 100
    sent_us = time.time_ns() // 1000
    frame = frame_binary(encode_v2(prices(10 * SECOND_US, 30 * SECOND_US), sent_us))
    async with a_client(compiled_clients, tmp_path) as (clients, stream):
        stream.write(frame * (frames - 1))
        stream.write(frame_binary(encode_v2(prices(0), sent_us)))
        seen = await clients.figures(frames)
        took_us = time.time_ns() // 1000 - sent_us
    assert (seen["frames"], seen["records"], seen["lost"]) == (frames, 2 * frames - 1, 0)
    exactly = 1 - 1 / 1024
    assert 0 <= seen["last_hop"]["p50_us"] <= seen["last_hop"]["p999_us"] <= took_us
    for share, age_s in (("p50_us", 10), ("p99_us", 30), ("p999_us", 30)):
        age_us = age_s * SECOND_US
        assert age_us * exactly <= seen["age"][share] <= age_us + took_us, share


async def test_each_counting_begins_with_nothing(compiled_clients, tmp_path):
    frame = frame_binary(encode_v2(prices(5), time.time_ns() // 1000))
    async with a_client(compiled_clients, tmp_path) as (clients, stream):
        stream.write(frame)
        assert (await clients.figures(1))["records"] == 1
        await clients.begin()
        seen = await clients.figures()
    assert (seen["frames"], seen["records"]) == (0, 0)
    assert seen["age"] == {"p50_us": 0, "p99_us": 0, "p999_us": 0}


@pytest.mark.parametrize("size", range(1, 5))
async def test_a_changed_bit_is_found(compiled_clients, tmp_path, size):
    frame = bytearray(frame_binary(encode_v2(prices(*[5] * size), time.time_ns() // 1000)))
    frame[-size] ^= 1 << size
    async with a_client(compiled_clients, tmp_path) as (clients, stream):
        stream.write(bytes(frame))
        with pytest.raises(ReaderFailed, match="a wrong CRC"):
            await clients.figures(1)


async def test_what_is_no_frame_of_prices_is_said(compiled_clients, tmp_path):
    async with a_client(compiled_clients, tmp_path) as (clients, stream):
        stream.write(frame_binary(bytes(24)))
        with pytest.raises(ReaderFailed, match="no PRICE frame: 24 bytes"):
            await clients.figures(1)


def test_watchlists_are_different_ones_and_the_same_every_time():
    symbols = [f"S{number}" for number in range(50)]
    lists = draw(symbols, size=5, distinct=3)
    assert [len(set(one)) for one in lists] == [5, 5, 5]
    assert len({tuple(one) for one in lists}) == 3
    assert draw(symbols, 5, 3) == lists
    assert draw(symbols[:4], 5, 1) == [symbols[:4]], "there are no more"


# The run


async def test_one_gateway_holds_2000_clients(compiled_clients):
    params = Params(symbols=10, rate=1, clients=2_000, watchlist=3, watchlists=50, seconds=1, workers=1)
    rows = {row["name"]: row for row in (await run(params))["results"]["rows"]}
    ours = rows["tickgate"]
    assert (ours["lost_clients"], ours["slow_clients"]) == (0, 0)
    assert ours["records_per_s"] > 2_000
    assert {"hop_client", "process_clients"} <= rows.keys()


SEEN = {
    "age": {"p50_us": 820.0, "p99_us": 2_200.0, "p999_us": 4_300.0},
    "frames": 35_000, "records": 60_000, "lost": 0,
}  # fmt: skip


def test_what_the_gateway_spent_is_shared_by_the_frames_that_came():
    row = plan_headline(SEEN, {"slow_clients": 0}, {"gateway": 0.42, "clients": 0.4}, 2_000, 2.0)
    assert row["cpu_us_per_frame"] == 12.0
    assert (row["messages_per_s"], row["frames_per_s"], row["records_per_s"]) == (1_000, 17_500, 30_000)
    assert not row["load_limited"]


def test_clients_that_fill_a_core_are_said_to_be_the_limit():
    assert plan_headline(SEEN, {"slow_clients": 0}, {"clients": 1.9}, 2_000, 2.0)["load_limited"]


def test_a_process_has_its_share_of_every_update():
    rows = plan_processes({"feed": 0.2, "gateway": 0.4}, 2_000, 2.0)
    assert rows == [
        {"name": "process_feed", "cpu_us_per_update": 100.0, "core_share": 0.1},
        {"name": "process_gateway", "cpu_us_per_update": 200.0, "core_share": 0.2},
    ]
