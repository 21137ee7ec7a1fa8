"""The exchange that the contenders read: the simulated one's REST, and for each a socket of our own."""

import contextlib
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from bench.demo import until_ok
from bench.ingest.blocks import Listed
from bench.ingest.lines import Child, run_module
from gateway.config.flags import environ
from gateway.processes.child import child_process
from gateway.processes.ports import find_free_port

START_TIMEOUT_S: Final = 60.0
NEARLY_SILENT: Final = {"SIM_RATE": "0.01", "SIM_QUOTES_PER_TRADE": "0.1", "LOG_LEVEL": "warning"}
"""Nobody listens to its own streams."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """REST, and what it lists on spot."""

    rest: str
    listed: list[Listed]

    @property
    def natives(self) -> list[str]:
        return [one.native for one in self.listed]


class Source(Child):
    """The socket of one contender (source.py)."""

    host = ""

    async def quiet(self) -> tuple[int, int]:
        """Have it send no more; return how many messages and bytes it has ever sent."""
        messages, size = (await self.ask("quiet")).split()
        return int(messages), int(size)


class Reader(Child):
    """A contender that counts what it has taken in."""

    async def count(self) -> int:
        return int(await self.ask("count"))


@contextlib.asynccontextmanager
async def run_exchange(symbols: int) -> AsyncIterator[Exchange]:
    port = find_free_port()
    argv = [sys.executable, "-P", "-m", "gateway.cli", "sim", "--supervised"]
    settings = {**environ, **NEARLY_SILENT, "SIM_PORT": str(port), "SIM_SYMBOLS": str(symbols)}
    async with child_process("sim", argv, settings) as process:
        rest = f"http://127.0.0.1:{port}"
        await until_ok(f"{rest}/api/v3/ping", process, START_TIMEOUT_S)
        async with httpx.AsyncClient(base_url=f"{rest}/api/v3") as http:
            info = (await http.get("/exchangeInfo")).json()
            prices = {row["symbol"]: float(row["price"]) for row in (await http.get("/ticker/price")).json()}
        yield Exchange(rest, [_listed(one, prices[one["symbol"]]) for one in info["symbols"]])


def _listed(one: Mapping[str, Any], price: float) -> Listed:
    filters = {stated["filterType"]: stated for stated in one["filters"]}
    return Listed(
        native=one["symbol"],
        price=price,
        price_digits=_digits(filters["PRICE_FILTER"]["tickSize"]),
        quantity_digits=_digits(filters["LOT_SIZE"]["stepSize"]),
    )


def _digits(step: str) -> int:
    """Say how many decimals a step has: 0.01000000 has two."""
    return len(step.partition(".")[2].rstrip("0"))


@contextlib.asynccontextmanager
async def run_source(exchange: Exchange, seed: int) -> AsyncIterator[Source]:
    async with run_module("source") as process:
        source = Source("the source", process)
        source.host = f"127.0.0.1:{await source.order(listed=exchange.listed, seed=seed)}"
        yield source


@contextlib.asynccontextmanager
async def run_reader(name: str, exchange: Exchange, source: Source) -> AsyncIterator[Reader]:
    """Run the contender that is the module of this name."""
    async with run_module(name) as process:
        reader = Reader(name, process)
        await reader.order(host=source.host, rest=exchange.rest, natives=exchange.natives)
        yield reader
