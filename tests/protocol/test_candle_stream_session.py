import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.candle_stream import CandleSession, format_candle, parse_address, plain_name
from protocol.errors import BadMessage
from protocol.events import Candle, CandleFlag, SeriesKey
from protocol.session import Limits
from protocol.symbols import Instrument, SymbolTable


def session() -> CandleSession:
    symbols = SymbolTable()
    for symbol_id, symbol in ((1, "BTCUSDT"), (2, "ETHUSDT")):
        instrument = Instrument(id=symbol_id, symbol=symbol, venue="v", native=symbol, price_precision=2)
        symbols.add(instrument)
    return CandleSession(symbols, Limits())


def test_an_address_without_anything_is_a_wish_for_nothing_yet():
    wish = parse_address("")
    assert (wish.subscribe.symbols, wish.subscribe.intervals, wish.partials) == ([], ["1m"], False)
    greeting, reaction = session().welcome(wish)
    assert json.loads(greeting)["symbols"] == []
    assert [json.loads(reply)["code"] for reply in reaction.replies] == ["no_symbols"]


def test_names_of_an_address_may_be_escaped_and_spaced():
    wish = parse_address("symbols=BTCUSDT%2C+ETHUSDT,&intervals=5m")
    assert (wish.subscribe.symbols, wish.subscribe.intervals) == (["BTCUSDT", "ETHUSDT"], ["5m"])


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("symbol=BTCUSDT", "symbol"),
        ("partials=2", "partials"),
        ("partials=", "partials"),
        ("since_us=yesterday", "since_us"),
        ("since_us=²", "since_us"),
        (f"since_us={2**63}", "since_us"),
        ("since_us=" + "9" * 10_000, "since_us"),
    ],
)
def test_what_makes_no_sense_is_named(query, named):
    with pytest.raises(BadMessage, match=named):
        parse_address(query)


@given(st.text(max_size=60))
def test_garbage_raises_only_bad_message(query):
    try:
        wish = parse_address(query)
    except BadMessage:
        return
    session().welcome(wish)


def test_every_subscription_means_candles():
    stream = session()
    asked = {"type": "subscribe", "symbols": ["BTCUSDT"], "kinds": ["price"], "since": {"BTCUSDT": 1}}
    reaction = stream.on_text(json.dumps(asked), 0)
    assert (stream.candles, stream.prices, stream.trades) == ({SeriesKey(1, 1)}, set(), set())
    assert reaction.replies == []  # names need no dictionary


def test_a_symbol_of_another_exchange_is_named_with_it():
    ours = Instrument(symbol="BTCUSDT", venue="v", native="BTCUSDT", price_precision=2)
    theirs = Instrument(symbol="BTCUSDT", exchange="OTHER", venue="w", native="BTCUSDT", price_precision=2)
    assert [plain_name(one) for one in (ours, theirs)] == ["BTCUSDT", "OTHER:BTCUSDT"]


def test_a_running_candle_says_that_it_is_not_final():
    row = Candle(1, 5, CandleFlag.REST, 0, 300_000, 1.0, 4.0, 0.5, 2.0, 0.00001, 3, 0, 1.0)
    assert json.loads(format_candle("BTCUSDT", row)) == {
        "type": "candle",
        "symbol": "BTCUSDT",
        "interval": "5m",
        "final": False,
        "data": [300_000, 1.0, 4.0, 0.5, 2.0, 0.00001],
    }
