"""Keys, and what values say."""

import msgspec
import pytest

from gateway.cache import keys
from gateway.cache.values import (
    CachedBar,
    CachedBars,
    CachedLevel,
    CachedPrice,
    decode_value,
    encode_value,
)
from protocol.symbols import Instrument

SPOT = Instrument(id=1, symbol="BTCUSDT", venue="binance", native="BTCUSDT", price_precision=2)
PERPETUAL = Instrument(id=2, symbol="BTCUSDT.P", venue="binance-usdm", native="BTCUSDT", price_precision=2)
ELSEWHERE = Instrument(
    id=3, symbol="BTCUSDT", exchange="BYBIT", venue="bybit", native="BTCUSDT", price_precision=2
)


def test_keys_are_those_that_are_promised():
    assert keys.price(SPOT) == "price:BTCUSDT"
    assert keys.price(PERPETUAL) == "price:BTCUSDT.P"
    assert keys.price(ELSEWHERE) == "price:BYBIT:BTCUSDT"
    assert keys.enigma(SPOT) == "enigma:BTCUSDT"
    assert keys.bars(SPOT, 60) == "cache:bars:BTCUSDT:1h"
    assert keys.session("0a1b") == "session:0a1b"
    assert keys.market_watch("abc") == "marketwatch:abc"
    assert keys.limit("login", "alice") == "limit:login:alice"


def test_nobody_makes_a_key_long_by_a_long_name():
    long, longer = keys.limit("login", "a" * 10_000), keys.limit("login", "a" * 10_001)
    assert len(long) < 100
    assert long != longer
    assert len(keys.limit("login", "\udcff" * 1_000)) < 100


def test_a_price_says_what_is_known_and_that_it_is_simulated():
    price = CachedPrice(1.5, None, None, 20.0, 1_761_000_000_000)
    assert msgspec.json.decode(encode_value(price)) == {
        "price": 1.5,
        "bid": None,
        "ask": None,
        "volume": 20.0,
        "timestamp": 1_761_000_000_000,
    }
    simulated = CachedPrice(1.5, 1.4, 1.6, 20.0, 1_761_000_000_000, simulated=True)
    assert b'"simulated":true' in encode_value(simulated)


@pytest.mark.parametrize(
    "value",
    [
        CachedPrice(1.5, 1.4, 1.6, 20.0, 1, simulated=True),
        CachedBars(7, False, [CachedBar(60, 1.0, 2.0, 0.5, 1.5, 10.0)]),
        CachedLevel(50.0, 1.0, 3.0, 2.0, {"0": 1.0, "100": 3.0}, 1, 2, 3, "history", "live"),
    ],
)
def test_what_is_written_is_what_is_read(value):
    assert decode_value(encode_value(value), type(value)) == value


@pytest.mark.parametrize("payload", [b"", b"null", b"{}", b'{"price":"x"}', b"\xff", b"[" * 100_000])
def test_what_others_have_written_is_no_value(payload):
    assert [decode_value(payload, kind) for kind in (CachedPrice, CachedBars, CachedLevel)] == [None] * 3
