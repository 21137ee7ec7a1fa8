"""How our processes live: real ones, asked to stop in every way there is."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.processes.lifetime import Failure, run

WAITS = "await stop.wait()"
HANGS = "import time; time.sleep(60)"
TIMEOUT_S = 20


@pytest.fixture(autouse=True)
def hears_hangups() -> Iterator[None]:
    """Whatever these tests themselves are started under: children of `nohup` ignore SIGHUP."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@contextmanager
def program(body: str, supervised: bool = False, grace_s: float = 10) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose main says `up`, then does what `body` says."""
    source = (
        "import sys\nfrom gateway.processes import lifetime\n"
        f"lifetime.GRACE_S = {grace_s}\n"
        f"async def main(stop):\n    print('up', flush=True)\n    {body}\n"
        f"sys.exit(lifetime.run(main, supervised={supervised}))\n"
    )
    argv = [sys.executable, "-c", source]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_asks_for_a_stop_and_the_exit_code_is_0(number):
    with program(WAITS) as process:
        process.send_signal(number)
        assert process.wait(TIMEOUT_S) == 0


def test_a_second_signal_ends_it_at_once():
    with program(
        "await stop.wait(); print('stopping', flush=True); await __import__('asyncio').sleep(60)"
    ) as one:
        one.send_signal(signal.SIGTERM)
        assert one.stdout is not None
        assert one.stdout.readline() == b"stopping\n"
        while one.poll() is None:
            one.send_signal(signal.SIGINT)
        assert one.returncode == -signal.SIGINT


def test_a_signal_that_comes_twice_at_once_is_one_wish():
    with program(
        "await stop.wait(); print('stopping', flush=True); await __import__('asyncio').sleep(0.05)"
    ) as one:
        one.send_signal(signal.SIGTERM)
        assert one.stdout is not None
        assert one.stdout.readline() == b"stopping\n"
        one.send_signal(signal.SIGTERM)
        assert one.wait(TIMEOUT_S) == 0


def test_what_main_returns_is_the_exit_code():
    with program("return 3") as process:
        assert process.wait(TIMEOUT_S) == 3


def test_a_supervised_process_stops_when_its_supervisor_is_gone():
    with program(WAITS, supervised=True) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(TIMEOUT_S) == 0


def test_a_supervised_process_that_hangs_is_gone_all_the_same():
    with program(HANGS, supervised=True, grace_s=0.2) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(TIMEOUT_S) == 1


def test_a_process_that_nobody_supervises_does_not_mind_a_closed_stdin():
    with program(WAITS) as process:
        assert process.stdin is not None
        process.stdin.close()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)


def test_nohup_keeps_a_process_when_its_terminal_goes():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with program(WAITS) as process:
            os.kill(process.pid, signal.SIGHUP)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.3)
            process.terminate()
            assert process.wait(TIMEOUT_S) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_failure_deep_in_groups_comes_out_as_itself():
    async def main(stop: object) -> None:
        raise ExceptionGroup("outer", [ExceptionGroup("inner", [Failure("the reason")])])

    with pytest.raises(Failure, match=r"^the reason$"):
        run(main)


def test_a_bug_comes_out_as_it_is():
    async def main(stop: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(main)
