"""A history on a real nats-server, and a recorder at the other end of it."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from recorder_at_the_wire import WireRecorder, subscribed

from gateway.history.windows import History, Window
from processors.bus import BusAddress, connect
from protocol.symbols import Instrument, SymbolTable

_venues = itertools.count(1)
SYMBOL = "BTCUSDT"


@dataclass
class Past:
    history: History
    recorder: WireRecorder

    async def bars(self, from_ms: int, to_ms: int, countback: int = 0, interval: int = 1) -> Window:
        return await self.history.bars(self.recorder.venue, SYMBOL, interval, from_ms, to_ms, countback)

    async def heard(self) -> None:
        """Wait until all that was announced has arrived."""
        await self.until(lambda: self.version >= self.recorder.version)

    @property
    def version(self) -> int:
        return self.history._voices.version(self.recorder.venue)

    async def until(self, condition) -> None:
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110  # what we look at has no event
                await asyncio.sleep(0.001)


@pytest.fixture
async def past(nats_url) -> AsyncIterator[Past]:
    venue = f"past-{next(_venues)}"
    table = SymbolTable()
    table.add(Instrument(id=7, symbol=SYMBOL, venue=venue, native=SYMBOL, price_precision=2))
    address = BusAddress([nats_url])
    async with (
        connect(address, "recorder") as theirs,
        connect(address, "gateway") as ours,
        asyncio.TaskGroup() as tasks,
    ):
        recorder = WireRecorder(theirs, venue, {SYMBOL: 7})
        await recorder.start(tasks)
        history = History(ours, table)
        await history.start()
        await subscribed(ours)
        yield Past(history, recorder)
