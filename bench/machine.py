"""What a figure was measured on, and what each process spent."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PROC: Final = Path("/proc")


def describe_machine() -> dict[str, Any]:
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _cpu_model() -> str:
    try:
        lines = (PROC / "cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine()
    )


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the tree under measurement."""

    pid: int
    role: str
    cpu_s: float


def tree(root: int) -> list[Process]:
    """List a process and all below it. Empty where there is no /proc."""
    children: dict[int, list[int]] = {}
    stats: dict[int, tuple[float, str]] = {}
    for entry in PROC.glob("[0-9]*"):
        try:
            after_name = (entry / "stat").read_text().rpartition(") ")[2].split()
            command = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it ended while we looked
            continue
        pid, parent = int(entry.name), int(after_name[1])
        ticks = int(after_name[11]) + int(after_name[12])
        stats[pid] = (ticks / os.sysconf("SC_CLK_TCK"), _role([part.decode() for part in command]))
        children.setdefault(parent, []).append(pid)
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        if pid in stats:
            found.append(Process(pid, stats[pid][1], stats[pid][0]))
        todo += children.get(pid, [])
    return found


def resident_kb(pid: int) -> int:
    """Return how much memory a process holds; 0 if it is gone."""
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


def _role(command: list[str]) -> str:
    """Name a process by the command of ours that it runs."""
    roles = {"demo": "supervisor", "feed": "feed", "gateway": "gateway", "recorder": "recorder", "sim": "sim"}
    if "nats-server" in Path(command[0]).name:
        return "nats-server"
    if "bench.listeners" in command:
        return "clients"
    return next((roles[word] for word in command[1:] if word in roles), Path(command[0]).name)


def cpu_by_role(before: list[Process], after: list[Process]) -> dict[str, float]:
    """Sum the CPU seconds spent between two looks, by role."""
    spent_before = {process.pid: process.cpu_s for process in before}
    spent: dict[str, float] = {}
    for process in after:
        spent[process.role] = (
            spent.get(process.role, 0.0) + process.cpu_s - spent_before.get(process.pid, 0.0)
        )
    return spent
