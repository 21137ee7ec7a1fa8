"""`/api/v1/marketwatch`, over a real port and a real database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from stream_rig import Gateway, add_key, open_metadata, run_guarded

from gateway.metadata.database import Database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_metadata(tmp_path) as opened:
        yield opened


@pytest.fixture
async def gateway(nats_url: str, database: Database) -> AsyncIterator[Gateway]:
    async with run_guarded(nats_url, database, anonymous=True, most=3) as running:
        yield running


async def test_a_list_is_shown_added_to_ordered_and_taken_from(gateway):
    token = await gateway.log_in("ann")
    assert (await gateway.ask("GET", "", token)).json() == {"symbols": []}
    assert (await gateway.ask("POST", "/ETHUSDT", token)).json() == {"symbols": ["ETHUSDT"]}
    added = await gateway.ask("POST", "/binance:btcusdt", token)
    assert added.json() == {"symbols": ["ETHUSDT", "BTCUSDT"]}
    again = await gateway.ask("POST", "/ETHUSDT", token)
    assert (again.status_code, again.json()) == (200, {"symbols": ["ETHUSDT", "BTCUSDT"]})
    ordered = await gateway.ask("PUT", "", token, {"symbols": ["BTCUSDT", "ETHUSDT"]})
    assert ordered.json() == {"symbols": ["BTCUSDT", "ETHUSDT"]}
    assert (await gateway.ask("DELETE", "/BTCUSDT", token)).json() == {"symbols": ["ETHUSDT"]}
    gone = await gateway.ask("DELETE", "/BTCUSDT", token)
    assert (gone.status_code, gone.json()) == (200, {"symbols": ["ETHUSDT"]})
    assert "no-store" in gone.headers["Cache-Control"]


async def test_it_outlives_a_session_and_is_one_users(gateway):
    await gateway.ask("POST", "/BTCUSDT", await gateway.log_in("ann"))
    assert (await gateway.ask("GET", "", await gateway.log_in("ann"))).json() == {"symbols": ["BTCUSDT"]}
    assert (await gateway.ask("GET", "", await gateway.log_in("bob"))).json() == {"symbols": []}


async def test_an_api_key_with_the_scope_shares_the_list_of_its_user(gateway, database):
    await gateway.ask("POST", "/BTCUSDT", await gateway.log_in("ann"))
    key = await add_key(database, "ann", "watch")
    assert (await gateway.ask("GET", "", key)).json() == {"symbols": ["BTCUSDT"]}
    assert (await gateway.ask("GET", "", await add_key(database, "ann", "read"))).status_code == 403


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_whoever_is_not_logged_in_has_none(gateway, method):
    answer = await gateway.ask(method, "", "", {"symbols": []} if method == "PUT" else None)
    assert (answer.status_code, answer.json()["error"]) == (401, "not_logged_in")


async def test_what_cannot_be_added_is_said(gateway):
    token, bob = await gateway.log_in("ann"), await gateway.log_in("bob")
    unknown = await gateway.ask("POST", "/NOSUCH", token)
    assert (unknown.status_code, unknown.json()["error"]) == (404, "unknown_symbol")
    closed = await gateway.ask("POST", "/ETHUSDT", bob)
    assert (closed.status_code, closed.json()["error"]) == (403, "symbol_not_allowed")
    for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT"):
        await gateway.ask("POST", f"/{symbol}", token)
    full = await gateway.ask("POST", "/XRPUSDT", token)
    assert (full.status_code, full.json()["error"]) == (409, "watchlist_full")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"symbols": ["BTCUSDT"]}, 409),
        ({"symbols": ["BTCUSDT", "ETHUSDT", "ETHUSDT"]}, 409),
        ({"symbols": "BTCUSDT"}, 400),
        ({"symbols": [], "more": 1}, 400),
        ([], 400),
    ],
)
async def test_an_order_names_each_symbol_once(gateway, body, status):
    token = await gateway.log_in("ann")
    for symbol in ("BTCUSDT", "ETHUSDT"):
        await gateway.ask("POST", f"/{symbol}", token)
    assert (await gateway.ask("PUT", "", token, body)).status_code == status
    assert (await gateway.ask("GET", "", token)).json() == {"symbols": ["BTCUSDT", "ETHUSDT"]}
