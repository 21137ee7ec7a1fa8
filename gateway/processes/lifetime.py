"""How each of our processes lives, seen from inside.

The rules of this file:

- SIGTERM, SIGINT (Ctrl-C) and SIGHUP ask for a stop: the stop event is set, the process ends
  its work in order and exits with 0. A second one, later than `DOUBLED_S`, ends it at once.
- Exit codes: 0 it stopped because it was asked to, 1 it failed, 2 it was used or configured
  wrongly.
- A supervised process has a pipe from its supervisor as stdin. When the supervisor is gone,
  however it went, the pipe ends; the process then stops as if asked to, and is gone after
  `GRACE_S` even if its main thread hangs.
"""

import asyncio
import gc
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Final

import uvloop

GRACE_S: Final = 10.0
"""How long an abandoned process may take to stop: longer than any of its own timeouts together."""
DOUBLED_S: Final = 0.5
"""Two signals closer than this are one wish: `timeout` and `uv run` send theirs twice."""
LOOKS_FOR_CYCLES: Final = (50_000, 20, 100)
"""Python's own are (700, 10, 10). A look at everything that lives holds up all work for tens of milliseconds,
and our records make no cycles."""
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Failure(Exception):
    """What ends a process and is not a bug; its text is one line for the person who started it."""

    exit_code = 1


def run(main: Callable[[asyncio.Event], Awaitable[int | None]], supervised: bool = False) -> int:
    """Run `main` on uvloop until it returns, handing it the stop event; return the exit code.

    Raises the first Failure that `main` raised, taken out of its exception groups.
    """
    gc.freeze()  # what was imported stays for good: never look at it again
    gc.set_threshold(*LOOKS_FOR_CYCLES)
    asked = threading.Event()
    if supervised:
        threading.Thread(target=_watch_supervisor, args=(asked,), daemon=True).start()
    failures: list[BaseException] = []
    code: int | None = None
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            code = runner.run(_main_with_signals(main, asked))
    except* Failure as group:
        failures = _leaves(group)
    if failures:
        raise failures[0]
    return code or 0


async def _main_with_signals(
    main: Callable[[asyncio.Event], Awaitable[int | None]], asked: threading.Event
) -> int | None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            return
        asked.set()
        stop.set()
        loop.call_later(DOUBLED_S, lose_patience)

    def lose_patience() -> None:
        for number in handled:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    # nohup says "ignore SIGHUP", and that stays. A script's `&` says the same of SIGINT and means
    # only the terminal's: a SIGINT that somebody sends on purpose is obeyed.
    keeps_hangup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    handled = [number for number in STOP_SIGNALS if not (keeps_hangup and number == signal.SIGHUP)]
    for number in handled:
        loop.add_signal_handler(number, on_signal)
    return await main(stop)


def _watch_supervisor(asked: threading.Event) -> None:
    while os.read(0, 1024):
        pass  # nothing is ever sent; only the end says something
    if not asked.is_set():  # a second signal would cut short the stop that has begun
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(1)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for one in group.exceptions:
        found += _leaves(one) if isinstance(one, BaseExceptionGroup) else [one]
    return found
