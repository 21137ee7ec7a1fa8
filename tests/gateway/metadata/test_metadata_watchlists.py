"""Market watches, on every kind of database."""

import asyncio

import pytest

from gateway.metadata.errors import DoesNotFit, OtherSymbols, UnknownUser, WatchlistFull


async def fill(database, user, symbols):
    for symbol in symbols:
        assert await database.watchlists.add(user.id, symbol, 100)


async def test_a_list_keeps_its_order(database, ann):
    await fill(database, ann, ["ETHUSDT", "BTCUSDT", "币安USDT"])

    assert await database.watchlists.of(ann.id) == ["ETHUSDT", "BTCUSDT", "币安USDT"]


async def test_a_symbol_is_on_a_list_once(database, ann):
    assert await database.watchlists.add(ann.id, "BTCUSDT", 100)
    assert not await database.watchlists.add(ann.id, "BTCUSDT", 1)

    assert await database.watchlists.of(ann.id) == ["BTCUSDT"]


async def test_everybody_has_a_list_of_their_own(database, ann):
    bob = await database.users.add("bob", "a hash")
    await fill(database, ann, ["BTCUSDT"])
    await fill(database, bob, ["BTCUSDT", "ETHUSDT"])

    assert not await database.watchlists.remove(ann.id, "ETHUSDT")
    assert await database.watchlists.remove(bob.id, "BTCUSDT")

    assert await database.watchlists.of(ann.id) == ["BTCUSDT"]
    assert await database.watchlists.of(bob.id) == ["ETHUSDT"]


async def test_a_list_has_an_end(database, ann):
    await fill(database, ann, ["A", "B"])

    with pytest.raises(WatchlistFull, match="full: 2 symbols"):
        await database.watchlists.add(ann.id, "C", 2)


async def test_two_that_add_at_once_do_not_go_beyond_the_end(database, ann):
    names = [f"S{number}" for number in range(8)]
    results = await asyncio.gather(
        *(database.watchlists.add(ann.id, name, 5) for name in names), return_exceptions=True
    )

    assert results.count(True) == 5
    assert sum(isinstance(one, WatchlistFull) for one in results) == 3
    assert len(await database.watchlists.of(ann.id)) == 5


async def test_a_list_takes_a_new_order(database, ann):
    await fill(database, ann, ["A", "B", "C"])

    await database.watchlists.order(ann.id, ["C", "A", "B"])
    await database.watchlists.add(ann.id, "D", 100)

    assert await database.watchlists.of(ann.id) == ["C", "A", "B", "D"]


@pytest.mark.parametrize("wanted", [["A"], ["A", "B", "C"], ["A", "A", "B"], ["A", "A"], []])
async def test_a_new_order_has_the_same_symbols(database, ann, wanted):
    await fill(database, ann, ["B", "A"])

    with pytest.raises(OtherSymbols):
        await database.watchlists.order(ann.id, wanted)

    assert await database.watchlists.of(ann.id) == ["B", "A"]


async def test_an_empty_list_is_in_order(database, ann):
    await database.watchlists.order(ann.id, [])

    assert await database.watchlists.of(ann.id) == []


async def test_nobody_has_no_list(database):
    assert await database.watchlists.of(99) == []
    assert not await database.watchlists.remove(99, "BTCUSDT")
    with pytest.raises(UnknownUser):
        await database.watchlists.add(99, "BTCUSDT", 100)


async def test_what_looks_like_sql_is_a_symbol(database, ann):
    symbol = "'; DROP TABLE market_watch; --\\"
    await fill(database, ann, ["BTCUSDT", symbol])

    assert await database.watchlists.remove(ann.id, symbol)
    assert await database.watchlists.of(ann.id) == ["BTCUSDT"]


async def test_a_symbol_has_an_end(database, ann):
    with pytest.raises(DoesNotFit):
        await database.watchlists.add(ann.id, "A" * 51, 100)
    assert not await database.watchlists.remove(ann.id, "A" * 51)
