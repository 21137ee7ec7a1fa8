"""Binance's REST answers: what is listed, the rolling day, the clock, what is wrong."""

import contextlib
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchanges.binance_rest import COINM_REST, SPOT_REST, USDM_REST
from gateway.exchanges.errors import BadPayload
from protocol.market import DayTicker
from protocol.symbols import Instrument


def listing(*symbols: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"timezone": "UTC", "symbols": symbols, **more}).encode()


def filters(tick: str, step: str) -> list[dict[str, str]]:
    return [
        {"filterType": "MARKET_LOT_SIZE", "stepSize": "0.00000000", "minQty": "0", "maxQty": "7"},
        {"filterType": "LOT_SIZE", "stepSize": step, "minQty": step, "maxQty": "9000.00000000"},
        {"filterType": "PRICE_FILTER", "tickSize": tick},
        {"filterType": "NEW_IN_2027", "limit": "5"},
    ]


SPOT_BTC: dict[str, Any] = {
    "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT",
    "isSpotTradingAllowed": True, "filters": filters("0.01000000", "0.00001000"),
}  # fmt: skip
USDM_BTC: dict[str, Any] = {
    "symbol": "BTCUSDT", "pair": "BTCUSDT", "contractType": "PERPETUAL", "status": "TRADING",
    "baseAsset": "BTC", "quoteAsset": "USDT", "marginAsset": "USDT", "filters": filters("0.10", "0.001"),
}  # fmt: skip
COINM_BTC: dict[str, Any] = {
    "symbol": "BTCUSD_PERP", "pair": "BTCUSD", "contractType": "PERPETUAL", "contractStatus": "TRADING",
    "contractSize": 100, "baseAsset": "BTC", "quoteAsset": "USD", "filters": filters("0.1", "1"),
}  # fmt: skip


def test_a_spot_symbol_keeps_its_name() -> None:
    assert SPOT_REST.parse_instruments(listing(SPOT_BTC)) == [
        Instrument(
            symbol="BTCUSDT",
            venue="binance",
            native="BTCUSDT",
            base="BTC",
            quote="USDT",
            price_precision=2,
            quantity_precision=5,
            tick_size="0.01",
            min_quantity="0.00001",
            max_quantity="9000",
            step_size="0.00001",
        )
    ]


def test_perpetuals_end_in_p_and_dated_contracts_keep_their_name() -> None:
    stock = {**USDM_BTC, "symbol": "TSLAUSDT", "contractType": "TRADIFI_PERPETUAL"}
    dated = {**USDM_BTC, "symbol": "BTCUSDT_261225", "contractType": "CURRENT_QUARTER"}
    listed = USDM_REST.parse_instruments(listing(USDM_BTC, stock, dated))
    assert [(one.symbol, one.native) for one in listed] == [
        ("BTCUSDT.P", "BTCUSDT"),
        ("TSLAUSDT.P", "TSLAUSDT"),
        ("BTCUSDT_261225", "BTCUSDT_261225"),
    ]


def test_a_coin_margined_perpetual_is_named_by_its_pair() -> None:
    dated = {**COINM_BTC, "symbol": "BTCUSD_261225", "contractType": "NEXT_QUARTER"}
    listed = COINM_REST.parse_instruments(listing(COINM_BTC, dated))
    assert [(one.symbol, one.native) for one in listed] == [
        ("BTCUSD.P", "BTCUSD_PERP"),
        ("BTCUSD_261225", "BTCUSD_261225"),
    ]


def test_a_contract_of_unknown_size_is_not_carried() -> None:
    assert COINM_REST.parse_instruments(listing({**COINM_BTC, "contractSize": 1})) == []


@pytest.mark.parametrize("status", ["BREAK", "CANCEL_ONLY", "SETTLING", "PENDING_TRADING", "HALT", ""])
def test_only_what_trades_is_active(status: str) -> None:
    [spot] = SPOT_REST.parse_instruments(listing({**SPOT_BTC, "status": status}))
    [coinm] = COINM_REST.parse_instruments(listing({**COINM_BTC, "contractStatus": status}))
    assert (spot.is_active, coinm.is_active) == (False, False)
    assert SPOT_REST.parse_instruments(listing(SPOT_BTC))[0].is_active


def test_what_is_not_traded_on_the_spot_is_not_active() -> None:
    [one] = SPOT_REST.parse_instruments(listing({**SPOT_BTC, "isSpotTradingAllowed": False}))
    assert not one.is_active


@pytest.mark.parametrize(
    ("name", "stated", "expected"),
    [
        ("NOTIONAL", {"minNotional": "5.00000000", "maxNotional": "9000000.00000000"}, "5"),
        ("MIN_NOTIONAL", {"minNotional": "0.00010000"}, "0.0001"),
        ("MIN_NOTIONAL", {"notional": "5.0"}, "5"),
        ("MIN_NOTIONAL", {"notional": "100"}, "100"),
        ("PERCENT_PRICE", {"multiplierUp": "5"}, ""),
    ],
)
def test_what_an_order_must_be_worth_is_read_under_each_of_its_names(
    name: str, stated: dict[str, str], expected: str
) -> None:
    [one] = SPOT_REST.parse_instruments(listing({**SPOT_BTC, "filters": [{"filterType": name, **stated}]}))
    assert one.min_notional == expected


