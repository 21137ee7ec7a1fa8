"""Binance's bars by REST, in the three markets' shapes (documentation payloads of mid-2026)."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchanges.binance_rest import COINM_REST, SPOT_REST, USDM_REST
from gateway.exchanges.errors import BadPayload
from protocol.market import Bar

SPOT: list[Any] = [
    1499040000000, "0.01634790", "0.80000000", "0.01575800", "0.01577100", "148976.11427815",
    1499644799999, "2434.19055334", 308, "1756.87402397", "28.46694368", "0",
]  # fmt: skip
COINM: list[Any] = [
    1591258320000, "9640.7", "9642.4", "9640.6", "9642.0", "206",
    1591258379999, "2.13660389", 48, "119", "1.23424865", "0",
]  # fmt: skip


def test_a_spot_bar_in_full() -> None:
    [bar] = SPOT_REST.parse_klines("X", 10_080, json.dumps([SPOT]).encode(), now_ms=1499644800000)
    assert bar == Bar(
        native="X",
        interval=10_080,
        open_ms=1499040000000,
        open=0.0163479,
        high=0.8,
        low=0.015758,
        close=0.015771,
        volume=148976.11427815,
        quote_volume=2434.19055334,
        taker_buy=1756.87402397,
        taker_buy_quote=28.46694368,
        trades=308,
        first_id=-1,
        last_id=-1,
        final=True,
        sent_us=1499644799999000,
    )


def test_times_in_microseconds_are_the_same_bar() -> None:
    finer = [SPOT[0] * 1000, *SPOT[1:6], SPOT[6] * 1000 + 999, *SPOT[7:]]
    now_ms = 1499644800000
    [rough] = SPOT_REST.parse_klines("X", 10_080, json.dumps([SPOT]).encode(), now_ms)
    [fine] = SPOT_REST.parse_klines("X", 10_080, json.dumps([finer]).encode(), now_ms)
    assert fine._replace(sent_us=0) == rough._replace(sent_us=0)


def test_a_bar_that_has_not_closed_is_not_final() -> None:
    [bar] = SPOT_REST.parse_klines("X", 10_080, json.dumps([SPOT]).encode(), now_ms=1499644799999)
    assert not bar.final


def test_coin_margined_bars_are_in_base_units() -> None:
    [bar] = COINM_REST.parse_klines("BTCUSD_PERP", 1, json.dumps([COINM]).encode(), 1591258380000)
    assert (bar.volume, bar.taker_buy) == (2.13660389, 1.23424865)
    assert (bar.quote_volume, bar.taker_buy_quote) == (20_600.0, 11_900.0)


@pytest.mark.parametrize(
    ("dialect", "limit", "weight", "asked"),
    [
        (SPOT_REST, 5, 2, "5"),
        (SPOT_REST, 5_000, 2, "1000"),
        (USDM_REST, 99, 1, "99"),
        (USDM_REST, 100, 2, "100"),
        (USDM_REST, 1_000, 5, "1000"),
        (COINM_REST, 9_999, 10, "1500"),
    ],
)
def test_a_question_weighs_what_it_may_bring(dialect, limit: int, weight: int, asked: str) -> None:
    call = dialect.klines_call("BTCUSDT", 60, 1_000, 2_000, limit)
    assert (call.weight, call.params["limit"]) == (weight, asked)
    assert (call.params["interval"], call.params["startTime"], call.params["endTime"]) == (
        "1h",
        "1000",
        "1999",
    )


def test_nothing_before_1970_is_asked_for() -> None:
    assert SPOT_REST.klines_call("X", 1, -5_000, -1, 10).params["startTime"] == "0"


@pytest.mark.parametrize(("place", "value"), [(1, "99"), (2, "-1"), (4, "nan"), (5, "x"), (0, 0), (8, -1)])
def test_a_bar_that_cannot_be_is_refused(place: int, value: Any) -> None:
    row = [*SPOT[:place], value, *SPOT[place + 1 :]]
    with pytest.raises(BadPayload):
        SPOT_REST.parse_klines("X", 1, json.dumps([row]).encode(), 0)


@given(st.binary(max_size=80))
def test_garbage_raises_nothing_but_bad_payload(garbage: bytes) -> None:
    for answer in (garbage, b"[[" + garbage + b"]]"):
        with contextlib.suppress(BadPayload):
            USDM_REST.parse_klines("X", 1, answer, 0)
