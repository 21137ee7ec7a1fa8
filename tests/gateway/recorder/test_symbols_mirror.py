"""The symbols in SQL beside the registry, and the registry out of SQL."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway.metadata.database import Database, open_database
from gateway.metadata.errors import MetadataDown
from gateway.metadata.migrate import up
from gateway.metadata.symbols import SymbolRow
from gateway.natsd import nats_server
from gateway.processes.ports import find_free_port
from gateway.recorder.symbols_mirror import SymbolsMirror, instrument_of, rows_of
from gateway.registry import Registry
from processors.bus import BusAddress, connect
from protocol.symbols import Instrument

BTC = Instrument(
    symbol="BTCUSDT.P", venue="binance-usdm", native="BTCUSDT", base="BTC", quote="USDT", price_precision=1,
    quantity_precision=3, simulated=True, min_quantity="0.001", max_quantity="1000", step_size="0.001",
    min_notional="5",
)  # fmt: skip
ETH = Instrument(symbol="ETHUSDT", venue="binance", native="ETHUSDT", price_precision=2)
AMOUNTS = st.decimals(min_value="0.00000001", max_value=10**11, places=8)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite:///{tmp_path}/metadata.sqlite"
    await up(url)
    async with open_database(url) as opened:
        yield opened


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    """A registry on a bus of its own: it is new."""
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(nats_server(tmp_path / "nats", find_free_port(), {}))
        yield Registry(await stack.enter_async_context(connect(BusAddress([nats.url]), "test")))


@asynccontextmanager
async def mirroring(mirror: SymbolsMirror) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(mirror.run())
        yield
        running.cancel()


async def until_rows(
    database: Database, holds: Callable[[dict[int, SymbolRow]], object]
) -> dict[int, SymbolRow]:
    """Read the table until it is like this: who writes there tells nobody."""
    async with asyncio.timeout(20):
        while True:
            rows = {row.id: row for row in await database.symbols.all()}
            if holds(rows):
                return rows
            await asyncio.sleep(0.02)


async def test_what_is_registered_is_in_sql_and_what_changes_follows(database, registry):
    mirror = SymbolsMirror(registry, database.symbols)
    await mirror.restore()
    btc, eth = await registry.register([BTC, ETH])
    async with mirroring(mirror):
        rows = await until_rows(database, lambda rows: len(rows) == 2)
        assert replace(rows[btc.id], created_ms=0, updated_ms=0) == SymbolRow(
            id=btc.id, symbol="BINANCE:BTCUSDT.P", venue="binance-usdm", native="BTCUSDT", base="BTC",
            quote="USDT", is_active=True, price_precision=1, quantity_precision=3,
            min_quantity=Decimal("0.001"), max_quantity=Decimal(1000), step_size=Decimal("0.001"),
            min_notional=Decimal(5), is_simulated=True,
        )  # fmt: skip
        ended = msgspec.structs.replace(eth, is_active=False, ended_ms=5, price_precision=4)
        other = Registry(registry._bus)
        await other.open()
        await other.announce("binance", [ended], 5)
        rows = await until_rows(database, lambda rows: not rows[eth.id].is_active)
    assert rows[eth.id].price_precision == 4
    assert rows[btc.id].is_active


async def test_a_registry_that_was_lost_comes_back_under_the_same_ids(database, registry):
    kept = [msgspec.structs.replace(BTC, id=3), msgspec.structs.replace(ETH, id=9, is_active=False)]
    await database.symbols.put(rows_of(kept))
    await SymbolsMirror(registry, database.symbols).restore()
    assert {(one.id, one.name, one.is_active, one.simulated) for one in registry.table} == {
        (3, "BINANCE:BTCUSDT.P", True, True),
        (9, "BINANCE:ETHUSDT", False, False),
    }
    assert registry.table.by_id(9).ended_ms > 0
    [eth, new] = await registry.register([ETH, msgspec.structs.replace(ETH, symbol="X", native="X")])
    assert (eth.id, new.id) == (9, 10)


async def test_a_contradiction_is_said_once_and_the_rest_is_written(database, registry):
    other = msgspec.structs.replace(ETH, id=1, symbol="OTHERUSDT", native="OTHERUSDT")
    await database.symbols.put(rows_of([other]))
    mirror = SymbolsMirror(registry, database.symbols)
    await registry.open()
    btc, eth = await registry.register([BTC, ETH])
    assert btc.id == 1
    with structlog.testing.capture_logs() as logs:
        await mirror.restore()
        async with mirroring(mirror):
            await until_rows(database, lambda rows: eth.id in rows)
            await registry.announce("binance", [msgspec.structs.replace(eth, price_precision=7)], 5)
            mirror._changed.set()
            rows = await until_rows(database, lambda rows: rows[eth.id].price_precision == 7)
    assert rows[1].symbol == "BINANCE:OTHERUSDT"
    said = [one for one in logs if one["event"] == "symbols.contradiction"]
    assert [one["log_level"] for one in said] == ["error"]
    assert "BTCUSDT.P" in said[0]["reason"]


class Away:
    """The table of a server that is away, until it is not."""

    def __init__(self, database: Database) -> None:
        self.is_away = True
        self.asked = asyncio.Event()
        self._symbols = database.symbols

    def _check(self) -> None:
        self.asked.set()
        if self.is_away:
            raise MetadataDown("MySQL at nowhere:3306", "it is away")

    async def all(self) -> list[SymbolRow]:
        self._check()
        return await self._symbols.all()

    async def put(self, rows) -> int:
        self._check()
        return await self._symbols.put(rows)


async def test_while_sql_is_away_nothing_waits_and_then_all_is_written(database, registry):
    away = Away(database)
    mirror = SymbolsMirror(registry, away, retry_s=0.01)
    with structlog.testing.capture_logs() as logs:
        await mirror.restore()
        await registry.open()
        [eth] = await registry.register([ETH])
        async with mirroring(mirror):
            for _ in range(3):
                away.asked.clear()
                await asyncio.wait_for(away.asked.wait(), 10)
            away.is_away = False
            await until_rows(database, lambda rows: eth.id in rows)
    said = [one["event"] for one in logs if one["event"].startswith("symbols.")]
    assert said.count("symbols.not_written") == 1
    assert said[0] == "symbols.not_restored"


async def test_without_tables_the_registry_goes_on(tmp_path, registry):
    async with open_database(f"sqlite:///{tmp_path}/empty.sqlite") as database:
        await SymbolsMirror(registry, database.symbols).restore()
    await registry.open()
    [eth] = await registry.register([ETH])
    assert eth.id == 1


def test_a_name_that_the_table_has_no_room_for_is_left_out():
    long = msgspec.structs.replace(ETH, symbol="X" * 51)
    assert [row.symbol for row in rows_of([long, ETH])] == ["BINANCE:ETHUSDT"]


@given(AMOUNTS, AMOUNTS)
def test_amounts_are_the_same_after_a_way_through_sql(least, most):
    one = msgspec.structs.replace(
        BTC, id=1, min_quantity=plain(least), max_quantity=plain(most), tick_size=""
    )
    [row] = rows_of([one])
    padded = replace(row, min_quantity=row.min_quantity.quantize(Decimal("0.00000001")))
    assert instrument_of(padded) == instrument_of(row) == one


def plain(amount: Decimal) -> str:
    return f"{amount:f}".rstrip("0").rstrip(".")
