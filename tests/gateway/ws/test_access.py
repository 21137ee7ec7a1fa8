"""Who may open a stream, and for how long: over a real port."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from stream_rig import (
    Gateway,
    add_key,
    closed_with,
    open_metadata,
    ponged,
    prices,
    run_guarded,
    say,
    told,
)
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from gateway.accounts.credentials import COOKIE
from gateway.accounts.notices import Revoked
from gateway.metadata.database import Database, open_database
from gateway.processes.ports import find_free_port
from protocol.errors import CloseCode


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_metadata(tmp_path) as opened:
        yield opened


@pytest.fixture
async def closed(nats_url: str, database: Database) -> AsyncIterator[Gateway]:
    """A gateway at which everybody has to log in."""
    async with run_guarded(nats_url, database) as running:
        yield running


@pytest.fixture
async def public(nats_url: str, database: Database) -> AsyncIterator[Gateway]:
    """A gateway at which anybody may read."""
    async with run_guarded(
        nats_url, database, anonymous=True, origins=["https://app.example.com"]
    ) as running:
        yield running


async def refusal(opening: Any) -> Any:
    """Return the answer to an upgrade that is refused."""
    with pytest.raises(InvalidStatus) as caught:
        async with opening:
            pass
    return caught.value.response


async def subscribed(stream: ClientConnection, *symbols: str) -> list[dict[str, Any]]:
    """Ask for symbols; return what is said about it."""
    await say(stream, "subscribe", symbols=symbols)
    return [one for one in await ponged(stream) if isinstance(one, dict)]


# By the request


async def test_a_token_in_the_request_opens_a_stream(closed):
    closed.price("BTCUSDT", 7.0)
    async with closed.open(await closed.log_in("ann")) as stream:
        assert await told(stream) == {"type": "market_watch_subscribe", "symbols": []}
        await say(stream, "subscribe", symbols=["BTCUSDT"])
        assert (await told(stream))["type"] == "symbols"
        assert await prices(stream) == [(1, 7.0)]


async def test_so_do_the_cookie_of_a_browser_and_an_api_key(closed, database):
    token = await closed.log_in("ann")
    async with closed.open(Cookie=f"a=b; {COOKIE}={token}", Origin=closed.http) as stream:
        assert (await told(stream))["type"] == "market_watch_subscribe"
    async with closed.open(await add_key(database, "ann", "read", "watch")) as stream:
        assert (await told(stream))["type"] == "market_watch_subscribe"


async def test_what_is_worth_nothing_is_refused_even_where_anybody_may_read(public):
    answer = await refusal(public.open("x" * 43))
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "Set-Cookie" not in answer.headers


async def test_a_browser_is_told_to_forget_a_cookie_that_is_worth_nothing(public):
    answer = await refusal(public.open(Cookie=f"{COOKIE}=of-yesterday"))
    assert answer.status_code == 401
    assert answer.headers["Set-Cookie"].startswith(f"{COOKIE}=; Path=/; Max-Age=0")


@pytest.mark.parametrize("path", ["/api/v1/ws", "/ws?symbols=BTCUSDT"])
async def test_pages_of_other_sites_get_no_stream(public, path):
    token = await public.log_in("ann")
    for shown in ({"Cookie": f"{COOKIE}={token}"}, {}):
        for origin in ("https://evil.example.com", "null"):
            answer = await refusal(public.open(path=path, Origin=origin, **shown))
            assert answer.status_code == 403
        async with public.open(path=path, Origin="https://app.example.com", **shown):
            pass


async def test_pages_of_any_site_may_read_if_all_are_listed_but_not_by_a_visitors_cookie(nats_url, database):
    async with run_guarded(nats_url, database, anonymous=True, origins=["*"]) as gateway:
        async with gateway.open(Origin="https://any.example.com") as stream:
            assert await ponged(stream) == []
        token = await gateway.log_in("ann")
        answer = await refusal(gateway.open(Origin="https://any.example.com", Cookie=f"{COOKIE}={token}"))
        assert answer.status_code == 403


async def test_a_proxy_of_ours_may_say_which_host_was_asked(nats_url, database):
    async with run_guarded(nats_url, database, anonymous=True, proxies=["127.0.0.1"]) as gateway:
        shown = {"Origin": "https://prices.example.com"}
        assert (await refusal(gateway.open(**shown))).status_code == 403
        async with gateway.open(**shown, X_Forwarded_Host="prices.example.com") as stream:
            assert await ponged(stream) == []


async def test_a_key_that_is_not_for_market_data_opens_nothing(closed, database):
    assert (await refusal(closed.open(await add_key(database, "ann", "operate")))).status_code == 403


async def test_a_token_in_the_address_is_not_looked_at(closed):
    token = await closed.log_in("ann")
    async with closed.open(path=f"/api/v1/ws?token={token}") as stream:
        [error] = await subscribed(stream, "BTCUSDT")
    assert error["code"] == "not_logged_in"


async def test_a_user_has_only_so_many_streams(closed, monkeypatch):
    monkeypatch.setattr("gateway.ws.access.SOCKETS_A_USER", 1)
    token = await closed.log_in("ann")
    async with closed.open(token) as first, closed.open() as stream:
        await told(first)
        assert (await refusal(closed.open(token))).status_code == 429
        await say(stream, "auth", session_token=token)
        assert await closed_with(stream) == CloseCode.TOO_MANY_CONNECTIONS


async def test_too_many_who_log_in_at_once_are_told_to_come_again(closed, monkeypatch):
    monkeypatch.setattr(closed.access.logins, "_most", 0)
    token = await closed.log_in("ann")
    answer = await refusal(closed.open(token))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    async with closed.open() as stream:
        await say(stream, "auth", session_token=token)
        assert await closed_with(stream) == CloseCode.TRY_AGAIN_LATER


async def test_while_accounts_are_away_only_anybody_comes_in(nats_url):
    async with (
        open_database(f"mysql://nobody:none@127.0.0.1:{find_free_port()}/none") as away,
        run_guarded(nats_url, away, anonymous=True) as gateway,
    ):
        answer = await refusal(gateway.open("x" * 43))
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        async with gateway.open() as stream:
            assert [one["type"] for one in await subscribed(stream, "BTCUSDT")] == ["symbols"]
            await say(stream, "auth", session_token="x" * 43)
            assert await closed_with(stream) == CloseCode.TRY_AGAIN_LATER


# By a message


async def test_who_has_not_said_who_they_are_gets_nothing(closed):
    async with closed.open() as stream:
        [error] = await subscribed(stream, "BTCUSDT")
        closed.price("BTCUSDT", 7.0)
        assert await ponged(stream) == []
    assert error["code"] == "not_logged_in"


@pytest.mark.parametrize("path", ["/api/v1/ws", "/ws?symbols=BTCUSDT"])
async def test_and_is_closed_after_a_while(closed, path, monkeypatch):
    monkeypatch.setattr("gateway.ws.admission.AUTH_TIMEOUT_S", 0.1)
    async with closed.open(path=path) as stream:
        assert await closed_with(stream) == CloseCode.NOT_LOGGED_IN


async def test_a_first_message_says_who_it_is_and_what_follows_at_once_is_served(closed):
    token = await closed.log_in("bob")
    closed.price("BTCUSDT", 7.0)
    async with closed.open() as stream:
        await say(stream, "auth", session_token=token)
        await say(stream, "subscribe", symbols=["BTCUSDT"])
        confirmed = await told(stream)
        assert (await told(stream))["type"] == "symbols"
        assert await prices(stream) == [(1, 7.0)]
    assert confirmed == {"type": "auth_confirmed", "user": "bob", "symbols_allowed": ["BINANCE:BTC*"]}


@pytest.mark.parametrize("token", ["", "x" * 43, "tg_0123456789ab_" + "x" * 43, "ü\u0000", "x" * 60_000])
async def test_a_wrong_one_ends_the_stream(public, token):
    async with public.open() as stream:
        await say(stream, "auth", session_token=token)
        await say(stream, "subscribe", symbols=["BTCUSDT"])
        assert await closed_with(stream) == CloseCode.NOT_LOGGED_IN


async def test_anybody_may_become_somebody_and_keeps_what_they_had(public, database):
    ann = await database.users.find("ann")
    await public.market_watch.add(ann.id, ["BINANCE:ETHUSDT"])
    async with public.open() as stream:
        assert [one["type"] for one in await subscribed(stream, "BTCUSDT")] == ["symbols"]
        await say(stream, "auth", session_token=await public.log_in("ann"))
        assert (await told(stream))["user"] == "ann"
        assert await told(stream) == {"type": "market_watch_subscribe", "symbols": ["ETHUSDT"]}
        assert [one["symbol"] for one in (await told(stream))["symbols"]] == ["ETHUSDT"]
        public.price("BTCUSDT", 7.0)
        public.price("ETHUSDT", 8.0)
        assert await prices(stream) == [(1, 7.0), (2, 8.0)]


async def test_a_second_one_replaces_the_first_with_what_they_may_see(public):
    async with public.open(await public.log_in("ann")) as stream:
        await told(stream)
        await subscribed(stream, "BTCUSDT", "ETHUSDT")
        await say(stream, "auth", session_token=await public.log_in("bob"))
        assert (await told(stream))["user"] == "bob"
        error = await told(stream)
        assert (error["code"], error["symbols"]) == ("not_allowed", ["ETHUSDT"])
        assert (await told(stream))["type"] == "market_watch_subscribe"
        public.price("BTCUSDT", 7.0)
        public.price("ETHUSDT", 8.0)
        assert await prices(stream) == [(1, 7.0)]
        public.accounts.on_revoked(Revoked(user=1))  # ann's streams: this is none any more
        assert await ponged(stream) == []


# The symbol rule


async def test_symbols_that_are_not_open_to_somebody_are_named_and_the_others_served(closed):
    async with closed.open(await closed.log_in("bob")) as stream:
        await told(stream)
        error, symbols = await subscribed(stream, "ETHUSDT", "BTCUSDT", "SOLUSDT")
    assert (error["code"], error["symbols"]) == ("not_allowed", ["ETHUSDT", "SOLUSDT"])
    assert [one["symbol"] for one in symbols["symbols"]] == ["BTCUSDT"]


async def test_the_rule_holds_for_symbols_that_are_listed_later(closed):
    async with closed.open(await closed.log_in("bob")) as stream:
        await told(stream)
        [unknown] = await subscribed(stream, "BTCEUR", "DOGEUSDT")
        closed.list_symbol(20, "BTCEUR")
        closed.list_symbol(21, "DOGEUSDT")
        symbols, error = await ponged(stream)
    assert unknown["code"] == "unknown_symbol"
    assert [one["symbol"] for one in symbols["symbols"]] == ["BTCEUR"]
    assert (error["code"], error["symbols"]) == ("not_allowed", ["DOGEUSDT"])


# The candle stream


async def test_the_candle_stream_obeys_the_rule_too(closed):
    token = await closed.log_in("bob")
    async with closed.open(token, path="/ws?symbols=BTCUSDT,ETHUSDT") as stream:
        assert (await told(stream))["symbols"] == ["BTCUSDT"]
        error = await told(stream)
        await say(stream, "market_watch_add", symbols=["BTCUSDT"])
        assert (await told(stream))["code"] == "not_allowed"
    assert (error["code"], error["symbols"]) == ("not_allowed", ["ETHUSDT"])


async def test_the_candle_stream_greets_when_it_knows_whom(closed):
    async with closed.open(path="/ws?symbols=BTCUSDT") as stream:
        assert await ponged(stream) == []
        await say(stream, "auth", session_token=await closed.log_in("ann"))
        assert (await told(stream))["type"] == "auth_confirmed"
        assert (await told(stream))["event"] == "welcome"


async def test_it_answers_a_senseless_address_before_it_asks_who_one_is(closed):
    assert (await refusal(closed.open("x" * 43, path="/ws?nonsense=1"))).status_code == 400


# Until when


@pytest.mark.parametrize("path", ["/api/v1/ws", "/ws?symbols=BTCUSDT"])
async def test_a_logout_closes_the_streams_of_that_session_on_every_gateway(nats_url, database, closed, path):
    token, other = await closed.log_in("ann"), await closed.log_in("ann")
    async with (
        run_guarded(nats_url, database) as second,
        closed.open(token, path=path) as here,
        second.open(token, path=path) as there,
        second.open(other, path=path) as stays,
    ):
        [identity] = [one for one in _identities(closed) if one.session_id]
        await closed.accounts.logout(identity)
        assert await closed_with(here) == CloseCode.LOGGED_OUT
        assert await closed_with(there) == CloseCode.LOGGED_OUT
        await ponged(stays)


async def test_a_user_who_may_see_less_loses_their_streams_and_others_do_not(closed, database):
    key = await add_key(database, "ann", "read")
    async with (
        closed.open(await closed.log_in("ann")) as one,
        closed.open(key) as two,
        closed.open(await closed.log_in("bob")) as others,
    ):
        for stream in (one, others):
            await told(stream)
        await ponged(two)
        ann = await database.users.find("ann")
        closed.access.present.on_revoked(Revoked(user=ann.id))
        assert await closed_with(one) == await closed_with(two) == CloseCode.LOGGED_OUT
        assert await ponged(others) == []


async def test_a_key_that_ends_ends_its_streams(closed, database):
    key = await add_key(database, "ann", "read")
    async with closed.open(key) as stream, closed.open(await closed.log_in("ann")) as stays:
        await ponged(stream)
        closed.access.present.on_revoked(Revoked(keys=(key.split("_")[1],)))
        assert await closed_with(stream) == CloseCode.LOGGED_OUT
        await ponged(stays)


async def test_who_was_revoked_unheard_is_found_out(closed):
    async with (
        closed.open(await closed.log_in("ann")) as gone,
        closed.open(await closed.log_in("bob")) as stays,
    ):
        await told(gone)
        await told(stays)
        await closed.access.present.check_all(_is_bob, pause_s=0)
        assert await closed_with(gone) == CloseCode.LOGGED_OUT
        assert await ponged(stays) == []


async def _is_bob(identity: Any) -> bool:
    return identity.user == "bob"


def _identities(gateway: Gateway) -> list[Any]:
    return [client.admission.identity for client in gateway.clients.connected]


async def test_who_leaves_while_nobody_knows_who_they_are_is_forgotten(closed):
    token = await closed.log_in("ann")
    for _ in range(5):
        _, writer = await asyncio.open_connection("127.0.0.1", closed.port)
        writer.write(
            b"GET /api/v1/ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Authorization: Bearer " + token.encode() + b"\r\n\r\n"
        )
        await writer.drain()
        writer.transport.abort()
    async with closed.open(token) as stream:
        await told(stream)
        async with asyncio.timeout(5):
            while len(closed.clients.connected) > 1:
                await ponged(stream)
