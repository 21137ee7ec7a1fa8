"""The simulated exchange as a server: one port for REST, the sockets and `/sim/…`."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.sim.exchange import Exchange
from gateway.sim.faults import Fault
from gateway.sim.limits import SimLimits
from gateway.sim.market.trades import Market, MarketOptions
from gateway.sim.rest.app import make_app
from gateway.sim.streams.sockets import SimSocket

BACKLOG: Final = 2048
MEMORY: Final = "market.json"


@dataclass(frozen=True, slots=True)
class SimOptions:
    """What the exchange is like."""

    host: str = "127.0.0.1"
    port: int = 0
    """0: a free one."""
    seed: int = 7
    symbols: int = 20
    """On each of the three markets."""
    rate: float = 10.0
    """aggTrades a second and symbol."""
    quotes_per_trade: float = 1.0
    genesis_ms: int | None = None
    """When the market begins to trade at `rate`. None: as remembered in `data`, or else now."""
    data: Path | None = None
    """A folder to remember the genesis in, so that ids and prices go on after a restart."""
    replay: Path | None = None
    replay_speed: float = 1.0
    faults: tuple[Fault, ...] = ()
    """Faults from the start on."""
    limits: SimLimits = field(default_factory=SimLimits)


class OtherMarket(Exception):
    """The folder remembers a market of another seed, rate or number of quotes."""


def now_us() -> int:
    return time.time_ns() // 1000


class SimulatedExchange:
    """The exchange, running for as long as the context lasts."""

    def __init__(self, options: SimOptions) -> None:
        self._options = options
        self.market = Market(_market_options(options, now_us() // 1000))
        self.exchange = Exchange(self.market, options.limits, now_us)
        if options.replay is not None:
            self.exchange.broadcast.replay(options.replay, options.replay_speed)
        self.port = 0
        self.url = ""

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            for fault in self._options.faults:
                self.exchange.inject(fault)
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            broadcast = self.exchange.broadcast
            for work in (self._play(), broadcast.start_sources(now_us), broadcast.make_minutes(now_us)):
                stack.callback(tasks.create_task(work).cancel)
            self.port = await stack.enter_async_context(self._serving())
            self.url = f"http://{self._options.host}:{self.port}"
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._stack.__aexit__(kind, error, trace)
        except BaseExceptionGroup as group:
            if group.exceptions != (error,):
                raise  # a task of ours has failed; what the body raised goes on as it was

    def inject(self, fault: Fault) -> None:
        """Let a fault strike now. Raises BadFault when too many stand."""
        self.exchange.inject(fault)

    async def serve(self) -> None:
        """Run until cancelled."""
        await asyncio.get_running_loop().create_future()

    async def _play(self) -> None:
        while True:
            sleep_s = self.exchange.tick(now_us())
            await asyncio.sleep(sleep_s)

    @contextlib.asynccontextmanager
    async def _serving(self) -> AsyncIterator[int]:
        """Serve HTTP with uvicorn's protocol, sockets with ours. uvicorn's Server would take the signals."""
        config = Config(
            make_app(self.exchange),
            ws=cast(Any, partial(SimSocket, self.exchange)),
            http="httptools",
            lifespan="off",
            log_config=None,
            access_log=False,
        )
        config.load()
        state = ServerState()
        make = partial(HttpToolsProtocol, config=config, server_state=state, app_state={})
        server = await asyncio.get_running_loop().create_server(
            make, self._options.host, self._options.port, backlog=BACKLOG
        )
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for connection in list(state.connections):
                connection.transport.abort()
            await server.wait_closed()
            await asyncio.gather(*state.tasks, return_exceptions=True)


def _market_options(options: SimOptions, now_ms: int) -> MarketOptions:
    """Settle the genesis. Raises OtherMarket if the folder remembers another market."""
    asked = {"seed": options.seed, "rate": options.rate, "quotes_per_trade": options.quotes_per_trade}
    # The minute of the first start: were it midnight, a late start would have hours to make up for.
    genesis_ms = options.genesis_ms if options.genesis_ms is not None else now_ms // 60_000 * 60_000
    if options.data is not None:
        memory = options.data / MEMORY
        if memory.exists():
            remembered = _remembered(memory)
            known_ms = remembered.pop("genesis_ms", genesis_ms)
            genesis_ms = known_ms if options.genesis_ms is None else options.genesis_ms
            if remembered != asked:
                raise OtherMarket(f"{memory} is of {remembered}, not of {asked}: use that, or another folder")
        options.data.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps({**asked, "genesis_ms": genesis_ms}) + "\n")
    return MarketOptions(
        seed=options.seed,
        rate=options.rate,
        genesis_ms=genesis_ms,
        symbols=options.symbols,
        quotes_per_trade=options.quotes_per_trade,
    )


def _remembered(memory: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(memory.read_text()))
    except (ValueError, TypeError) as error:
        raise OtherMarket(f"{memory} cannot be read: {error}") from None
