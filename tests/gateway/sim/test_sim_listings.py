"""Symbols that come and go on the simulated exchange."""

import pytest

from gateway.sim.listings import BadListing, parse_listing


async def change(desk, **said) -> dict:
    answer = await desk.http.post("/sim/listing", json={"market": "spot", **said})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def statuses(desk, root: str = "api/v3", field: str = "status") -> dict[str, str]:
    return {one["symbol"]: one[field] for one in (await desk.get(f"/{root}/exchangeInfo"))["symbols"]}


@pytest.mark.parametrize(
    ("market", "root", "symbol", "field"),
    [
        ("spot", "api/v3", "NEWUSDT", "status"),
        ("usdm", "fapi/v1", "NEWUSDT", "status"),
        ("coinm", "dapi/v1", "NEWUSD_PERP", "contractStatus"),
    ],
)
async def test_a_new_symbol_is_listed_and_trades(exchange, market, root, symbol, field):
    async with exchange() as desk:
        said = await change(desk, market=market, symbol=symbol, price=2.5)
        assert said == {"market": market, "symbol": symbol, "status": "TRADING"}
        assert (await statuses(desk, root, field))[symbol] == "TRADING"
        [newest] = await desk.get(f"/{root}/aggTrades", symbol=symbol, limit=1)
        assert 1 < float(newest["p"]) < 6


async def test_a_new_symbol_is_heard_on_its_stream(exchange):
    async with exchange() as desk, desk.listen("/ws") as ear:
        await change(desk, symbol="NEWUSDT")
        await ear.ask("SUBSCRIBE", ["newusdt@aggTrade"])
        ids = [one["a"] for one in await ear.hear_some(5, lambda said: said.get("e") == "aggTrade")]
        assert ids == list(range(ids[0], ids[0] + 5))


@pytest.mark.parametrize("stream", ["aggTrade", "bookTicker", "miniTicker", "kline_1m"])
async def test_what_is_not_traded_any_more_is_silent(exchange, stream):
    path = f"/stream?streams=btcusdt@{stream}/ethusdt@aggTrade"
    async with exchange() as desk, desk.listen(path) as ear:
        await ear.hear_some(1, lambda said: said["stream"].startswith("btc"))
        await change(desk, symbol="BTCUSDT", status="BREAK")
        assert (await statuses(desk))["BTCUSDT"] == "BREAK"
        await ear.hear_some(100)  # what was on its way
        assert {one["stream"] for one in await ear.hear_some(450)} == {"ethusdt@aggTrade"}


async def test_what_is_not_traded_any_more_has_no_newer_trades(exchange):
    async with exchange() as desk:
        await change(desk, symbol="BTCUSDT", status="BREAK")
        [newest] = await desk.get("/api/v3/aggTrades", symbol="BTCUSDT", limit=1)
        await desk.listen_elsewhere(50)
        assert await desk.get("/api/v3/aggTrades", symbol="BTCUSDT", limit=1) == [newest]


async def test_what_is_traded_again_goes_on_with_the_next_id(exchange):
    async with exchange() as desk, desk.listen("/ws/btcusdt@aggTrade") as ear:
        first = (await ear.hear())["a"]
        await change(desk, symbol="BTCUSDT", status="BREAK")
        await desk.listen_elsewhere(50)
        await change(desk, symbol="BTCUSDT")
        ids = [first] + [one["a"] for one in await ear.hear_some(60)]
        assert ids == list(range(first, first + 61))


async def test_what_is_gone_is_not_known_and_may_come_back(exchange):
    async with exchange() as desk:
        await change(desk, symbol="ETHUSDT", status="GONE")
        assert "ETHUSDT" not in await statuses(desk)
        status, said = await desk.refused("/api/v3/aggTrades", symbol="ETHUSDT")
        assert (status, said["code"]) == (400, -1121)
        assert "ETHUSDT" in await statuses(desk, "fapi/v1")
        await change(desk, symbol="ETHUSDT")
        assert (await statuses(desk))["ETHUSDT"] == "TRADING"


@pytest.mark.parametrize(
    ("said", "names"),
    [
        (b"no", "truncated"),
        (b"[]", "object"),
        (b'{"market": "spot"}', "symbol"),
        (b'{"market": "moon", "symbol": "A"}', "market"),
        (b'{"market": "spot", "symbol": "A", "price": 0}', "price"),
        (b'{"market": "spot", "symbol": "A", "status": ""}', "status"),
        (b'{"market": "spot", "symbol": "A", "colour": 1}', "colour"),
    ],
)
def test_a_change_that_cannot_be_is_told_why(said, names):
    with pytest.raises(BadListing, match=names):
        parse_listing(said)


@pytest.mark.parametrize("symbol", ["USDT", "NEWBTC", "newusdt", ""])
async def test_what_is_no_symbol_of_the_market_is_refused(exchange, symbol):
    async with exchange() as desk:
        answer = await desk.http.post("/sim/listing", json={"market": "spot", "symbol": symbol})
        assert answer.status_code == 400
        assert "cannot be listed" in answer.json()["error"]