@pytest.mark.parametrize("stated", ["", "0", "0.00000000", "1e-7", "NaN", "-1", ".5", "5.", "١"])
def test_an_amount_that_is_none_is_not_stated(stated: str) -> None:
    lot = {"filterType": "LOT_SIZE", "stepSize": stated, "minQty": stated, "maxQty": stated}
    [one] = USDM_REST.parse_instruments(listing({**USDM_BTC, "filters": [lot]}))
    assert (one.min_quantity, one.max_quantity, one.step_size) == ("", "", "")


@given(st.decimals(min_value="0.00000001", max_value=10**15, places=8))
def test_an_amount_is_exactly_what_the_venue_states(amount: Decimal) -> None:
    lot = {"filterType": "LOT_SIZE", "minQty": f"{amount:f}"}
    [one] = SPOT_REST.parse_instruments(listing({**SPOT_BTC, "filters": [lot]}))
    assert Decimal(one.min_quantity) == amount
    assert len(one.min_quantity) <= len(f"{amount:f}")


def test_a_simulated_exchange_says_so() -> None:
    assert [one.simulated for one in SPOT_REST.parse_instruments(listing(SPOT_BTC, simulated=True))] == [True]


@pytest.mark.parametrize(
    ("tick", "digits"),
    [("0.01000000", 2), ("1.00000000", 0), ("1", 0), ("10", 0), ("0.00000001", 8), ("0.5", 1)],
)
def test_digits_follow_the_tick_size(tick: str, digits: int) -> None:
    [one] = SPOT_REST.parse_instruments(listing({**SPOT_BTC, "filters": filters(tick, "1")}))
    assert one.price_precision == digits


def test_without_a_tick_size_the_stated_precision_counts() -> None:
    bare = {**USDM_BTC, "filters": [], "pricePrecision": 4, "quantityPrecision": 1}
    [one] = USDM_REST.parse_instruments(listing(bare))
    assert (one.price_precision, one.quantity_precision) == (4, 1)


def test_day_tickers_leave_out_what_has_not_traded() -> None:
    traded = {"symbol": "BTCUSDT", "lastPrice": "61000.5", "volume": "1234.5", "closeTime": 1_780_000_000_000}
    silent = {**traded, "symbol": "OLDUSDT", "lastPrice": "0.0", "volume": "0"}
    assert SPOT_REST.parse_day_tickers(json.dumps([traded, silent]).encode()) == [
        DayTicker("BTCUSDT", 61000.5, 1234.5, 1_780_000_000_000_000)
    ]


def test_coin_margined_days_count_the_base_volume() -> None:
    day = {
        "symbol": "BTCUSD_PERP",
        "lastPrice": "50000",
        "volume": "4940",
        "baseVolume": "9.88",
        "closeTime": 1,
    }
    [ticker] = COINM_REST.parse_day_tickers(json.dumps([day]).encode())
    assert ticker.volume == 9.88


def test_few_symbols_are_asked_for_by_name_where_that_is_possible() -> None:
    call = SPOT_REST.day_tickers_call({"ETHUSDT", "币安人生USDT"})
    assert (call.path, call.weight) == ("/api/v3/ticker/24hr", 2)
    assert json.loads(call.params["symbols"]) == ["ETHUSDT", "币安人生USDT"]
    assert SPOT_REST.day_tickers_call([f"S{n}" for n in range(101)]).params == {}
    assert USDM_REST.day_tickers_call({"BTCUSDT", "ETHUSDT"}).params == {}
    alone = USDM_REST.day_tickers_call({"BTCUSDT"})
    assert (alone.weight, alone.params) == (1, {"symbol": "BTCUSDT"})


def test_a_symbol_that_was_asked_for_alone_may_come_alone() -> None:
    day = {"symbol": "BTCUSDT", "lastPrice": "5", "volume": "7", "closeTime": 1}
    alone, listed = json.dumps(day).encode(), json.dumps([day]).encode()
    assert USDM_REST.parse_day_tickers(alone) == USDM_REST.parse_day_tickers(listed)


def test_the_clock_is_in_milliseconds() -> None:
    assert SPOT_REST.parse_server_time(b'{"serverTime":1780000000123}') == 1_780_000_000_123


def test_errors_are_read_if_they_are_the_venues() -> None:
    assert SPOT_REST.parse_error(b'{"code":-1121,"msg":"Invalid symbol."}') == "Invalid symbol. (code -1121)"
    assert SPOT_REST.parse_error(b"<html>Bad Gateway</html>") is None


@given(st.binary(max_size=100))
def test_garbage_answers_raise_nothing_but_bad_payload(garbage: bytes) -> None:
    for parse in (COINM_REST.parse_instruments, SPOT_REST.parse_day_tickers, USDM_REST.parse_server_time):
        for answer in (garbage, b'{"symbols":[' + garbage, b'{"symbols":[{"symbol":"' + garbage + b'"}]}'):
            with contextlib.suppress(BadPayload):
                parse(answer)
