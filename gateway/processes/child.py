"""Child processes, seen from their supervisor.

The rules of this file:

- A child has a process group of its own: the terminal's Ctrl-C reaches only the supervisor,
  and killing the group takes the child's own children along.
- Its stdin is a pipe whose other end we hold and never write to: when we are gone, it ends
  (`lifetime.py` is the reader). A program that does not read its stdin is told by the
  kernel instead (`dies_with_us`, Linux only: elsewhere it outlives a supervisor killed by
  SIGKILL, and has to be ended by hand).
- Stopping is SIGTERM, with SIGCONT in case it was halted, a wait, then SIGKILL.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final

import structlog

STOP_TIMEOUT_S: Final = 5.0
"""How long a child may take to stop: more than the gateway gives its clients to hear the goodbye."""
_PR_SET_PDEATHSIG: Final = 1
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

log = structlog.get_logger()


@contextlib.asynccontextmanager
async def child_process(
    name: str,
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    stderr: int | None = None,
    dies_with_us: bool = False,
    stop_timeout_s: float = STOP_TIMEOUT_S,
) -> AsyncIterator[Process]:
    """Start a child, and stop it on the way out. `stderr=PIPE` is for whoever reads it to the end."""
    process = await asyncio.create_subprocess_exec(
        *argv, env=dict(environ), stdin=PIPE, stderr=stderr, preexec_fn=_preparation(dies_with_us)
    )
    log.info("child.started", child=name, pid=process.pid)
    try:
        yield process
    finally:
        await _stop(name, process, stop_timeout_s)


def describe_exit(returncode: int) -> str:
    """Say how a process ended: `exit code 1`, `killed by SIGKILL`."""
    if returncode >= 0:
        return f"exit code {returncode}"
    return f"killed by {signal.Signals(-returncode).name}"


def wake(process: Process) -> None:
    """Let a halted child (SIGSTOP) go on."""
    if process.returncode is None:
        _signal_group(process, signal.SIGCONT)


async def _stop(name: str, process: Process, timeout_s: float) -> None:
    if process.returncode is not None:
        return
    _signal_group(process, signal.SIGTERM)
    wake(process)
    try:
        async with asyncio.timeout(timeout_s):
            await process.wait()
        log.info("child.stopped", child=name, how=describe_exit(process.returncode or 0))
    except TimeoutError:
        log.warning("child.killed", child=name, waited_s=timeout_s)
    finally:
        _signal_group(process, signal.SIGKILL)  # also what the child itself may have left behind
        await process.wait()


def _signal_group(process: Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _preparation(dies_with_us: bool) -> Callable[[], None]:
    supervisor = os.getpid()

    def prepare() -> None:  # runs in the child, between fork and exec
        os.setpgid(0, 0)
        if dies_with_us and _prctl is not None:
            _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != supervisor:  # it went before the kernel was told
                os._exit(1)

    return prepare
