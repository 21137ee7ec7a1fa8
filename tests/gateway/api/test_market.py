import asyncio
from collections.abc import Callable

import httpx
import msgspec
import pytest

from gateway.registry import Registry
from processors.bus import NoAnswer
from protocol import subjects
from protocol.symbols import Instrument


@pytest.fixture
async def http(rig):
    async with httpx.AsyncClient(base_url=rig.http) as client:
        yield client


async def test_symbols_are_listed_in_the_form_of_the_api(rig, http):
    listed = {one["symbol"]: one for one in (await http.get("/api/v1/symbols")).json()}
    btc = next(iter(rig.ids))
    assert listed[btc]["id"] == rig.ids[btc]
    assert listed[btc]["is_active"] is True
    assert listed[btc]["simulated"] is True


async def test_a_symbol_is_listed_with_what_the_venue_states_of_orders(rig, http):
    stated = {"tick_size": "0.01", "min_quantity": "0.001", "max_quantity": "9000", "step_size": "0.001"}
    await announce(rig, lambda one: msgspec.structs.replace(one, **stated))
    btc = next(iter(rig.ids))
    listed = await listed_when(http, lambda listed: listed[btc]["tick_size"])
    assert {name: listed[btc][name] for name in stated} == stated
    assert listed[btc]["min_notional"] is None


async def test_what_is_not_traded_is_listed_as_inactive_and_has_no_price(rig, http):
    btc = next(iter(rig.ids))
    await announce(rig, lambda one: msgspec.structs.replace(one, is_active=one.symbol != btc, ended_ms=1_000))
    listed = await listed_when(http, lambda listed: not listed[btc]["is_active"])
    assert [one["is_active"] for name, one in listed.items() if name in rig.ids] == [False, True, True]
    price = await http.get(f"/api/v1/symbols/{btc}/price")
    assert (price.status_code, price.json()["error"]) == (404, "not_traded")
    chart = (await http.get("/udf/symbols", params={"symbol": btc})).json()
    assert (chart["expired"], chart["expiration_date"]) == (True, 1)


async def announce(rig, change: Callable[[Instrument], Instrument]) -> None:
    """Say how the rig's symbols are now, as a feed worker does."""
    registry = Registry(rig.bus)
    await registry.open()
    ones = [change(one) for one in registry.table if one.venue == rig.venue]
    await registry.announce(rig.venue, ones, 1_000)


async def listed_when(http, holds: Callable[[dict], object]) -> dict:
    """Ask for the list until it is like this."""
    async with asyncio.timeout(10):
        while True:
            listed = {one["symbol"]: one for one in (await http.get("/api/v1/symbols")).json()}
            if holds(listed):
                return listed


async def test_a_price_comes_with_its_quote_and_its_time(rig, http):
    btc = next(iter(rig.ids))
    rig.book(btc, 99.0, 101.0)
    await rig.prices_arrive(btc, 100.0)
    body = (await http.get(f"/api/v1/symbols/{btc}/price")).json()
    assert (body["price"], body["bid"], body["ask"]) == (100.0, 99.0, 101.0)
    assert abs(body["timestamp"] - rig.shell.processor.epoch_us / 1000) < 60_000


async def test_an_unknown_symbol_is_404_and_one_without_a_price_503(rig, http):
    unknown = await http.get("/api/v1/symbols/NOSUCH/price")
    assert (unknown.status_code, unknown.json()["error"]) == (404, "unknown_symbol")
    silent = await http.get(f"/api/v1/symbols/{list(rig.ids)[1]}/price", timeout=20)
    assert (silent.status_code, silent.json()["error"]) == (503, "no_price_yet")
    assert int(silent.headers["retry-after"]) > 0


async def test_a_wrong_path_or_method_is_answered_in_json(http):
    assert (await http.get("/nowhere")).json()["error"] == "http_error"
    assert (await http.post("/api/v1/symbols")).status_code == 405


async def test_services_get_the_same_answers_over_nats(rig, http):
    btc = next(iter(rig.ids))
    await rig.prices_arrive(btc, 55.0)
    body = await rig.bus.request(subjects.request_price(rig.venue, btc))
    assert b'"price":55.0' in body
    assert btc.encode() in await rig.bus.request(subjects.REQUEST_SYMBOLS)
    with pytest.raises(NoAnswer):
        await rig.bus.request(subjects.request_price(rig.venue, "NOSUCH"))


async def test_ready_means_that_prices_flow(rig, http):
    first = await http.get("/readyz")
    assert (first.status_code, first.json()["ready"]) == (503, False)
    await rig.prices_arrive(next(iter(rig.ids)), 1.0)
    then = await http.get("/readyz")
    assert (then.status_code, then.json()["ready"]) == (200, True)


async def test_the_page_and_the_version_are_served(http):
    page = await http.get("/")
    assert page.status_code == 200
    assert "text/html" in page.headers["content-type"]
    assert (await http.get("/version")).json()["name"] == "tickgate"
