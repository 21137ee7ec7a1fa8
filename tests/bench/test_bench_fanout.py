"""The fan-out bench in small: every contender serves every client, and the clients count what they get."""

import asyncio
import os
import resource
import shutil
import struct
import time
from contextlib import asynccontextmanager

import pytest
from click.testing import CliRunner

from bench.commands import bench
from bench.fanout.compiled import READER, CannotCompile, compile_program
from bench.fanout.contest import CONTENDERS, Params, TooFewFiles, allow_open_files, format_table, ratios, run
from bench.fanout.lines import ProgramEnded, program
from bench.fanout.peers.rounds import read_order
from bench.fanout.reader import ReaderFailed, reader
from bench.fanout.watchlists import conversations, handshakes, instruments, payloads, watchlists
from protocol.control import Subscribe, parse_client_message
from protocol.events import PriceUpdate
from protocol.frames import decode_v1, encode_v1

TIMEOUT_S = 20.0
CLIENTS, ROUNDS = 8, 20
FIGURES = {
    "cpu_us_per_frame",
    "frames_per_s",
    "p50_us",
    "p99_us",
    "kb_per_client",
    "connects_per_s",
    "load_limited",
}
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


@pytest.fixture
def compiled_reader(tmp_path):
    try:
        return compile_program(READER, tmp_path)
    except CannotCompile as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


# The contest


async def test_every_contender_serves_every_client(compiled_reader):
    result = await run(Params(clients=CLIENTS, watchlists=2, seconds=0.25, rate=80.0, symbols=30))
    rows = {row["name"]: row for row in result["results"]["rows"]}
    here = {name: row for name, row in rows.items() if "missing" not in row}
    assert list(rows) == list(CONTENDERS)
    assert {"tickgate", "kernel_limit", "starlette", "websockets_broadcast"} <= here.keys()
    for row in here.values():
        assert row.keys() >= FIGURES
        assert row["frame_bytes"] == 366
        assert (row["strange_frames"], row["lost_clients"]) == (0, 0)
        assert 0 < row["fewest_frames"] <= ROUNDS
        assert 0 < row["p50_us"] <= row["p99_us"]
    for name in here.keys() - {"tickgate"}:
        assert here[name]["frames"] == ROUNDS * CLIENTS, "a peer sends every round, however late"
    assert {"nats_cpu_us_per_frame", "publisher_cpu_us_per_frame"} <= here["tickgate"].keys()
    assert result["results"]["ratios"].keys() == here.keys() - {"tickgate"}
    assert all(name in format_table(result) for name in CONTENDERS)


async def test_idle_clients_are_weighed_and_sent_nothing(compiled_reader):
    result = await run(Params(clients=CLIENTS, watchlists=0, idle=True, contenders=("kernel_limit",)))
    (row,) = result["results"]["rows"]
    assert row.keys() == {"name", "kb_per_client", "connects_per_s"}
    assert "frames/s" not in format_table(result)


async def test_without_node_its_row_says_so(compiled_reader, tmp_path, monkeypatch):
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("cc", "as", "ld"):
        (programs / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(programs))
    result = await run(Params(clients=1, idle=True, contenders=("node_ws",)))
    (row,) = result["results"]["rows"]
    assert row == {"name": "node_ws", "missing": "there is no node here"}
    assert "missing: there is no node here" in format_table(result)


def test_ratios_are_ours_divided_by_theirs():
    rows = [
        {"name": "tickgate", "cpu_us_per_frame": 3.0},
        {"name": "starlette", "cpu_us_per_frame": 12.0},
        {"name": "node_ws", "missing": "no node"},
    ]
    assert ratios(rows) == {"starlette": 0.25}
    assert ratios(rows[1:]) == {}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--clients", "0"], "more than nothing"),
        (["--watchlist", "21", "--symbols", "20"], "a watchlist of 21 of only 20 symbols"),
        (["--watchlists", "-1"], "or 0 for one a client"),
        (["--symbols", "50000"], "at most 40000 symbols"),
        (["--symbols", "5000", "--watchlist", "4000"], "at most 3000 symbols on a watchlist"),
        (["--contenders", "starlette,socket.io"], "no contender socket.io; there are tickgate, kernel_limit"),
    ],
)
def test_what_cannot_be_measured_is_a_usage_error(arguments, reason):
    said = CliRunner().invoke(bench, ["fanout", *arguments])
    assert said.exit_code == 2
    assert reason in said.output


def test_more_clients_than_files_are_refused():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        pytest.skip("this machine allows any number of open files")
    with pytest.raises(TooFewFiles, match="ulimit -Hn"):
        allow_open_files(hard)


def test_without_a_compiler_the_error_names_the_package(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotCompile, match="install gcc"):
        compile_program(READER, tmp_path)


# What is sent


def test_peers_send_what_the_gateway_sends():
    lists = watchlists(symbols=30, size=20, distinct=2)
    data = payloads(lists)
    names = [one.native for one in instruments(30)]
    for number, each in enumerate(lists):
        records = decode_v1(data[number * 366 : (number + 1) * 366])
        assert [names[symbol_id - 1] for symbol_id in records["symbol_id"].tolist()] == [
            f"S{one}USDT" for one in each
        ]


