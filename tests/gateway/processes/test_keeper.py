"""Keeping children running: real processes, restarts and stop orders."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from gateway.processes import keeper
from gateway.processes.child import child_process
from gateway.processes.keeper import ChildFailed, Role, by_tier, keep_running
from gateway.processes.lifetime import Failure


class Stage:
    """Roles that tell when they come and go."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[tuple[str, Process]] = asyncio.Queue()
        self.ends: list[str] = []

    def role(self, name: str, tier: int, body: str = "time.sleep(60)") -> Role:
        return Role(name, tier, lambda: self._open(name, body))

    async def up(self, name: str) -> Process:
        """Wait until the next child is up, which must be this one."""
        async with asyncio.timeout(20):
            who, process = await self.told.get()
        assert who == name
        return process

    @contextlib.asynccontextmanager
    async def _open(self, name: str, body: str) -> AsyncIterator[Process]:
        argv = [sys.executable, "-c", f"import sys, time; {body}"]
        try:
            async with child_process(name, argv, os.environ, stderr=PIPE) as process:
                self.told.put_nowait((name, process))
                yield process
        finally:
            self.ends.append(name)


async def play(stage: Stage, roles: list[Role], script: Callable[[], Awaitable[None]]) -> None:
    """Keep the roles running while the script acts, then stop."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(keep_running(roles, stop))
        await script()
        stop.set()
        async with asyncio.timeout(20):
            await running


def test_roles_are_grouped_by_tier_in_the_order_of_their_start():
    roles = [
        Stage().role("gateway", 4),
        Stage().role("bus", 0),
        Stage().role("feed", 3),
        Stage().role("feed 2", 3),
    ]
    assert [[one.name for one in tier] for tier in by_tier(roles)] == [
        ["bus"],
        ["feed", "feed 2"],
        ["gateway"],
    ]


async def test_tiers_start_in_order_and_stop_in_reverse():
    stage = Stage()
    roles = [stage.role("third", 2), stage.role("first", 0), stage.role("second", 1)]

    async def script() -> None:
        for name in ("first", "second", "third"):
            await stage.up(name)

    await play(stage, roles, script)
    assert stage.ends == ["third", "second", "first"]


async def test_what_is_killed_is_started_again_and_again():
    stage = Stage()

    async def script() -> None:
        for _ in range(3):
            (await stage.up("one")).send_signal(signal.SIGKILL)
        await stage.up("one")

    await play(stage, [stage.role("one", 0)], script)


async def test_the_others_do_not_notice():
    stage = Stage()
    processes: dict[str, Process] = {}

    async def script() -> None:
        processes["bus"] = await stage.up("bus")
        (await stage.up("feed")).send_signal(signal.SIGKILL)
        await stage.up("feed")
        assert processes["bus"].returncode is None

    await play(stage, [stage.role("bus", 0), stage.role("feed", 1)], script)


async def test_nothing_is_started_again_while_everything_stops(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(keeper, "FIRST_RESTART_MS", 60_000_000)
    stage = Stage()

    async def script() -> None:
        (await stage.up("one")).send_signal(signal.SIGKILL)

    await play(stage, [stage.role("one", 0)], script)
    assert stage.told.empty()


async def test_a_stop_during_the_start_does_not_wait_for_the_rest():
    stage = Stage()
    stop = asyncio.Event()

    @contextlib.asynccontextmanager
    async def never_up() -> AsyncIterator[Process]:
        stage.told.put_nowait(("never", None))  # type: ignore[arg-type]  # there is none
        await asyncio.Event().wait()
        yield None  # type: ignore[misc]  # not reached

    roles = [stage.role("first", 0), Role("never", 1, never_up), stage.role("last", 2)]
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(keep_running(roles, stop))
        await stage.up("first")
        await stage.up("never")
        stop.set()
        async with asyncio.timeout(20):
            await running
    assert stage.ends == ["first"]


async def test_a_child_that_refuses_its_settings_ends_everything():
    stage = Stage()
    roles = [stage.role("bus", 0), stage.role("feed", 1, "sys.exit(2)")]
    with pytest.raises(ExceptionGroup) as caught:
        await keep_running(roles, asyncio.Event())
    assert caught.group_contains(ChildFailed, match=r"feed cannot run \(exit code 2\)")
    assert "bus" in stage.ends


async def test_what_cannot_start_the_first_time_ends_everything():
    @contextlib.asynccontextmanager
    async def fail() -> AsyncIterator[Process]:
        raise Failure("the port is taken")
        yield  # type: ignore[unreachable]  # makes it a generator

    with pytest.raises(ExceptionGroup) as caught:
        await keep_running([Role("bus", 0, fail)], asyncio.Event())
    assert caught.group_contains(Failure, match="the port is taken")
