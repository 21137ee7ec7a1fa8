"""The table of venues: addresses, categories, limits."""

import pytest

from gateway.exchanges.venue import VENUES, Venue

KINDS = ("trade", "aggTrade", "bookTicker", "miniTicker", "kline_1m")


def test_spot_asks_for_microseconds() -> None:
    assert VENUES["binance"].url("trade") == "wss://stream.binance.com:9443/stream?timeUnit=MICROSECOND"


@pytest.mark.parametrize(
    ("kind", "category"),
    [
        ("bookTicker", "public"),
        ("trade", "public"),
        ("aggTrade", "market"),
        ("miniTicker", "market"),
        ("kline_1m", "market"),
    ],
)
def test_usd_margined_streams_are_routed_by_category(kind: str, category: str) -> None:
    assert VENUES["binance-usdm"].url(kind) == f"wss://fstream.binance.com/{category}/stream"


def test_coin_margined_streams_have_one_address() -> None:
    assert {VENUES["binance-coinm"].url(kind) for kind in KINDS} == {"wss://dstream.binance.com/stream"}


@pytest.mark.parametrize("venue", VENUES.values(), ids=lambda venue: venue.name)
def test_every_venue_carries_every_kind(venue: Venue) -> None:
    assert set(venue.categories) == set(KINDS)
    assert venue.rest.parse_instruments(b'{"symbols":[]}') == []
    assert VENUES[venue.name] is venue


@pytest.mark.parametrize(
    "endpoint",
    [
        "wss://stream.binance.com:9443",
        "wss://stream.binance.com:9443/",
        "wss://stream.binance.com:9443/ws",
        "wss://stream.binance.com:9443/stream/",
    ],
)
def test_an_address_is_taken_with_and_without_its_path(endpoint: str) -> None:
    assert VENUES["binance"].with_endpoints(ws=endpoint).url("trade") == VENUES["binance"].url("trade")


def test_the_retired_usd_margined_addresses_lead_to_the_routed_ones() -> None:
    venue = VENUES["binance-usdm"]
    for endpoint in ("wss://fstream.binance.com/ws", "wss://fstream.binance.com/market/stream"):
        assert venue.with_endpoints(ws=endpoint).url("aggTrade") == venue.url("aggTrade")


def test_a_path_of_ones_own_is_kept() -> None:
    venue = VENUES["binance-usdm"].with_endpoints("ws://127.0.0.1:9/fstream", "http://127.0.0.1:9/fapi/v1")
    assert venue.url("aggTrade") == "ws://127.0.0.1:9/fstream/market/stream"
    assert venue.rest_endpoint == "http://127.0.0.1:9"


def test_no_address_given_means_the_venues_own() -> None:
    venue = VENUES["binance"]
    assert venue.with_endpoints(None, "") == venue
