"""A recorder on a real bus and a DuckDB file, who feeds it, and who asks it; and a time that runs faster."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.config.load import load_settings
from gateway.exchanges.venue import VENUES
from gateway.feeds.rest import Rest
from gateway.recorder.recorder import Options, Recorder, last_version
from gateway.registry import Registry
from gateway.roles import feed
from gateway.sim.server import SimulatedExchange
from gateway.store.duck.store import DuckStore
from gateway.store.history import HistoryStore
from gateway.store.spool import SpooledStore
from processors.bus import Bus, BusAddress, Endpoint, NoAnswer, connect
from processors.price import PriceProcessor
from processors.shell import PriceShell, now_us
from processors.tape import TradeTape
from protocol import subjects
from protocol.bars import BarsAnswer, BarsQuery, decode_answer, format_query
from protocol.events import Gap, GapCause, GapState, Kind, Trade
from protocol.frames import encode_v2
from protocol.market import AggTrade, Bar
from protocol.symbols import Instrument

_numbers = itertools.count(1)


@pytest.fixture
def run_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Let the clock show another time, and go so many times as fast."""

    def run(now_ms: int, speed: int) -> None:
        began_ns = time.monotonic_ns()
        monkeypatch.setattr(
            time, "time_ns", lambda: now_ms * 1_000_000 + (time.monotonic_ns() - began_ns) * speed
        )

    return run


class Asker:
    """Asks the recorder as a gateway does."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    async def bars(self, **query: Any) -> BarsAnswer:
        """Ask until there is an answer."""
        question = BarsQuery(**{"venue": "binance", "native": "BTCUSDT", "interval": 1, **query})
        return decode_answer(await self._insist(subjects.REQUEST_BARS, format_query(question)))

    async def state(self) -> dict[str, Any]:
        return json.loads(await self._insist(subjects.REQUEST_RECORDER))

    async def state_when(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the recorder's state once it is like this."""
        return await until(self.state, holds)

    async def bars_when(self, holds: Callable[[BarsAnswer], bool], **query: Any) -> BarsAnswer:
        """Return the answer once it is like this."""
        return await until(lambda: self.bars(**query), holds)

    async def _insist(self, subject: str, payload: bytes = b"") -> bytes:
        async with asyncio.timeout(30):
            while True:
                try:
                    return await self.bus.request(subject, payload, 6)
                except NoAnswer:
                    await asyncio.sleep(0.02)


