"""One contender with its source: what it spent on how many messages, all of which it has taken in."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final, NamedTuple

from bench.ingest.errors import MessagesLost
from bench.ingest.exchange import Reader, Source
from bench.ingest.worker import Worker
from bench.machine import cpu_s

LOOK_S: Final = 0.01
STALLED_S: Final = 10.0
"""Who has taken in nothing for so long has lost what is still missing."""


class Spent(NamedTuple):
    """What there has been since the start, or within a window."""

    messages: float
    bytes: float
    """Of whole WebSocket frames."""
    seconds: float
    cpu_s: float
    source_cpu_s: float
    nats_cpu_s: float = 0.0
    published: float = 0.0
    """Messages that nats-server has taken in."""

    def since(self, before: "Spent") -> "Spent":
        return Spent(*(now - then for now, then in zip(self, before, strict=True)))


@dataclass(frozen=True, slots=True)
class Contender:
    name: str
    reader: Reader | Worker
    source: Source

    async def has_begun(self) -> bool:
        return await self.reader.count() > 0

    async def measure(self, mode: str, seconds: float) -> Spent:
        """Let the source send in a mode for a while. Raises MessagesLost."""
        before = await self._settle()
        await self.source.tell(mode)
        await asyncio.sleep(seconds)
        after = await self._settle()
        await self.source.tell("idle")
        return after.since(before)

    async def _settle(self) -> Spent:
        """Let the source be quiet until all that it ever sent has been taken in."""
        sent, size = await self.source.quiet()
        taken = await self._until_taken(sent)
        spent = Spent(sent, size, time.monotonic(), cpu_s(self.reader.pid), cpu_s(self.source.pid))
        if isinstance(self.reader, Worker):
            await self.reader.check(sent)
            nats_cpu_s = cpu_s(self.reader.nats_pid)
            return spent._replace(nats_cpu_s=nats_cpu_s, published=await self.reader.published())
        if taken != sent:
            raise MessagesLost(self.name, taken, sent)
        return spent

    async def _until_taken(self, sent: int) -> int:
        """Wait until so much has been taken in, or nothing is any more; return how much it was."""
        taken, since_s = await self.reader.count(), time.monotonic()
        while taken < sent and time.monotonic() - since_s < STALLED_S:
            await asyncio.sleep(LOOK_S)
            before, taken = taken, await self.reader.count()
            if taken > before:
                since_s = time.monotonic()
        return taken
