"""The supervisor: its plans as plain values, its life and death as real processes."""

import asyncio
import contextlib
import os
import select
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.demo import WITHOUT_A_PAST
from gateway.config.load import Settings, changed, load_settings
from gateway.processes.keeper import by_tier
from gateway.roles.supervisor import (
    FolderUnusable,
    at_simulated_exchange,
    feed_workers,
    format_welcome,
    locked_folder,
    plan_roles,
)

TIMEOUT_S = 60


@pytest.mark.parametrize(("wanted", "cores", "workers"), [(0, 1, 1), (0, 2, 2), (0, 64, 4), (7, 2, 7)])
def test_there_is_a_feed_worker_for_each_core_up_to_four(wanted, cores, workers):
    assert feed_workers(changed(Settings(), {"processor.workers": wanted}), cores) == workers


def test_the_bus_starts_first_and_the_gateways_last():
    settings = changed(
        Settings(), {"processor.workers": 2, "server.gateways": 2, "messaging.nats.url": "a:1"}
    )
    tiers = by_tier(plan_roles(settings, {}, simulated=True, owns_bus=True))
    assert [[role.name for role in tier] for tier in tiers] == [
        ["nats-server"],
        ["sim"],
        ["recorder"],
        ["feed 0/2", "feed 1/2"],
        ["gateway 0/2", "gateway 1/2"],
    ]


def test_with_a_cluster_and_the_real_exchange_neither_is_started():
    names = [role.name for role in plan_roles(Settings(), {}, simulated=False, owns_bus=False)]
    assert "nats-server" not in names
    assert "sim" not in names


def test_in_a_demo_every_address_is_the_simulated_exchanges():
    exchange = at_simulated_exchange(load_settings(None, {"EXCHANGE_SYMBOLS": "BTCUSDT"}, {}), 81).exchange
    assert exchange.ws_endpoint == "ws://127.0.0.1:81"
    assert exchange.usdm_ws_endpoint == "ws://127.0.0.1:81/fstream"
    assert exchange.coinm_ws_endpoint == "ws://127.0.0.1:81/dstream"
    assert (
        exchange.rest_endpoint
        == exchange.usdm_rest_endpoint
        == exchange.coinm_rest_endpoint
        == "http://127.0.0.1:81"
    )
    assert exchange.symbols == ("all",)


def test_a_folder_has_one_owner_at_a_time(tmp_path):
    with (
        locked_folder(tmp_path),
        pytest.raises(FolderUnusable, match=f"process {os.getpid()}"),
        locked_folder(tmp_path),
    ):
        pass
    with locked_folder(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_said_to_be_so(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FolderUnusable, match="Not a directory"), locked_folder(tmp_path / "file" / "data"):
        pass


def test_the_welcome_says_simulated_only_when_it_is():
    settings = at_simulated_exchange(Settings(), 81)
    assert "SIMULATED" in format_welcome(settings, "h:1", "tickgate", simulated=True)
    assert "SIMULATED" not in format_welcome(settings, "h:1", "tickgate", simulated=False)


def test_the_welcome_shows_no_password():
    settings = changed(Settings(), {"messaging.nats.url": "nats://me:swordfish@host:1"})
    assert "swordfish" not in format_welcome(settings, "h:1", "tickgate", simulated=False)


# As processes


async def test_a_demo_starts_stops_and_leaves_only_files_of_its_folder(tmp_path):
    async with demo(tmp_path / "data") as (supervisor, handles):
        supervisor.send_signal(signal.SIGINT)
        assert await ended(supervisor) == 0
        await all_end(handles)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


async def test_a_halted_child_does_not_keep_anything_alive(tmp_path):
    async with demo(tmp_path) as (supervisor, handles):
        for handle in handles:
            signal.pidfd_send_signal(handle, signal.SIGSTOP)
        supervisor.send_signal(signal.SIGTERM)
        assert await ended(supervisor) == 0
        await all_end(handles)


async def test_children_of_a_killed_supervisor_go_by_themselves(tmp_path):
    async with demo(tmp_path) as (supervisor, handles):
        supervisor.kill()
        await ended(supervisor)
        await all_end(handles)


async def test_a_taken_port_ends_the_start_and_nothing_is_left(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, said = await refused(tmp_path, "--port", str(taken.getsockname()[1]))
    assert code == 1
    assert "something else listens there" in said
    assert len(said.splitlines()) == 1


async def test_a_second_one_on_the_same_folder_is_refused(tmp_path):
    with locked_folder(tmp_path):
        code, said = await refused(tmp_path, "--port", "0")
    assert code == 1
    assert "another tickgate uses it" in said


async def start(folder: Path, *arguments: str) -> Process:
    argv = [sys.executable, "-m", "gateway.cli", "demo", "--data", str(folder), *arguments]
    environ = os.environ | WITHOUT_A_PAST
    return await asyncio.create_subprocess_exec(*argv, stdout=PIPE, stderr=PIPE, env=environ)


async def refused(folder: Path, *arguments: str) -> tuple[int | None, str]:
    process = await start(folder, "--sim-port", "0", *arguments)
    _, said = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    return process.returncode, said.decode()


@contextlib.asynccontextmanager
async def demo(folder: Path) -> AsyncIterator[tuple[Process, list[int]]]:
    """A demo that is up, and handles to all its children, which outlive it if it is killed."""
    process = await start(folder, "--port", "0", "--sim-port", "0", "--workers", "1", "--symbols", "2")
    assert process.stdout is not None
    handles: list[int] = []
    try:
        async with asyncio.timeout(TIMEOUT_S):
            while b"Ctrl-C" not in await process.stdout.readline():
                assert process.returncode is None
        handles = [os.pidfd_open(pid) for pid in children_of(process.pid)]
        assert len(handles) == 5
        yield process, handles
    finally:
        for handle in handles:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def ended(process: Process) -> int:
    async with asyncio.timeout(TIMEOUT_S):
        return await process.wait()


async def all_end(handles: list[int]) -> None:
    """Wait until every one of these processes has ended."""
    for handle in handles:
        readable, _, _ = await asyncio.to_thread(select.select, [handle], [], [], TIMEOUT_S)
        assert readable
