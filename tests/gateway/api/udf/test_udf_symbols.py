import time

from gateway.api.udf.resolutions import RESOLUTIONS
from gateway.api.udf.symbols import describe, rank
from protocol.symbols import Instrument


def instrument(symbol: str, number: int = 1, **values) -> Instrument:
    whole = {"symbol": symbol, "venue": "binance", "native": symbol, "price_precision": 2, "id": number}
    return Instrument(**whole | values)


async def test_config_lets_a_chart_start(charted):
    config = await charted.udf("config")
    assert (config["supports_search"], config["supports_group_request"]) == (True, False)
    assert config["supports_marks"]
    assert config["supports_timescale_marks"]
    assert config["supports_time"]
    assert config["supported_resolutions"] == list(RESOLUTIONS)
    assert {"value": "", "name": "All exchanges", "desc": ""} in config["exchanges"]
    assert "BINANCE" in [one["value"] for one in config["exchanges"]]


async def test_time_is_a_bare_number_of_seconds(charted):
    answer = await charted.get("/udf/time")
    assert abs(int(answer.text) - time.time()) < 60


async def test_a_symbol_is_the_same_by_name_by_ticker_and_as_typed(charted):
    objects = [
        await charted.udf("symbols", symbol=name)
        for name in (charted.symbol, f"BINANCE:{charted.symbol}", f" {charted.symbol.lower()} ")
    ]
    assert objects[0] == objects[1] == objects[2]
    assert objects[0]["ticker"] == f"BINANCE:{charted.symbol}"
    assert ":" not in objects[0]["name"]
    assert "SIMULATED" in objects[0]["description"]


async def test_a_symbol_has_no_s_and_an_error_has(charted):
    assert "s" not in await charted.udf("symbols", symbol=charted.symbol)
    answer = await charted.get("/udf/symbols", symbol="NOSUCH")
    assert (answer.status_code, answer.json()) == (404, {"s": "error", "errmsg": "unknown_symbol"})


async def test_every_refusal_has_s_and_may_be_read_by_every_page(charted):
    for path in ("/udf/symbols", "/udf/nothing", "/udf/", "/udf/history/more"):
        answer = await charted.get(path)
        assert answer.status_code in (400, 404)
        assert answer.json()["s"] == "error"
        assert answer.json()["errmsg"]
        assert answer.headers["access-control-allow-origin"] == "*"


async def test_a_wrong_method_is_refused_in_the_form_of_udf(charted):
    answer = await charted.http.post("/udf/config")
    assert (answer.status_code, answer.json()["s"]) == (405, "error")
    assert "GET" in answer.headers["allow"]
    assert answer.headers["access-control-allow-origin"] == "*"


def test_a_symbol_object_says_all_that_a_chart_needs_in_its_own_words():
    made = describe(
        instrument("SHIBUSDT", price_precision=8, quantity_precision=0, base="SHIB", quote="USDT")
    )
    assert (made["pricescale"], made["minmov"], made["volume_precision"]) == (100_000_000, 1, 0)
    assert (made["session"], made["timezone"], made["type"]) == ("24x7", "Etc/UTC", "crypto")
    assert made["has_intraday"]
    assert made["has_daily"]
    assert made["has_weekly_and_monthly"]
    assert made["intraday_multipliers"] == sorted(made["intraday_multipliers"], key=int)
    units = made["daily_multipliers"] + made["weekly_multipliers"] + made["monthly_multipliers"]
    assert all(one.isdigit() for one in [*made["intraday_multipliers"], *units])
    assert made["supported_resolutions"] == list(RESOLUTIONS)
    assert (made["data_status"], made["visible_plots_set"]) == ("streaming", "ohlcv")
    assert made["description"] == "SHIB / USDT, binance"
    assert None not in made.values()


async def test_search_finds_by_what_is_typed(charted):
    found = await charted.udf("search", query=charted.symbol[:6].lower(), type="", exchange="", limit=30)
    mine = next(one for one in found if one["symbol"] == charted.symbol)
    assert mine["ticker"] == f"BINANCE:{charted.symbol}"
    assert await charted.udf("search", query="NOSUCHTHING") == []
    assert await charted.udf("search", query=charted.symbol, type="stock") == []
    assert await charted.udf("search", query=charted.symbol, exchange="NYSE") == []
    assert len(await charted.udf("search", query="", limit=1)) == 1
    assert (await charted.udf("search", query="x", limit="all"))["s"] == "error"


def test_the_very_name_is_found_first_then_what_begins_so():
    listed = [
        instrument(name, place) for place, name in enumerate(["WBTC", "BTCUSDT", "BTC", "ETH", "BTCFDUSD"])
    ]
    assert [one.symbol for one in rank(listed, "btc")] == ["BTC", "BTCUSDT", "BTCFDUSD", "WBTC"]
    assert [one.symbol for one in rank(listed, "BINANCE:BTCU")] == ["BTCUSDT"]
    assert rank(listed, "KRAKEN:BTC") == []
    assert len(rank(listed, "")) == 5


async def test_symbol_info_is_an_empty_list_that_harms_nobody(charted):
    assert await charted.udf("symbol_info", group="NYSE") == {"symbol": []}


def test_what_is_not_traded_ended_at_a_time_and_no_other_symbol_says_anything_of_it():
    ended = describe(instrument("OLDUSDT", is_active=False, ended_ms=1_780_000_000_999))
    assert (ended["expired"], ended["expiration_date"]) == (True, 1_780_000_000)
    assert "not traded" in ended["description"]
    assert not {"expired", "expiration_date"} & describe(instrument("BTCUSDT")).keys()


def test_what_is_not_traded_is_found_after_all_others():
    ones = [instrument("BTC", 1, is_active=False), instrument("XBTC", 2), instrument("BTCUSDT", 3)]
    assert [one.symbol for one in rank(ones, "btc")] == ["BTCUSDT", "XBTC", "BTC"]
