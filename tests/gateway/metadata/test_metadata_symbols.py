"""The map of symbols, on every kind of database."""

import dataclasses
from decimal import Decimal

import pytest

from gateway.metadata.errors import IdTaken
from gateway.metadata.symbols import SymbolRow, find_clashes, plan_put

BTC = SymbolRow(
    id=1,
    symbol="BINANCE:BTCUSDT",
    venue="binance",
    native="BTCUSDT",
    base="BTC",
    quote="USDT",
    price_precision=2,
    quantity_precision=5,
    min_quantity=Decimal("0.00001000"),
    max_quantity=Decimal("999999999999.99999999"),
    step_size=Decimal("0.00000001"),
    min_notional=Decimal(5),
)
ETH = SymbolRow(
    id=2,
    symbol="BINANCE:币安USDT",
    venue="binance",
    native="币安USDT",
    price_precision=8,
    quantity_precision=0,
)
PERPETUAL = dataclasses.replace(
    BTC, id=3, symbol="BINANCE:BTCUSDT.P", venue="binance-usdm", is_simulated=True
)


def at(now_ms, *rows):
    """Return rows as they are when they were put at this time."""
    return [dataclasses.replace(row, created_ms=now_ms, updated_ms=now_ms) for row in rows]


async def test_what_is_put_is_read_again_exactly(database, clock):
    assert await database.symbols.put([PERPETUAL, BTC, ETH]) == 3

    assert await database.symbols.all() == at(clock.now_ms, BTC, ETH, PERPETUAL)


async def test_what_has_not_changed_is_not_written(database, clock):
    await database.symbols.put([BTC, ETH])
    before, clock.now_ms = clock.now_ms, clock.now_ms + 1_000

    assert await database.symbols.put(at(0, BTC, ETH)) == 0

    assert await database.symbols.all() == at(before, BTC, ETH)


async def test_a_delisted_symbol_stays_and_says_since_when(database, clock):
    await database.symbols.put([BTC, ETH])
    before, clock.now_ms = clock.now_ms, clock.now_ms + 1_000

    gone = dataclasses.replace(BTC, is_active=False, min_notional=None)
    assert await database.symbols.put([gone, PERPETUAL]) == 2

    assert await database.symbols.all() == [
        dataclasses.replace(gone, created_ms=before, updated_ms=clock.now_ms),
        *at(before, ETH),
        *at(clock.now_ms, PERPETUAL),
    ]


async def test_what_belongs_to_another_symbol_is_refused_and_nothing_is_written(database, clock):
    await database.symbols.put([BTC])

    with pytest.raises(IdTaken, match="BINANCE:BTCUSDT of binance is 1") as refused:
        await database.symbols.put(
            [PERPETUAL, dataclasses.replace(ETH, id=1), dataclasses.replace(BTC, id=9)]
        )

    assert [symbol_id for symbol_id, _, _ in refused.value.clashes] == [1, 9]
    assert await database.symbols.all() == at(clock.now_ms, BTC)


async def test_the_whole_of_a_venue_goes_at_once(database):
    rows = [
        dataclasses.replace(BTC, id=number, symbol=f"BINANCE:S{number}", native=f"S{number}")
        for number in range(1, 3_001)
    ]

    assert await database.symbols.put(rows) == 3_000
    assert await database.symbols.put([dataclasses.replace(row, is_active=False) for row in rows]) == 3_000
    assert not any(row.is_active for row in await database.symbols.all())


@pytest.mark.parametrize("amount", ["1e12", "-1e30", "0.000000001", "NaN", "Infinity"])
async def test_a_number_that_does_not_fit_is_left_out(database, amount):
    row = dataclasses.replace(BTC, max_quantity=Decimal(amount))

    assert await database.symbols.put([row]) == 1
    assert await database.symbols.put([row]) == 0

    assert [kept.max_quantity for kept in await database.symbols.all()] == [None]


@pytest.mark.parametrize(
    "changed",
    [
        {"id": 9},
        {"symbol": "BINANCE:OTHER"},
        {"native": "OTHER"},
        {"venue": "other"},
        {"id": 9, "venue": "other"},
    ],
)
def test_a_symbol_is_its_id_its_name_and_its_place_together(changed):
    assert find_clashes([BTC], [BTC]) == []
    assert len(find_clashes([BTC], [dataclasses.replace(BTC, **changed)])) == 1
    assert len(find_clashes([], [BTC, dataclasses.replace(BTC, **changed)])) == 1


def test_of_two_rows_of_one_symbol_the_last_counts():
    inactive = dataclasses.replace(BTC, is_active=False)

    assert plan_put([], [BTC, inactive], 7) == (at(7, inactive), [])
    assert plan_put(at(7, BTC), [inactive, BTC], 8) == ([], [])