async def until(ask: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
    async with asyncio.timeout(60):
        while not holds(answer := await ask()):  # noqa: ASYNC110  # the other side is another process, as it were
            await asyncio.sleep(0.02)
    return answer


@pytest.fixture
async def asker(nats_url: str) -> AsyncIterator[Asker]:
    async with connect(BusAddress([nats_url]), "asker") as bus:
        yield Asker(bus)


# The recorder


@asynccontextmanager
async def _running(
    nats_url: str, rest_url: str, store: HistoryStore, options: Options | None, *, is_killed: bool
) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(store)
        bus = await stack.enter_async_context(connect(BusAddress([nats_url]), "recorder"))
        rest = await stack.enter_async_context(Rest(VENUES["binance"].with_endpoints(rest=rest_url)))
        recorder = Recorder(
            store,
            bus,
            {"binance": rest},
            options or Options(enigma=False, backfill_bars=10),
            await last_version(store),
        )
        running = asyncio.create_task(recorder.run(stop))
        yield
        if is_killed:
            running.cancel()
            await asyncio.wait([running])
        else:
            stop.set()
            await asyncio.wait_for(running, 20)


RunRecorder = Callable[..., AbstractAsyncContextManager[None]]


@pytest.fixture
def run_recorder(nats_url: str, tmp_path: Path) -> RunRecorder:
    """Run a recorder: `async with run_recorder(rest_url)`. One that is killed writes nothing more."""

    def run(
        rest_url: str,
        options: Options | None = None,
        store: HistoryStore | None = None,
        *,
        is_killed: bool = False,
    ):
        store = store or SpooledStore(DuckStore(tmp_path / "history.duckdb"), tmp_path / "spool", 2**24)
        return _running(nats_url, rest_url, store, options, is_killed=is_killed)

    return run


# Those who feed it


@pytest.fixture
def run_feed(nats_url: str) -> Callable[..., AbstractAsyncContextManager[None]]:
    """Run a real feed worker at a simulated exchange."""

    @asynccontextmanager
    async def run(sim: SimulatedExchange, **more: str) -> AsyncIterator[None]:
        environ = {
            "NATS_URL": nats_url,
            "EXCHANGE_WS_ENDPOINT": f"ws://127.0.0.1:{sim.port}",
            "EXCHANGE_REST_ENDPOINT": sim.url,
            "EXCHANGE_SYMBOLS": "all",
        }
        stop = asyncio.Event()
        role = asyncio.create_task(feed.run(load_settings(None, environ | more, {}), 0, 1, stop))
        yield
        stop.set()
        await asyncio.wait_for(role, 10)

    return run


@dataclass
class Worker:
    """A feed worker that publishes what a test says, of one symbol that no venue lists."""

    bus: Bus
    native: str
    symbol_id: int
    shell: PriceShell
    tape: TradeTape = field(default_factory=TradeTape)
    """What it has to answer with."""
    last_id: int = 100

    def trades(self, at_ms: int, *prices: float, loses: bool = False, recovered: bool = False) -> list[int]:
        """Trade at these prices, a millisecond apart. If it loses them, no batch has them."""
        ids = []
        for place, price in enumerate(prices):
            self.last_id += 1
            ids.append(self.last_id)
            self.trade(self.last_id, at_ms + place, price, recovered=recovered)
        while loses and self.shell.processor.waiting:
            self.shell.processor.take_batch(now_us())
        return ids

    def trade(self, trade_id: int, at_ms: int, price: float, *, recovered: bool = False) -> None:
        at_us = at_ms * 1_000
        self.tape.accept([Trade(self.symbol_id, 0, 1, trade_id, at_us, price, 1.0)])
        event = AggTrade(self.native, trade_id, price, 1.0, False, at_us, at_us, trade_id, trade_id)
        (self.shell.on_recovered if recovered else self.shell.on_event)(event, now_us())

    def skip(self, count: int) -> tuple[int, int]:
        """Let trades be missing, and say so."""
        first, self.last_id = self.last_id + 1, self.last_id + count
        self.gap(GapState.OPEN, first, self.last_id)
        return first, self.last_id

    def gap(self, state: GapState, first_id: int, last_id: int) -> None:
        gap = Gap(self.symbol_id, state, GapCause.SKIPPED, first_id, last_id, 1, 2)
        self.shell.on_gap(self.native, gap)

    def bar(self, open_ms: int, *prices: float) -> None:
        """Let the venue state its final bar of a minute."""
        count = float(len(prices))
        self.shell.on_event(
            Bar(
                self.native,
                1,
                open_ms,
                prices[0],
                max(prices),
                min(prices),
                prices[-1],
                count,
                sum(prices),
                count,
                sum(prices),
                len(prices),
                -1,
                -1,
                True,
                open_ms * 1_000,
            ),
            now_us(),
        )

    def answer_trades(self, _subject: str, payload: bytes) -> bytes:
        asked = json.loads(payload)
        return encode_v2(self.tape.between(asked["first"], asked["last"]), now_us(), Kind.TRADE)


@pytest.fixture
async def worker(nats_url: str) -> AsyncIterator[Worker]:
    native = f"OWN{next(_numbers)}USDT"
    async with connect(BusAddress([nats_url]), "worker") as bus, asyncio.TaskGroup() as tasks:
        registry = Registry(bus)
        await registry.open()
        listed = Instrument(symbol=native, venue="binance", native=native, price_precision=2, simulated=True)
        [instrument] = await registry.register([listed])
        processor = PriceProcessor("binance", 77, epoch_us=now_us())
        processor.add_symbol(native, instrument.id)
        one = Worker(bus, native, instrument.id, PriceShell(processor, bus, 50))
        subject = subjects.request_trades("binance", native)
        await bus.serve("test-feed", "1.0.0", "a feed", [Endpoint("trades", subject, one.answer_trades)], {})
        feeding = tasks.create_task(one.shell.run())
        yield one
        feeding.cancel()