def test_the_time_of_a_round_is_the_price_of_the_first_record(tmp_path):
    (tmp_path / "payloads").write_bytes(payloads([[0, 1], [2, 3]]))
    order = read_order(["1", "20", "42", str(tmp_path / "payloads")])
    before_us = time.time_ns() // 1000
    first, second = order.stamped()
    stamps = [struct.unpack_from("<d", one, 8)[0] for one in (first, second)]
    assert before_us <= stamps[0] == stamps[1] <= time.time_ns() // 1000
    assert first[16:] == payloads([[0, 1]])[16:], "the rest stays"


def test_clients_ask_the_gateway_for_their_list():
    handshake, message = _part(conversations(80, [[3, 7]]))
    assert handshake.startswith(b"GET /api/v1/ws HTTP/1.1\r\n")
    assert message[:2] == bytes((0x81, 0x80 | len(message) - 6))
    assert parse_client_message(message[6:]) == Subscribe(["S3USDT", "S7USDT"])


def test_clients_tell_a_peer_the_number_of_their_list():
    second = handshakes(80, 2)[len(handshakes(80, 1)) :]
    handshake, message = _part(second)
    assert handshake.startswith(b"GET /1 HTTP/1.1\r\n")
    assert message == b""


def _part(data):
    first, second = struct.unpack_from("<II", data)
    return data[8 : 8 + first], data[8 + first : 8 + first + second]


# The clients


@asynccontextmanager
async def _clients(binary, folder, serve, conversation):
    """Run a reader whose clients reach `serve(streams)`, and the port of that."""
    (folder / "conversations").write_bytes(conversation)
    async with (
        await asyncio.start_server(serve, "127.0.0.1", 0) as server,
        reader("a test", binary, folder / "conversations") as clients,
    ):
        yield clients, server.sockets[0].getsockname()[1]


async def test_clients_count_whole_frames_however_they_arrive(compiled_reader, tmp_path):
    heard, go, over = asyncio.Queue(), asyncio.Event(), asyncio.Event()

    async def serve(incoming, outgoing):
        await incoming.readuntil(b"\r\n\r\n")
        outgoing.write(SWITCHING)
        heard.put_nowait(await incoming.readexactly(len(message)))
        outgoing.write(b"\x81\x02{}")  # its first answer: from now on it is served
        await go.wait()
        frame = encode_v1([PriceUpdate(1, float(time.time_ns() // 1000), 1.0)])
        for piece in (b"\x82\x18" + frame[:5], frame[5:] + b"\x89\x02hi\x82", b"\x18" + frame):
            outgoing.write(piece)
            await outgoing.drain()
        heard.put_nowait(await incoming.readexactly(8))
        await over.wait()
        outgoing.close()

    conversation = conversations(1, [[0]])
    _, message = _part(conversation)
    async with asyncio.timeout(TIMEOUT_S):
        async with _clients(compiled_reader, tmp_path, serve, conversation) as (clients, port):
            assert await clients.connect(port, 3) > 0
            await clients.begin()
            go.set()
            seen = await clients.end(frames=6)
            said = [heard.get_nowait() for _ in range(3)] + [await heard.get() for _ in range(3)]
            over.set()
    assert (seen.frames, seen.bytes, seen.fewest, seen.strange, seen.lost) == (6, 6 * 24, 2, 0, 0)
    assert 0 <= seen.p50_us <= seen.p99_us < TIMEOUT_S * 1e6
    assert said == [message] * 3 + [b"\x8a\x82\0\0\0\0hi"] * 3


async def test_clients_say_which_of_them_got_nothing(compiled_reader, tmp_path):
    streams = []

    async def serve(incoming, outgoing):
        await incoming.readuntil(b"\r\n\r\n")
        outgoing.write(SWITCHING)
        streams.append(outgoing)

    async with asyncio.timeout(TIMEOUT_S):
        async with _clients(compiled_reader, tmp_path, serve, handshakes(1, 1)) as (clients, port):
            await clients.connect(port, 2)
            await clients.begin()
            streams[0].write(b"\x82\x10" + bytes(16))
            seen = await clients.end(frames=2)
            assert (seen.frames, seen.fewest, seen.strange) == (1, 0, 1), "its price is no time"
            for one in streams:
                one.close()


async def test_clients_that_are_refused_say_how(compiled_reader, tmp_path):
    async def serve(incoming, outgoing):
        await incoming.readuntil(b"\r\n\r\n")
        outgoing.write(b"HTTP/1.1 503 Full\r\n\r\n")
        outgoing.close()

    async with asyncio.timeout(TIMEOUT_S):
        async with _clients(compiled_reader, tmp_path, serve, handshakes(1, 1)) as (clients, port):
            with pytest.raises(ReaderFailed, match="503 Full"):
                await clients.connect(port, 1)


async def test_a_program_that_ends_instead_of_answering_is_an_error():
    async with program("it", ["/bin/sh", "-c", "read line; exit 3"]) as ending:
        with pytest.raises(ProgramEnded, match="it ended with 3"):
            await ending.ask("anything")
