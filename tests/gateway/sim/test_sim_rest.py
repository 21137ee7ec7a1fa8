"""REST: Binance's shapes, its rules for parameters, its limits."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sim.faults import Faults
from gateway.sim.limits import SimLimits
from gateway.sim.listings import Listings
from gateway.sim.market.bars import INTERVALS, History
from gateway.sim.market.symbols import Board
from gateway.sim.market.trades import Market, MarketOptions
from gateway.sim.rest.answers import Moment
from gateway.sim.rest.app import FUTURES, SPOT
from gateway.sim.rest.params import ApiError, Params

GENESIS_MS = 1_790_000_000_000
MARKET = Market(MarketOptions(seed=7, rate=1.0, genesis_ms=GENESIS_MS, symbols=1))
HISTORY = cache(lambda one: History(MARKET, one))
NUMBERS = st.integers(0, 10**18) | st.integers(GENESIS_MS - 10**9, GENESIS_MS + 10**8) | st.integers(0, 2_000)

SHAPES = {
    "/api/v3/aggTrades": {"a", "p", "q", "f", "l", "T", "m", "M"},
    "/fapi/v1/aggTrades": {"a", "p", "q", "nq", "f", "l", "T", "m"},
    "/dapi/v1/aggTrades": {"a", "p", "q", "f", "l", "T", "m"},
    "/api/v3/trades": {"id", "price", "qty", "quoteQty", "time", "isBuyerMaker", "isBestMatch"},
    "/fapi/v1/trades": {"id", "price", "qty", "quoteQty", "time", "isBuyerMaker"},
    "/dapi/v1/trades": {"id", "price", "qty", "baseQty", "time", "isBuyerMaker"},
}


def symbol_of(path: str) -> str:
    return "BTCUSD_PERP" if path.startswith("/dapi") else "BTCUSDT"


@pytest.mark.parametrize("path", SHAPES)
async def test_trades_have_the_fields_of_their_market(exchange, path):
    async with exchange() as desk:
        rows = await desk.get(path, symbol=symbol_of(path), limit=5)
    assert len(rows) == 5
    assert all(row.keys() == SHAPES[path] for row in rows)


async def test_the_listing_is_complete_and_says_that_it_is_simulated(exchange):
    async with exchange(symbols=8) as desk:
        for root in ("/api/v3", "/fapi/v1", "/dapi/v1"):
            info = await desk.get(f"{root}/exchangeInfo")
            assert info["simulated"] is True
            assert len(info["symbols"]) == 8
            for one in info["symbols"]:
                kinds = {entry["filterType"] for entry in one["filters"]}
                assert {"PRICE_FILTER", "LOT_SIZE"} <= kinds
        spot = (await desk.get("/api/v3/exchangeInfo", symbols='["ETHUSDT","币安人生USDT"]'))["symbols"]
        assert [one["symbol"] for one in spot] == ["ETHUSDT", "币安人生USDT"]
        coinm = (await desk.get("/dapi/v1/exchangeInfo"))["symbols"]
        assert {one["contractType"] for one in coinm} == {"PERPETUAL", "CURRENT_QUARTER"}


async def test_agg_trades_go_on_from_an_id_included(exchange):
    async with exchange() as desk:
        newest = (await desk.get("/api/v3/aggTrades", symbol="BTCUSDT", limit=1))[0]["a"]
        rows = await desk.get("/api/v3/aggTrades", symbol="BTCUSDT", fromId=newest - 700, limit=600)
    assert [row["a"] for row in rows] == list(range(newest - 700, newest - 100))


async def test_agg_trades_of_a_span_are_those_of_its_times(exchange):
    async with exchange() as desk:
        rows = await desk.get("/api/v3/aggTrades", symbol="BTCUSDT", limit=100)
        first, last = rows[20]["T"], rows[60]["T"]
        span = await desk.get("/api/v3/aggTrades", symbol="BTCUSDT", startTime=first, endTime=last)
        assert [row["a"] for row in span] == [row["a"] for row in rows if first <= row["T"] <= last]
        before = await desk.get("/api/v3/aggTrades", symbol="BTCUSDT", endTime=last, limit=7)
        assert before[-1]["T"] <= last
        assert len(before) == 7


async def test_futures_reach_back_two_days_and_coinm_one(exchange):
    async with exchange() as desk:
        for path, hours in (("/fapi/v1/aggTrades", 48), ("/dapi/v1/aggTrades", 24)):
            rows = await desk.get(path, symbol=symbol_of(path), fromId=1, limit=1)
            now_ms = (await desk.get(path.replace("aggTrades", "time")))["serverTime"]
            assert 0 <= hours * 3_600_000 - (now_ms - rows[0]["T"]) < 60_000
        assert (await desk.get("/api/v3/aggTrades", symbol="BTCUSDT", fromId=1, limit=1))[0]["a"] == 1


async def test_historical_trades_tile_without_a_hole(exchange):
    async with exchange() as desk:
        old = await desk.get("/api/v3/historicalTrades", symbol="BTCUSDT", fromId=5000, limit=1000)
        assert [row["id"] for row in old] == list(range(5000, 6000))
        newest = await desk.get("/api/v3/trades", symbol="BTCUSDT", limit=50)
        aggregates = await desk.get("/api/v3/aggTrades", symbol="BTCUSDT", limit=200)
    spans = [(row["f"], row["l"]) for row in aggregates]
    assert all(any(first <= row["id"] <= last for first, last in spans) for row in newest[:40])


async def test_klines_equal_their_trades(exchange):
    async with exchange() as desk:
        bars = await desk.get("/api/v3/klines", symbol="ETHUSDT", interval="1m", limit=4)
        opened, closed = bars[1][0], bars[1][6]
        trades = await desk.get("/api/v3/aggTrades", symbol="ETHUSDT", startTime=opened, endTime=closed)
    prices = [float(row["p"]) for row in trades]
    _, first, high, low, last, volume, _, turnover, singles, bought, _, _ = bars[1]
    assert (float(first), float(last)) == (prices[0], prices[-1])
    assert (float(high), float(low)) == (max(prices), min(prices))
    assert float(volume) == pytest.approx(sum(float(row["q"]) for row in trades), abs=1e-9)
    assert float(turnover) == pytest.approx(
        sum(float(row["q"]) * float(row["p"]) for row in trades), rel=1e-12
    )
    assert singles == trades[-1]["l"] - trades[0]["f"] + 1
    assert float(bought) == pytest.approx(sum(float(row["q"]) for row in trades if not row["m"]), abs=1e-9)


async def test_klines_are_chosen_by_times_and_limit(exchange):
    async with exchange() as desk:
        hours = await desk.get("/api/v3/klines", symbol="BTCUSDT", interval="1h", limit=50)
        assert len(hours) == 50
        start, end = hours[10][0], hours[20][0]
        some = await desk.get("/api/v3/klines", symbol="BTCUSDT", interval="1h", startTime=start, endTime=end)
        assert some == hours[10:21]
        later = await desk.get(
            "/api/v3/klines", symbol="BTCUSDT", interval="1h", startTime=start + 1, limit=3
        )
        assert later == hours[11:14]
        back = await desk.get("/api/v3/klines", symbol="BTCUSDT", interval="1h", endTime=end, limit=3)
        assert back == hours[18:21]
        oldest = await desk.get("/api/v3/klines", symbol="BTCUSDT", interval="1M", startTime=0, limit=2)
        assert oldest[0][0] == 1_577_836_800_000
        future = await desk.get("/api/v3/klines", symbol="BTCUSDT", interval="1h", startTime=2**42)
        assert future == []


async def test_the_day_ticker_equals_its_klines(exchange):
    async with exchange() as desk:
        day = await desk.get("/api/v3/ticker/24hr", symbol="BTCUSDT")
        minutes = await desk.get(
            "/fapi/v1/klines", symbol="BTCUSDT", interval="1m", limit=1440
        )  # spot gives at most 1000: there its own hours are asked for
        assert len(minutes) == 1440
        perpetual = await desk.get("/fapi/v1/ticker/24hr", symbol="BTCUSDT")
    closed = [bar for bar in minutes[:-1] if bar[0] >= perpetual["openTime"]]
    assert float(perpetual["volume"]) >= sum(float(bar[5]) for bar in closed)
    assert float(perpetual["openPrice"]) == float(closed[0][1])
    assert day["lastId"] - day["firstId"] + 1 == day["count"]
    assert float(day["lowPrice"]) <= float(day["weightedAvgPrice"]) <= float(day["highPrice"])


async def test_tickers_of_one_some_and_all(exchange):
    async with exchange() as desk:
        assert (await desk.get("/api/v3/ticker/price", symbol="BTCUSDT"))["symbol"] == "BTCUSDT"
        some = await desk.get("/api/v3/ticker/24hr", symbols='["SOLUSDT","ETHUSDT"]', type="MINI")
        assert [row["symbol"] for row in some] == ["SOLUSDT", "ETHUSDT"]
        assert len(await desk.get("/fapi/v1/ticker/bookTicker")) == 3
        assert isinstance(await desk.get("/dapi/v1/ticker/24hr", symbol="BTCUSD_PERP"), list)


async def test_spot_tells_microseconds_to_who_asks(exchange):
    async with exchange() as desk:
        answer = await desk.http.get(
            "/api/v3/aggTrades?symbol=BTCUSDT&limit=1", headers={"X-MBX-TIME-UNIT": "MICROSECOND"}
        )
        (row,) = answer.json()
        assert row["T"] > 10**15
        rows = await desk.get("/api/v3/aggTrades", symbol="BTCUSDT", startTime=row["T"], limit=1)
        assert rows[0]["a"] == row["a"]
        wrong = await desk.http.get("/api/v3/time", headers={"X-MBX-TIME-UNIT": "FORTNIGHT"})
        assert wrong.json()["code"] == -1194


@pytest.mark.parametrize(
    ("path", "params", "code", "message"),
    [
        ("/api/v3/klines", {"interval": "1m"}, -1102, "Mandatory parameter 'symbol' was not sent"),
        ("/api/v3/klines", {"symbol": "NOPE", "interval": "1m"}, -1121, "Invalid symbol."),
        ("/api/v3/klines", {"symbol": "BTCUSDT", "interval": "7m"}, -1120, "Invalid interval."),
        ("/api/v3/klines", {"symbol": "BTCUSDT", "interval": "1m", "x": 1}, -1104, "read '2' param"),
        ("/api/v3/depth", {"symbol": ""}, -1105, "Parameter 'symbol' was empty."),
        ("/api/v3/depth", {"symbol": "BTC USDT"}, -1100, "Illegal characters"),
        ("/api/v3/depth", {"symbol": "BTCUSDT", "limit": "-1"}, -1100, "Illegal characters"),
        ("/api/v3/aggTrades", {"symbol": "BTCUSDT", "limit": 0}, -1130, "'limit'"),
        ("/api/v3/aggTrades", {"symbol": "BTCUSDT", "limit": 1001}, -1130, "'limit'"),
        ("/api/v3/aggTrades", {"symbol": "BTCUSDT", "fromId": 1, "startTime": 1}, -1128, "Combination"),
        ("/api/v3/ticker/24hr", {"symbol": "BTCUSDT", "type": "HUGE"}, -1139, "Invalid ticker type."),
        ("/api/v3/ticker/price", {"symbols": "BTCUSDT"}, -1100, "Illegal characters"),
        ("/api/v3/ticker/price", {"symbols": '["A","A"]'}, -1151, "multiple times"),
        ("/fapi/v1/aggTrades", {"symbol": "BTCUSDT", "startTime": 0, "endTime": 3_600_001}, -1127, "More"),
        ("/fapi/v1/aggTrades", {"symbol": "BTCUSDT", "startTime": 2, "endTime": 1}, -1023, "greater"),
        ("/fapi/v1/depth", {"symbol": "BTCUSDT", "limit": 7}, -4021, "Depth limit 7 not supported."),
        ("/dapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1m"}, -1121, "Invalid symbol."),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said_in_binances_words(exchange, path, params, code, message):
    async with exchange() as desk:
        status, body = await desk.refused(path, **params)
    assert (status, body["code"]) == (400, code)
    assert message in body["msg"]


async def test_weight_is_counted_and_too_much_is_refused_then_banned(exchange):
    async with exchange(limits=SimLimits(spot_weight=10, ban_after=2)) as desk:
        fine = [await desk.http.get("/api/v3/aggTrades?symbol=BTCUSDT&limit=1") for _ in range(2)]
        assert [answer.headers["x-mbx-used-weight-1m"] for answer in fine] == ["4", "8"]
        refused = [await desk.http.get("/api/v3/aggTrades?symbol=BTCUSDT&limit=1") for _ in range(3)]
        assert [answer.status_code for answer in refused] == [429, 429, 418]
        assert all(answer.json()["code"] == -1003 for answer in refused)
        assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in refused[:2])
        assert 100 < int(refused[2].headers["retry-after"]) <= 120
        assert (await desk.http.get("/fapi/v1/ping")).status_code == 200


async def test_both_futures_markets_use_one_pool_of_weight(exchange):
    async with exchange() as desk:
        await desk.http.get("/fapi/v1/ping")
        answer = await desk.http.get("/dapi/v1/aggTrades?symbol=BTCUSD_PERP&limit=1")
        assert answer.headers["x-mbx-used-weight-1m"] == "21"
        assert "x-mbx-used-weight" not in answer.headers


@given(
    board=st.sampled_from(list(Board)),
    path=st.sampled_from(["aggTrades", "historicalTrades", "klines", "trades", "depth"]),
    interval=st.sampled_from([*INTERVALS, "2m"]),
    numbers=st.dictionaries(st.sampled_from(["fromId", "startTime", "endTime", "limit"]), NUMBERS),
)
@settings(max_examples=100, deadline=None)
def test_no_numbers_break_an_answer(board, path, interval, numbers):
    endpoint = (SPOT if board is Board.SPOT else FUTURES)[path]
    said = {"symbol": symbol_of(f"/{board.value}"), "interval": interval, **numbers}
    sent = [(name, str(value)) for name, value in said.items() if name in endpoint.known]
    listings = Listings(MARKET, {})
    moment = Moment(MARKET, HISTORY, Faults(0), listings, (GENESIS_MS + 90_000) * 1000, 1000, 6000)
    try:
        rows = endpoint.answer(Params(MARKET, board, sent, endpoint.known, endpoint.mandatory), moment)
    except ApiError:
        return
    assert len(rows) <= 5000
