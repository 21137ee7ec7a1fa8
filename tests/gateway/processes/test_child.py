"""Child processes, started and stopped for real."""

import asyncio
import contextlib
import os
import select
import signal
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import AbstractAsyncContextManager

import pytest

from gateway.processes.child import child_process, describe_exit

STUBBORN = "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
SAYS_UP = "print('up', file=sys.stderr, flush=True)"


def child(body: str, stop_timeout_s: float = 10) -> AbstractAsyncContextManager[Process]:
    argv = [sys.executable, "-c", f"import sys, time\n{body}\n"]
    return child_process("test", argv, os.environ, stderr=PIPE, stop_timeout_s=stop_timeout_s)


async def says_up(process: Process) -> None:
    assert process.stderr is not None
    assert await process.stderr.readline() == b"up\n"


async def test_a_child_is_asked_to_stop():
    async with child(f"{SAYS_UP}\ntime.sleep(60)") as process:
        await says_up(process)
    assert process.returncode == -signal.SIGTERM


async def test_a_child_that_does_not_listen_is_killed():
    async with child(f"{STUBBORN}\n{SAYS_UP}\ntime.sleep(60)", stop_timeout_s=0.1) as process:
        await says_up(process)
    assert process.returncode == -signal.SIGKILL


async def test_a_halted_child_is_woken_to_stop():
    async with child(f"{SAYS_UP}\ntime.sleep(60)") as process:
        await says_up(process)
        process.send_signal(signal.SIGSTOP)
    assert process.returncode == -signal.SIGTERM


async def test_a_child_is_stopped_when_the_block_fails():
    processes = []
    with contextlib.suppress(ZeroDivisionError):
        async with child(f"{SAYS_UP}\ntime.sleep(60)") as process:
            processes.append(process)
            await says_up(process)
            raise ZeroDivisionError
    assert processes[0].returncode == -signal.SIGTERM


async def test_a_child_is_killed_when_the_stop_itself_is_cut_short():
    async def run(up: asyncio.Future[Process]) -> None:
        async with child(f"{STUBBORN}\n{SAYS_UP}\ntime.sleep(60)") as process:
            await says_up(process)
            up.set_result(process)

    up: asyncio.Future[Process] = asyncio.get_running_loop().create_future()
    running = asyncio.ensure_future(run(up))
    process = await up
    running.cancel()
    await asyncio.wait([running])
    assert process.returncode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="the test watches it by a pidfd")
async def test_grandchildren_go_along():
    body = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, file=sys.stderr, flush=True)"
    async with child(f"{STUBBORN}\n{body}\ntime.sleep(60)", stop_timeout_s=0.1) as process:
        assert process.stderr is not None
        grandchild = os.pidfd_open(int(await process.stderr.readline()))
    await asyncio.to_thread(ends, grandchild)


async def test_a_child_is_out_of_reach_of_the_terminals_ctrl_c():
    async with child(f"{SAYS_UP}\ntime.sleep(60)") as process:
        await says_up(process)
        assert os.getpgid(process.pid) == process.pid != os.getpgid(0)


async def test_a_child_that_has_ended_is_left_alone():
    async with child("sys.exit(3)") as process:
        assert await process.wait() == 3


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's word for it is Linux's")
async def test_the_kernel_tells_a_child_when_its_supervisor_is_killed():
    source = (
        "import asyncio, os, sys\nfrom gateway.processes.child import child_process\n"
        "async def main():\n"
        "    async with child_process('c', ['sleep', '60'], os.environ, dies_with_us=True) as child:\n"
        "        print(child.pid, flush=True)\n"
        "        await child.wait()\n"
        "asyncio.run(main())\n"
    )
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable, "-c", source, stdout=PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert supervisor.stdout is not None
    while not (line := await supervisor.stdout.readline()).strip().isdigit():
        assert line  # the log goes to stdout, too, where nobody has started the logs
    orphan = os.pidfd_open(int(line))
    supervisor.kill()
    await supervisor.wait()
    await asyncio.to_thread(ends, orphan)


def ends(process: int) -> None:
    """Wait for the end of a process that is not our child, then let go of its handle."""
    readable, _, _ = select.select([process], [], [], 20)
    os.close(process)
    assert readable


@pytest.mark.parametrize(
    ("code", "said"),
    [(0, "exit code 0"), (2, "exit code 2"), (-9, "killed by SIGKILL"), (-15, "killed by SIGTERM")],
)
def test_an_exit_is_described_in_words(code, said):
    assert describe_exit(code) == said
