"""The contender `tickgate`: a feed worker as the supervisor starts it, and a nats-server of its own.

All checks are on. Who listens on the bus, as a gateway does, looks at each trade: none may be missing,
doubled or out of its order, at whatever pace.
"""

import contextlib
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import httpx
import msgspec
import numpy as np

from bench.ingest.errors import Ended, MessagesLost
from gateway.config.flags import environ
from gateway.natsd import NatsServer, find_nats_server, format_config
from gateway.processes.child import child_process
from gateway.processes.ports import find_free_port
from processors.bus import Bus, BusAddress, BusError, connect
from protocol import subjects
from protocol.batches import SequenceCheck, decode_batch
from protocol.events import Kind

VENUE: Final = "binance"
Column: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


class Listener:
    """Hears every batch of the worker."""

    def __init__(self) -> None:
        self.trades = 0
        self.missed_batches = 0
        self.wrong = ""
        """What is wrong with the order of the trades, as far as they were looked at."""
        self._check = SequenceCheck()
        self._last_ids: dict[int, int] = {}
        self._symbols: list[Column] = []
        """Of trades that were not looked at yet, and beside it their ids. Bounded by one window."""
        self._ids: list[Column] = []

    def on_batch(self, _subject: str, payload: bytes) -> None:
        batch = decode_batch(payload)
        self.missed_batches += self._check.missed(batch)
        for frame in batch.frames:
            if frame.kind is Kind.TRADE:
                self.trades += len(frame.records)
                self._symbols.append(frame.records["symbol_id"].astype(np.int64))
                self._ids.append(frame.records["id"].astype(np.int64))

    def look(self) -> None:
        """See whether each symbol's trades follow each other without a step left out."""
        if not self._ids:
            return
        symbols, ids = np.concatenate(self._symbols), np.concatenate(self._ids)
        self._symbols, self._ids = [], []
        for symbol in np.unique(symbols).tolist():
            self._follow(symbol, ids[symbols == symbol])

    def _follow(self, symbol: int, ids: Column) -> None:
        steps = np.diff(ids, prepend=self._last_ids.get(symbol, ids[0] - 1))
        if not self.wrong and (steps != 1).any():
            place = int(np.argmax(steps != 1))
            self.wrong = f"of symbol {symbol}, {ids[place]} came after {ids[place] - steps[place]}"
        self._last_ids[symbol] = int(ids[-1])


class Worker:
    """A running feed worker, its bus, and who listens there."""

    def __init__(
        self, process: Process, nats: NatsServer, monitor: str, bus: Bus, listener: Listener
    ) -> None:
        """`monitor` is where nats-server says what it has done."""
        self.pid = process.pid
        self.nats_pid = nats.process.pid
        self.listener = listener
        self._process = process
        self._bus = bus
        self._monitor = monitor

    async def count(self) -> int:
        """Return how many trades have been heard. Raises Ended."""
        if self._process.returncode is not None:
            raise Ended("the feed worker", self._process.returncode)
        return self.listener.trades

    async def published(self) -> int:
        """Return how many messages nats-server has ever taken in."""
        async with httpx.AsyncClient() as http:
            return int((await http.get(f"{self._monitor}/varz")).json()["in_msgs"])

    async def check(self, sent: int) -> None:
        """Raise MessagesLost unless all that was sent has been heard, each once and in its order."""
        listener = self.listener
        listener.look()
        if listener.trades != sent or listener.wrong:
            order = listener.wrong or "their order is right"
            raise MessagesLost("tickgate", listener.trades, sent, f"{order}; {await self._explain()}")

    async def _explain(self) -> str:
        """Ask the worker what it knows of it."""
        try:
            state = msgspec.json.decode(await self._bus.request(subjects.request_feed(VENUE, 0)))
        except BusError as error:
            return f"the worker does not answer: {error}"
        missed = f"{self.listener.missed_batches} batches missed, {state['waiting']} records wait"
        return f"{missed}; processor {state['counters']}; hub {state['hub']}"


@contextlib.asynccontextmanager
async def run_worker(folder: Path, host: str, rest: str) -> AsyncIterator[Worker]:
    """Run a feed worker for the trades of all that `rest` lists."""
    async with contextlib.AsyncExitStack() as stack:
        nats, monitor = await stack.enter_async_context(_nats(folder / "nats"))
        bus = await stack.enter_async_context(connect(BusAddress([nats.url]), "bench"))
        listener = Listener()
        await bus.subscribe(subjects.ALL_WIRE, listener.on_batch)
        settings = {
            **environ,
            "NATS_URL": nats.url,
            "DATA_FOLDER": str(folder),
            "EXCHANGE_VENUES": VENUE,
            "EXCHANGE_SYMBOLS": "all",
            "EXCHANGE_STREAMS": "aggTrade",
            "EXCHANGE_WS_ENDPOINT": f"ws://{host}",
            "EXCHANGE_REST_ENDPOINT": rest,
            "LOG_LEVEL": "warning",
        }
        argv = [sys.executable, "-P", "-m", "gateway.cli", "feed", "--shard", "0/1", "--supervised"]
        process = await stack.enter_async_context(child_process("feed", argv, settings))
        yield Worker(process, nats, monitor, bus, listener)


@contextlib.asynccontextmanager
async def _nats(folder: Path) -> AsyncIterator[tuple[NatsServer, str]]:
    """Run a nats-server with our usual configuration, and a port at which to ask what it has done."""
    name, port, monitor = "tickgate-bench", find_free_port(), find_free_port()
    config = _write_config(folder, f"{format_config(folder, name, port)}http: 127.0.0.1:{monitor}\n")
    argv = [str(find_nats_server()), "-c", str(config)]
    child = child_process("nats-server", argv, environ, stderr=DEVNULL, dies_with_us=True)
    async with child as process:
        server = NatsServer(process, name, port)
        if not await server.becomes_ready():
            raise Ended("nats-server", process.returncode)
        yield server, f"http://127.0.0.1:{monitor}"


def _write_config(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True)
    config = folder / "nats.conf"
    config.write_text(text, encoding="utf-8")
    return config
