"""A gateway with a history: a recorder at the wire holds bars for the rig's first symbol."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from recorder_at_the_wire import WireRecorder, make_bars, minutes_ago


@dataclass
class Charted:
    """The recorder, the symbol that it holds bars of, and the way to the gateway."""

    recorder: WireRecorder
    symbol: str
    http: httpx.AsyncClient

    @property
    def truth(self):
        """The 1m bars."""
        return self.recorder.series[self.symbol, 1]

    async def get(self, path: str, **params: Any) -> httpx.Response:
        return await self.http.get(path, params={name.rstrip("_"): value for name, value in params.items()})

    async def udf(self, endpoint: str, **params: Any) -> Any:
        """Ask as a chart does: what counts is the body."""
        answer = await self.get(f"/udf/{endpoint}", **params)
        assert answer.headers["access-control-allow-origin"] == "*"
        return answer.json()

    async def history(self, **params: Any) -> Any:
        return await self.udf("history", **{"symbol": f"BINANCE:{self.symbol}", "resolution": "1"} | params)


@pytest.fixture
async def charted(rig) -> AsyncIterator[Charted]:
    symbol = next(iter(rig.ids))
    async with asyncio.TaskGroup() as tasks, httpx.AsyncClient(base_url=rig.http, timeout=20) as http:
        recorder = WireRecorder(rig.bus, rig.venue, rig.ids)
        recorder.hold(symbol, 1, make_bars(minutes_ago(2_999), 3_000, running=True))
        await recorder.start(tasks)
        beating = tasks.create_task(recorder.beat())
        yield Charted(recorder, symbol, http)
        beating.cancel()
