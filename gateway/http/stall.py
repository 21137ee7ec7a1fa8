"""Cuts off a client that does not read what is sent to it.

Without this, an answer waits in memory for as long as its client keeps the connection open.
"""

import asyncio
from asyncio.events import TimerHandle
from typing import Final

SLOWEST_BPS: Final = 1_000
"""What a client must take in: less is no slow line, but none."""


class Stall:
    """Watches one connection while something is unsent and nothing is added."""

    __slots__ = ("_loop", "_timeout_s", "_timer", "_transport")

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, timeout_s: float
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._timeout_s = timeout_s
        self._timer: TimerHandle | None = None

    def watch(self) -> None:
        """From here on, what is unsent must become less."""
        self.stop()
        unsent = self._transport.get_write_buffer_size()
        if unsent:
            self._timer = self._loop.call_later(self._timeout_s, self._judge, unsent)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _judge(self, unsent_before: int) -> None:
        taken = unsent_before - self._transport.get_write_buffer_size()
        if taken < min(unsent_before, SLOWEST_BPS * self._timeout_s):
            self._transport.abort()
        else:
            self.watch()
