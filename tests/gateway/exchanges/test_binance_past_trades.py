"""Binance's `aggTrades` answers, as its documents show them."""

import pytest

from gateway.exchanges.binance_rest import COINM_REST, SPOT_REST, USDM_REST
from gateway.exchanges.errors import BadPayload
from protocol.market import AggTrade

# https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints
ROW = b'{"a":26129,"p":"0.01633102","q":"4.70443515","f":27781,"l":27783,"T":1498793709153,"m":true,"M":true}'


def test_a_past_trade_is_what_the_stream_would_have_said():
    assert SPOT_REST.parse_agg_trades("ETHBTC", b"[" + ROW + b"]") == [
        AggTrade(
            "ETHBTC", 26_129, 0.01633102, 4.70443515, True, 1_498_793_709_153_000, 1_498_793_709_153_000,
            27_781, 27_783,
        )
    ]  # fmt: skip


def test_spot_is_asked_for_microseconds_and_both_units_are_read():
    assert SPOT_REST.headers == {"X-MBX-TIME-UNIT": "MICROSECOND"}
    assert USDM_REST.headers == COINM_REST.headers == {}
    (trade,) = SPOT_REST.parse_agg_trades("ETHBTC", b"[" + ROW.replace(b"709153", b"709153456") + b"]")
    assert trade.traded_us == 1_498_793_709_153_456


def test_contracts_of_coin_margined_futures_become_base_units():
    row = b'{"a":1,"p":"50000","q":"10","f":1,"l":1,"T":1591250192508,"m":false}'
    (trade,) = COINM_REST.parse_agg_trades("BTCUSD_PERP", b"[" + row + b"]")
    assert trade.quantity == 10 * 100 / 50_000


def test_trades_come_in_the_order_of_their_ids_and_an_empty_one_is_left_out():
    row = b'{"a":%d,"p":"%d","q":"0","f":1,"l":1,"T":1591250192508,"m":false}'
    answer = b"[" + b",".join([row % (3, 9), row % (1, 9), row % (2, 0)]) + b"]"
    assert [one.id for one in USDM_REST.parse_agg_trades("BTCUSDT", answer)] == [1, 3]


@pytest.mark.parametrize(
    ("rest", "weight", "reach_h"), [(SPOT_REST, 4, 0), (USDM_REST, 20, 48), (COINM_REST, 20, 24)]
)
def test_what_it_weighs_and_how_far_back_it_goes(rest, weight: int, reach_h: int):
    call = rest.agg_trades_call("BTCUSDT", 7, 5_000)
    assert call.params == {"symbol": "BTCUSDT", "limit": "1000", "fromId": "7"}
    assert (call.weight, rest.reach_s) == (weight, reach_h * 3_600)
    assert "fromId" not in rest.agg_trades_call("BTCUSDT", None, 1).params


@pytest.mark.parametrize(
    "answer", [b"", b"{}", b'[{"a":1}]', b"[" + ROW.replace(b"27783", b"1") + b"]", b"\xff", b"[null]"]
)
def test_an_answer_that_makes_no_sense_is_refused(answer: bytes):
    with pytest.raises(BadPayload):
        SPOT_REST.parse_agg_trades("ETHBTC", answer)
