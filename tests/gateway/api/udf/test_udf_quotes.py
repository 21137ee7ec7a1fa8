import httpx
from recorder_at_the_wire import make_bars, minutes_ago

from gateway.api.udf.quotes import MAX_SYMBOLS, quote_values
from protocol.symbols import Instrument

DAY = 1_440
BTC = Instrument(symbol="BTCUSDT", venue="binance", native="BTCUSDT", price_precision=2)
PRICE = {"price": 110.0, "bid": 109.5, "ask": 110.5}
DAY_VALUES = {"lp": 100.0, "open_price": 99.0, "prev_close_price": 100.0}


async def test_every_symbol_has_an_entry_under_the_name_it_was_asked_by(charted):
    days = make_bars(minutes_ago(2 * DAY, DAY), 3, DAY, running=True)
    charted.recorder.hold(charted.symbol, DAY, days)
    names = [f"BINANCE:{charted.symbol}", charted.symbol.lower(), "NOSUCH"]
    answer = await charted.udf("quotes", symbols=",".join(names))
    assert answer["s"] == "ok"
    assert [one["n"] for one in answer["d"]] == names
    assert [one["s"] for one in answer["d"]] == ["ok", "ok", "error"]
    values = answer["d"][0]["v"]
    assert values["lp"] == days["close"][-1]
    assert values["prev_close_price"] == days["close"][-2]
    assert values["ch"] == round(days["close"][-1] - days["close"][-2], 2)
    assert values["open_price"] == days["open"][-1]
    assert values["original_name"] == f"BINANCE:{charted.symbol}"


async def test_an_empty_list_is_answered_with_an_empty_one(charted):
    assert await charted.udf("quotes", symbols="") == {"s": "ok", "d": []}


async def test_a_list_that_is_too_long_or_missing_is_an_error(charted):
    assert (await charted.udf("quotes", symbols="A," * (MAX_SYMBOLS + 1)))["s"] == "error"
    assert (await charted.udf("quotes"))["s"] == "error"


async def test_without_history_and_price_a_symbol_says_that_it_has_none_yet(rig):
    async with httpx.AsyncClient(base_url=rig.http) as http:
        answer = (await http.get("/udf/quotes", params={"symbols": next(iter(rig.ids))})).json()
    assert (answer["s"], answer["d"][0]["s"], answer["d"][0]["v"]) == ("ok", "error", {})


def test_the_newest_price_counts_and_the_change_is_from_the_day_before():
    values = quote_values(BTC, PRICE, DAY_VALUES)
    assert (values["lp"], values["ch"], values["chp"], values["spread"]) == (110.0, 10.0, 10.0, 1.0)
    assert (values["short_name"], values["exchange"]) == ("BTCUSDT", "BINANCE")


def test_what_is_not_known_is_left_out():
    values = quote_values(BTC, PRICE | {"bid": None, "ask": None}, {})
    assert not {"ch", "chp", "prev_close_price", "bid", "ask", "spread"} & values.keys()
    assert "lp" not in quote_values(BTC, None, {})
