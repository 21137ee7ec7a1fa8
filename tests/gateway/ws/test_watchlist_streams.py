"""The market watch on the streams of a user: over two gateways on one bus, one database and one cache."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest
from redis_servers import RedisServer, fallback
from stream_rig import (
    Gateway,
    add_key,
    closed_with,
    no_lists,
    open_metadata,
    ponged,
    prices,
    run_guarded,
    say,
    told,
)
from websockets.asyncio.client import ClientConnection

from clients.errors import StreamClosed, StreamRefused
from clients.stream import Stream
from clients.updates import Connected
from gateway.accounts.identity import Identity
from gateway.metadata.database import Database
from protocol.control import AutoUnsubscribe, MarketWatchSubscribe, WatchChange
from protocol.errors import CloseCode
from protocol.frames import decode_v2


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_metadata(tmp_path) as opened:
        yield opened


@pytest.fixture
async def gateway(nats_url: str, database: Database) -> AsyncIterator[Gateway]:
    async with run_guarded(nats_url, database, anonymous=True) as running:
        yield running


@pytest.fixture
async def other(nats_url: str, database: Database) -> AsyncIterator[Gateway]:
    """A second gateway beside the first."""
    async with run_guarded(nats_url, database, anonymous=True) as running:
        yield running


@pytest.fixture
async def ann(gateway: Gateway) -> str:
    """Her token."""
    return await gateway.log_in("ann")


async def listed(gateway: Gateway, token: str) -> list[str]:
    """Return the market watch as HTTP shows it."""
    answer = await gateway.ask("GET", "", token)
    assert answer.status_code == 200, answer.text
    symbols: list[str] = answer.json()["symbols"]
    return symbols


async def greeted(stream: ClientConnection, *symbols: str) -> None:
    """Read what a stream begins with: the list, and the dictionary of it."""
    assert await told(stream) == {"type": "market_watch_subscribe", "symbols": list(symbols)}
    if symbols:
        assert [one["symbol"] for one in (await told(stream))["symbols"]] == list(symbols)


def gained(symbol: str) -> dict[str, Any]:
    return {"type": "auto_subscribe", "data": {"symbol": symbol}}


def lost(symbol: str) -> dict[str, Any]:
    return {"type": "auto_unsubscribe", "data": {"symbol": symbol}}


# On connecting


@pytest.mark.parametrize("version", [1, 2])
async def test_a_stream_begins_with_the_list_its_dictionary_and_its_prices(gateway, ann, version):
    for symbol in ("ETHUSDT", "BTCUSDT"):
        assert (await gateway.ask("POST", f"/{symbol}", ann)).status_code == 200
    gateway.price("BTCUSDT", 7.0)
    async with gateway.open(ann, version=version) as stream:
        await greeted(stream, "ETHUSDT", "BTCUSDT")
        frame = await stream.recv()
        assert isinstance(frame, bytes)
        if version == 2:
            assert [(row.symbol_id, row.price) for row in decode_v2(frame).rows()] == [(1, 7.0)]
        gateway.price("ETHUSDT", 8.0)
        assert isinstance(await stream.recv(), bytes)


async def test_anybody_gets_no_list_and_can_have_none(gateway):
    async with gateway.open() as stream:
        for kind in ("market_watch_add", "market_watch_remove", "market_watch_order"):
            await say(stream, kind, symbols=["BTCUSDT"])
            assert (await told(stream))["code"] == "not_logged_in"


async def test_a_key_without_the_scope_has_none_either(gateway, database):
    async with gateway.open(await add_key(database, "ann", "read")) as stream:
        await say(stream, "market_watch_add", symbols=["BTCUSDT"])
        assert (await told(stream))["code"] == "not_allowed"
        assert await ponged(stream) == []


async def test_what_is_not_listed_waits_on_the_list_until_it_is(gateway, ann, database):
    user = await database.users.find("ann")
    await database.watchlists.add(user.id, "BINANCE:NEWUSDT", 500)
    async with gateway.open(ann) as stream:
        assert await told(stream) == {"type": "market_watch_subscribe", "symbols": ["NEWUSDT"]}
        assert await ponged(stream) == []
        gateway.list_symbol(30, "NEWUSDT")
        assert [one["symbol"] for one in (await told(stream))["symbols"]] == ["NEWUSDT"]
        gateway.price("NEWUSDT", 3.0)
        assert await prices(stream) == [(30, 3.0)]


async def test_what_is_not_open_to_its_user_any_more_is_not_served(gateway, database):
    user = await database.users.find("bob")
    for symbol in ("BTCUSDT", "ETHUSDT"):
        await database.watchlists.add(user.id, f"BINANCE:{symbol}", 500)
    async with gateway.open(await gateway.log_in("bob")) as stream:
        assert (await told(stream))["symbols"] == ["BTCUSDT", "ETHUSDT"]
        assert [one["symbol"] for one in (await told(stream))["symbols"]] == ["BTCUSDT"]
        gateway.price("ETHUSDT", 8.0)
        gateway.price("BTCUSDT", 7.0)
        assert await prices(stream) == [(1, 7.0)]


# Changes


async def test_a_change_by_http_reaches_all_streams_of_the_user_on_all_gateways(gateway, other, ann):
    for one in (gateway, other):
        one.price("BTCUSDT", 7.0)
    async with (
        gateway.open(ann) as here,
        other.open(ann) as there,
        other.open(await other.log_in("bob")) as somebody,
    ):
        for stream in (here, there, somebody):
            await greeted(stream)
        await other.ask("POST", "/BTCUSDT", ann)
        for stream in (here, there):
            assert await told(stream) == gained("BTCUSDT")
            assert (await told(stream))["type"] == "symbols"
            assert await prices(stream) == [(1, 7.0)]
        await gateway.ask("DELETE", "/btcusdt", ann)
        for stream in (here, there):
            assert await told(stream) == lost("BTCUSDT")
        for one in (gateway, other):
            one.price("BTCUSDT", 8.0)
        for stream in (here, there, somebody):
            assert await ponged(stream) == []


async def test_so_does_one_by_message(gateway, other, ann):
    async with gateway.open(ann) as here, other.open(ann) as there:
        for stream in (here, there):
            await greeted(stream)
        await say(here, "market_watch_add", symbols=["BTCUSDT", "ETHUSDT"])
        for stream in (here, there):
            assert [await told(stream), await told(stream)] == [gained("BTCUSDT"), gained("ETHUSDT")]
            await told(stream)
        await say(there, "market_watch_order", symbols=["ETHUSDT", "BTCUSDT"])
        for stream in (here, there):
            assert await told(stream) == {
                "type": "market_watch_subscribe",
                "symbols": ["ETHUSDT", "BTCUSDT"],
            }
        await say(here, "market_watch_remove", symbols=["ETHUSDT", "NEVERUSDT"])
        for stream in (here, there):
            assert await told(stream) == lost("ETHUSDT")
    assert await listed(other, ann) == ["BTCUSDT"]


async def test_messages_in_one_go_are_done_one_after_the_other(gateway, ann):
    async with gateway.open(ann) as stream:
        await greeted(stream)
        for _ in range(5):
            await say(stream, "market_watch_add", symbols=["BTCUSDT"])
            await say(stream, "market_watch_remove", symbols=["BTCUSDT"])
        await say(stream, "market_watch_add", symbols=["ETHUSDT"])
        await ponged(stream)
    assert await listed(gateway, ann) == ["ETHUSDT"]


async def test_what_a_client_has_asked_for_itself_goes_on_without_the_list(gateway, ann):
    async with gateway.open(ann) as stream:
        await greeted(stream)
        await say(stream, "subscribe", symbols=["BTCUSDT"])
        await told(stream)
        await gateway.ask("POST", "/BTCUSDT", ann)
        assert await told(stream) == gained("BTCUSDT")
        await gateway.ask("DELETE", "/BTCUSDT", ann)
        assert await told(stream) == lost("BTCUSDT")
        gateway.price("BTCUSDT", 7.0)
        assert await prices(stream) == [(1, 7.0)]


async def test_and_what_is_on_the_list_goes_on_without_being_asked_for(gateway, ann):
    await gateway.ask("POST", "/BTCUSDT", ann)
    async with gateway.open(ann) as stream:
        await greeted(stream, "BTCUSDT")
        await say(stream, "subscribe", symbols=["BTCUSDT"])
        await say(stream, "unsubscribe", symbols=["BTCUSDT"])
        assert await ponged(stream) == []
        gateway.price("BTCUSDT", 7.0)
        assert await prices(stream) == [(1, 7.0)]


async def test_a_change_that_nobody_told_of_is_found_when_the_bus_is_back(gateway, ann, database):
    user = await database.users.find("ann")
    async with gateway.open(ann) as stream:
        await greeted(stream)
        await database.watchlists.add(user.id, "BINANCE:BTCUSDT", 500)
        gateway.market_watch.on_missed()
        assert await told(stream) == gained("BTCUSDT")


async def test_log_in_at_one_gateway_edit_at_another_and_the_stream_at_the_first_changes(
    nats_url, database, tmp_path
):
    redis = RedisServer(tmp_path)
    await redis.come()
    async with (
        fallback(redis.address) as here,
        fallback(redis.address) as there,
        run_guarded(nats_url, database, here) as first,
        run_guarded(nats_url, database, there) as second,
    ):
        token = await first.log_in("ann")
        first.price("BTCUSDT", 7.0)
        async with first.open(token) as stream:
            await greeted(stream)
            await second.ask("POST", "/BTCUSDT", token)
            assert await told(stream) == gained("BTCUSDT")
            await told(stream)
            assert await prices(stream) == [(1, 7.0)]
        await redis.go()
        async with second.open(token) as stream:  # and without Redis all goes on
            await greeted(stream, "BTCUSDT")
            await first.ask("DELETE", "/BTCUSDT", token)
            assert await told(stream) == lost("BTCUSDT")


# What is refused


async def test_symbols_that_are_none_or_not_open_are_named_and_the_others_added(gateway):
    bob = await gateway.log_in("bob")
    async with gateway.open(bob) as stream:
        await greeted(stream)
        await say(stream, "market_watch_add", symbols=["NOSUCH", "ETHUSDT", "BTCUSDT"])
        unknown, refused, news = await told(stream), await told(stream), await told(stream)
    assert (unknown["code"], unknown["symbols"]) == ("unknown_symbol", ["BINANCE:NOSUCH"])
    assert (refused["code"], refused["symbols"]) == ("not_allowed", ["ETHUSDT"])
    assert news == gained("BTCUSDT")


async def test_a_list_takes_as_many_as_it_holds(nats_url, database):
    async with run_guarded(nats_url, database, most=2) as gateway:
        ann = await gateway.log_in("ann")
        async with gateway.open(ann) as stream:
            await greeted(stream)
            await say(stream, "market_watch_add", symbols=["BTCUSDT", "ETHUSDT", "SOLUSDT"])
            seen = [one for one in await ponged(stream) if isinstance(one, dict) and one["type"] == "error"]
        assert [one["code"] for one in seen] == ["watchlist_full"]
        assert await listed(gateway, ann) == ["BTCUSDT", "ETHUSDT"]


async def test_an_order_of_other_symbols_is_none(gateway, ann):
    await gateway.ask("POST", "/BTCUSDT", ann)
    async with gateway.open(ann) as stream:
        await greeted(stream, "BTCUSDT")
        await say(stream, "market_watch_order", symbols=["ETHUSDT"])
        error = await told(stream)
    assert (error["code"], sorted(error["symbols"])) == ("other_symbols", ["BTCUSDT", "ETHUSDT"])


async def test_changes_that_come_too_fast_are_refused(gateway, ann):
    async def wait_s(identity: Identity) -> float:
        return 1.5 if identity.user == "ann" else 0.0

    gateway.access.edit_wait_s = wait_s
    async with gateway.open(ann) as stream:
        await greeted(stream)
        await say(stream, "market_watch_add", symbols=["BTCUSDT"])
        assert (await told(stream))["code"] == "too_many_changes"
    assert await listed(gateway, ann) == []


async def test_while_sql_is_away_a_stream_begins_with_the_copy_and_comes_back_to_the_list(
    nats_url, database, tmp_path, monkeypatch
):
    monkeypatch.setattr("gateway.ws.watchlists.RETRY_S", 0.01)
    async with run_guarded(nats_url, database) as gateway, AsyncExitStack() as stack:
        ann = await gateway.log_in("ann")
        for symbol in ("ETHUSDT", "BTCUSDT"):
            await gateway.ask("POST", f"/{symbol}", ann)
        first = await stack.enter_async_context(gateway.open(ann))
        await greeted(first, "ETHUSDT", "BTCUSDT")
        with no_lists(tmp_path):
            assert await listed(gateway, ann) == ["BTCUSDT", "ETHUSDT"]
            second = await stack.enter_async_context(gateway.open(ann))
            await greeted(second, "BTCUSDT", "ETHUSDT")
            await say(second, "market_watch_add", symbols=["SOLUSDT"])
            assert (await told(second))["code"] == "unavailable"
        assert (await told(second))["symbols"] == ["ETHUSDT", "BTCUSDT"]
        assert await ponged(first) == []


@pytest.mark.parametrize("kind", ["market_watch_add", "market_watch_remove", "market_watch_order"])
async def test_ten_thousand_symbols_in_a_message_do_no_harm(gateway, ann, kind):
    names = [f"C{number}" for number in range(9_000)]
    async with gateway.open(ann) as stream:
        await greeted(stream)
        await say(stream, kind, symbols=names[:5_000])
        assert len(await ponged(stream)) <= 1
        await say(stream, kind, symbols=[f"{name}USDTUSDT" for name in names])
        assert await closed_with(stream) == CloseCode.MESSAGE_TOO_BIG


# With our own client


async def test_our_client_gets_its_market_watch_and_is_told_when_it_is_logged_out(gateway, ann):
    await gateway.ask("POST", "/BTCUSDT", ann)
    gateway.price("BTCUSDT", 7.0)
    async with (
        Stream(gateway.http, token=ann) as stream,
        asyncio.timeout(10),
        aclosing(stream.items()) as items,
    ):
        assert isinstance(await anext(items), Connected)
        assert await anext(items) == MarketWatchSubscribe(["BTCUSDT"])
        assert (await anext(items)).price == 7.0
        await stream.market_watch_remove("BTCUSDT")
        assert await anext(items) == AutoUnsubscribe(WatchChange("BTCUSDT"))
        [client] = gateway.clients.connected
        await gateway.accounts.logout(client.admission.identity)
        with pytest.raises(StreamClosed) as closed:
            await anext(items)
    assert closed.value.code == CloseCode.LOGGED_OUT


async def test_our_client_says_why_it_is_not_let_in(gateway):
    with pytest.raises(StreamRefused, match="HTTP 401: "):
        async for _ in Stream(gateway.http, token="worth nothing"):
            pass
