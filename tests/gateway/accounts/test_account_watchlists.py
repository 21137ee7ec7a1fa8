"""The market watch of users: what SQL holds, what is told, and the copies of it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from account_rig import QUICK
from stream_rig import PASSWORD, no_lists, now_ms, open_metadata

from gateway.accounts.accounts import Accounts, Rules
from gateway.accounts.market_watch import MarketWatch
from gateway.accounts.notices import Revoked, Watched, format_notice, parse_notice
from gateway.accounts.passwords import Passwords
from gateway.cache import keys
from gateway.cache.memory import MemoryCache
from gateway.metadata.database import Database
from gateway.metadata.errors import MetadataDown, OtherSymbols, WatchlistFull
from processors.bus import Bus, BusAddress, connect
from protocol import subjects

BTC, ETH, SOL = "BINANCE:BTCUSDT", "BINANCE:ETHUSDT", "KRAKEN:SOLUSDT"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_metadata(tmp_path) as opened:
        yield opened


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    async with connect(BusAddress([nats_url]), "market-watch") as opened:
        yield opened


@pytest.fixture
def cache() -> MemoryCache:
    return MemoryCache()


@pytest.fixture
async def market_watch(database: Database, cache: MemoryCache, bus: Bus) -> AsyncIterator[MarketWatch]:
    """One that runs, with room for three symbols."""
    watch = MarketWatch(database.watchlists, database.sessions, cache, bus, 3, now_ms)
    await watch.start()
    await bus.flush()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watch.run())
        yield watch
        running.cancel()


@pytest.fixture
async def ann(database: Database) -> int:
    user = await database.users.find("ann")
    assert user is not None
    return user.id


@pytest.fixture
async def session(database: Database, cache: MemoryCache, bus: Bus) -> str:
    """The id of a session of hers."""
    accounts = Accounts(database, cache, bus, Rules(), Passwords(QUICK))
    return (await accounts.login("ann", PASSWORD, "127.0.0.1", "a test")).identity.session_id


async def until(condition: Any, is_so: Any) -> None:
    """Ask again and again: a cache has no event."""
    async with asyncio.timeout(10):
        while not is_so(await condition()):  # noqa: ASYNC110  # see above
            await asyncio.sleep(0.005)


async def test_a_list_keeps_its_users_order(market_watch, ann):
    await market_watch.add(ann, [SOL, BTC])
    await market_watch.add(ann, [BTC, ETH])
    assert await market_watch.symbols(ann) == [SOL, BTC, ETH]
    await market_watch.order(ann, [BTC, ETH, SOL])
    await market_watch.remove(ann, [ETH, "BINANCE:NEVERUSDT"])
    assert await market_watch.symbols(ann) == [BTC, SOL]


async def test_a_full_list_takes_what_fits_and_says_so(market_watch, ann):
    changed = []
    market_watch.on_changed = changed.append
    with pytest.raises(WatchlistFull):
        await market_watch.add(ann, [BTC, ETH, SOL, "BINANCE:XRPUSDT"])
    assert await market_watch.symbols(ann) == [BTC, ETH, SOL]
    assert set(changed) == {ann}


async def test_a_change_is_told_here_at_once_and_to_everybody_else_by_a_notice(market_watch, ann, bus):
    heard, changed = asyncio.Queue(), []
    market_watch.on_changed = changed.append
    await bus.subscribe(subjects.CONTROL_ACCOUNTS, lambda _, payload: heard.put_nowait(parse_notice(payload)))
    await bus.flush()
    await market_watch.add(ann, [BTC, ETH])
    assert set(changed) == {ann}
    await market_watch.remove(ann, [BTC])
    await market_watch.order(ann, [ETH])
    notices = [await asyncio.wait_for(heard.get(), 5) for _ in range(3)]
    assert notices == [Watched(ann, added=(BTC, ETH)), Watched(ann, removed=(BTC,)), Watched(ann)]


async def test_what_changes_nothing_is_not_told(market_watch, ann, bus, database):
    await database.watchlists.add(ann, BTC, 3)
    heard = asyncio.Queue()
    market_watch.on_changed = heard.put_nowait
    await market_watch.add(ann, [BTC])
    await market_watch.remove(ann, [ETH])
    with pytest.raises(OtherSymbols):
        await market_watch.order(ann, [BTC, ETH])
    await bus.publish(subjects.CONTROL_ACCOUNTS, format_notice(Watched(5)))
    assert await asyncio.wait_for(heard.get(), 5) == 5


async def test_notices_of_others_are_heard_and_what_is_none_is_not(market_watch, bus):
    heard = asyncio.Queue()
    market_watch.on_changed = heard.put_nowait
    for payload in (b"nonsense", b"\xff", format_notice(Revoked(user=4)), format_notice(Watched(5))):
        await bus.publish(subjects.CONTROL_ACCOUNTS, payload)
    assert await asyncio.wait_for(heard.get(), 5) == 5
    assert heard.empty()


async def test_every_session_has_a_copy_until_it_ends(market_watch, ann, session, cache, bus):
    async def copy():
        return await cache.set_of(keys.market_watch(session))

    await market_watch.add(ann, [BTC, SOL])
    await until(copy, lambda names: names == {"BTCUSDT", SOL})
    await market_watch.remove(ann, [BTC])
    await until(copy, lambda names: names == {SOL})
    await bus.publish(subjects.CONTROL_ACCOUNTS, format_notice(Revoked(sessions=(session,))))
    await until(copy, lambda names: not names)


async def test_while_sql_is_away_the_copy_is_the_list_and_nothing_can_be_changed(
    market_watch, ann, session, tmp_path
):
    await market_watch.add(ann, [SOL, BTC])
    await market_watch.copy([SOL, BTC], {session: now_ms() + 60_000})
    with no_lists(tmp_path):
        assert await market_watch.copied(["of-nobody", session]) == [BTC, SOL]
        assert await market_watch.copied(["of-nobody"]) is None
        with pytest.raises(MetadataDown):
            await market_watch.symbols(ann)
        with pytest.raises(MetadataDown):
            await market_watch.add(ann, [ETH])
    assert await market_watch.symbols(ann) == [SOL, BTC]
