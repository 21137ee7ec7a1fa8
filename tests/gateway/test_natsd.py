"""The embedded nats-server, for real."""

import asyncio
import signal
import socket

from gateway.natsd import NatsFailed, find_nats_server, format_config, nats_server
from gateway.processes.ports import find_free_port
from gateway.registry import Registry
from processors.bus import BusAddress, connect


async def start_and_stop(folder, port=0):
    async with nats_server(folder, port or find_free_port(), {}):
        pass


async def failure_of(folder, port=0) -> str:
    said = "it started"
    try:
        await start_and_stop(folder, port)
    except* NatsFailed as group:
        said = str(group.exceptions[0])
    return said


async def test_it_is_ready_for_a_stream_when_it_says_so(tmp_path):
    port = find_free_port()
    server, bus = nats_server(tmp_path, port, {}), connect(BusAddress([f"nats://127.0.0.1:{port}"]), "test")
    async with server, bus as connected:
        await Registry(connected).open()


async def test_all_its_files_are_in_its_folder_whatever_that_is_called(tmp_path):
    folder = tmp_path / 'a "b" $c é'
    await start_and_stop(folder)
    assert {path.name for path in folder.iterdir()} == {"nats.conf", "jetstream"}


async def test_it_comes_back_on_the_same_port(tmp_path):
    port = find_free_port()
    async with nats_server(tmp_path, port, {}) as server:
        server.process.send_signal(signal.SIGKILL)
        await server.process.wait()
    await start_and_stop(tmp_path, port)


async def test_it_listens_on_loopback_only(tmp_path):
    config = format_config(tmp_path, "name", 1)
    assert "host: 127.0.0.1\n" in config


async def test_a_taken_port_is_its_own_word(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "address already in use" in await failure_of(tmp_path, taken.getsockname()[1])


async def test_another_nats_server_on_the_port_is_not_taken_for_ours(tmp_path):
    async with nats_server(tmp_path / "one", find_free_port(), {}) as other:
        assert "address already in use" in await failure_of(tmp_path / "two", other.port)


async def test_a_folder_that_cannot_be_is_said_to_be_so(tmp_path):
    (tmp_path / "file").touch()
    assert "cannot write" in await failure_of(tmp_path / "file" / "nats")


async def test_a_broken_store_is_said_to_be_so(tmp_path):
    (tmp_path / "jetstream").touch()
    assert "JetStream" in await failure_of(tmp_path)


async def test_its_log_is_read_to_the_end(tmp_path):
    async with nats_server(tmp_path, find_free_port(), {}) as server:
        pass
    assert server.process.stderr is not None
    assert server.process.stderr.at_eof()


async def test_the_program_of_the_wheel_runs():
    process = await asyncio.create_subprocess_exec(find_nats_server(), "--version")
    assert await process.wait() == 0
