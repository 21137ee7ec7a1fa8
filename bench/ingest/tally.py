"""How many messages a reader has taken in, told to whoever asks on its stdin."""

import asyncio
import os
from typing import Final

from bench.ingest.lines import say

STDIN: Final = 0
_LINE_BYTES: Final = 4_096


class Tally:
    """Counts. `count` is raised by whoever holds it, because nothing costs a message less."""

    def __init__(self) -> None:
        self.count = 0

    def answer(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on answer every line on stdin with the count, and end the loop when stdin does."""
        loop.add_reader(STDIN, self._on_line, loop)
        say("ready")

    def _on_line(self, loop: asyncio.AbstractEventLoop) -> None:
        if os.read(STDIN, _LINE_BYTES):
            say(str(self.count))
        else:
            loop.stop()
