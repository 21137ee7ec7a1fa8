"""Keeping child processes running: start in order, start again what ends, stop in reverse.

The rules of this file:

- Roles start tier by tier, each tier when the one before is up, and stop in reverse. Those of
  one tier start and stop together.
- What ends by itself is started again: soon at first, later after ever longer waits, soon
  again once it has run well for `WELL_S`. While everything stops, nothing is started.
- Before anything is stopped, all that was halted is woken: who stops first may need who stops
  last, to hand over what it has.
- What cannot even start the first time, or exits with 2 (it refuses its settings), ends
  everything: waiting would not mend it.
"""

import asyncio
import random
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

import structlog

from gateway.feeds.backoff import Backoff
from gateway.processes.child import describe_exit, wake
from gateway.processes.lifetime import Failure

WELL_S: Final = 30.0
FIRST_RESTART_MS: Final = 200
LONGEST_RESTART_MS: Final = 10_000
_REFUSED: Final = 2

log = structlog.get_logger()


class ChildFailed(Failure):
    """A child cannot run; what it said itself says why."""

    def __init__(self, name: str, how: str) -> None:
        self.name = name
        self.how = how
        super().__init__(f"{name} cannot run ({how}), see its message above")


@dataclass(frozen=True, slots=True)
class Role:
    """A child to be kept running."""

    name: str
    tier: int
    """Lower tiers start earlier and stop later."""
    open: Callable[[], AbstractAsyncContextManager[Process]]
    """Starts it, ready for the next tier; stops it on the way out. Raises Failure if it cannot."""


@dataclass(slots=True)
class _Kept:
    """A role on its way through starts and restarts."""

    role: Role
    is_up: asyncio.Event = field(default_factory=asyncio.Event)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    process: Process | None = None
    how: str = ""
    """How it ended last."""


def by_tier(roles: Sequence[Role]) -> list[list[Role]]:
    """Group the roles by tier, in the order of their start."""
    ordered = sorted(roles, key=lambda role: role.tier)
    return [list(tier) for _, tier in groupby(ordered, key=lambda role: role.tier)]


async def keep_running(roles: Sequence[Role], stop: asyncio.Event) -> None:
    """Keep the roles running until `stop` is set, then stop them. Raises Failure, in a group."""
    async with asyncio.TaskGroup() as tasks:
        started: list[tuple[list[_Kept], list[asyncio.Task[None]]]] = []
        for tier in by_tier(roles):
            kept = [_Kept(role) for role in tier]
            started.append((kept, [tasks.create_task(_keep(one, stop)) for one in kept]))
            for one in kept:
                await _first_of(stop.wait(), one.is_up.wait())
            if stop.is_set():
                break
        await stop.wait()
        log.info("keeper.stopping")
        for kept, _ in started:
            for one in kept:
                if one.process is not None:
                    wake(one.process)
        for kept, running in reversed(started):
            for one in kept:
                one.stop.set()
            await asyncio.wait(running)
    log.info("keeper.stopped")


async def _keep(kept: _Kept, stop: asyncio.Event) -> None:
    backoff = Backoff(FIRST_RESTART_MS, LONGEST_RESTART_MS)
    while not stop.is_set():
        started_s = time.monotonic()
        how = await _run_once(kept)
        ran_s = time.monotonic() - started_s
        if stop.is_set():
            return
        if ran_s >= WELL_S:
            backoff.reset()
        delay_ms = backoff.next_delay_ms(random.random())
        name = kept.role.name
        log.warning("child.restarting", child=name, how=how, ran_s=round(ran_s, 1), delay_ms=delay_ms)
        await _first_of(stop.wait(), asyncio.sleep(delay_ms / 1000))


async def _run_once(kept: _Kept) -> str:
    """Run a role until it ends or is to stop; say how it ended."""
    kept.how = "stopped"
    try:
        await _first_of(kept.stop.wait(), _live(kept))
    except* Failure as group:
        if not kept.is_up.is_set():
            raise
        kept.how = str(group.exceptions[0])
    if kept.how == describe_exit(_REFUSED):
        raise ChildFailed(kept.role.name, kept.how)
    return kept.how


async def _live(kept: _Kept) -> None:
    async with kept.role.open() as process:
        kept.process = process
        kept.is_up.set()
        kept.how = describe_exit(await process.wait())


async def _first_of(*waits: Coroutine[Any, Any, Any]) -> None:
    """Return when one of them has returned; the others are cancelled."""
    done = asyncio.Event()

    async def mark(wait: Coroutine[Any, Any, Any]) -> None:
        await wait
        done.set()

    async with asyncio.TaskGroup() as tasks:
        marking = [tasks.create_task(mark(wait)) for wait in waits]
        await done.wait()
        for task in marking:
            task.cancel()
