"""What Binance's messages mean. The payloads are written after its documents as of 2026."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchanges.binance import COINM, SPOT, USDM, Binance
from gateway.exchanges.errors import BadPayload
from protocol.market import Ack, AggTrade, Bar, BookTop, DayTicker, RawTrade, Shutdown

T_MS = 1_780_000_000_123
T_US = T_MS * 1_000

AGG_TRADE: dict[str, Any] = {
    "e": "aggTrade", "E": T_MS + 2, "s": "BTCUSDT", "a": 4_001, "p": "61000.50", "q": "0.250", "f": 7, "l": 9,
    "T": T_MS, "m": True,
}  # fmt: skip
TRADE: dict[str, Any] = {
    "e": "trade", "E": T_MS + 2, "s": "BTCUSDT", "t": 9, "p": "61000.50", "q": "0.250", "T": T_MS, "m": False
}  # fmt: skip
SPOT_BOOK: dict[str, Any] = {
    "u": 500, "s": "BTCUSDT", "b": "61000.40", "B": "1.5", "a": "61000.50", "A": "2.25"
}  # fmt: skip
BOOK: dict[str, Any] = {
    "e": "bookTicker", "u": 500, "s": "BTCUSDT", "ps": "BTCUSDT", "b": "61000.40", "B": "1.5",
    "a": "61000.50", "A": "2.25", "T": T_MS, "E": T_MS + 2, "st": 1,
}  # fmt: skip
MINI_TICKER: dict[str, Any] = {
    "e": "24hrMiniTicker", "E": T_MS, "s": "BTCUSDT", "c": "61000.50", "o": "60000.00", "h": "62000.00",
    "l": "59000.00", "v": "12345.6", "q": "753000000.1",
}  # fmt: skip
KLINE_BODY: dict[str, Any] = {
    "t": 1_780_000_020_000, "T": 1_780_000_079_999, "s": "BTCUSDT", "i": "1m", "f": 100, "L": 104,
    "o": "61000.0", "c": "61002.0", "h": "61003.5", "l": "60999.5", "v": "12.5", "n": 5, "x": True,
    "q": "762500.0", "V": "7.5", "Q": "457500.0", "B": "0",
}  # fmt: skip
KLINE: dict[str, Any] = {"e": "kline", "E": T_MS, "s": "BTCUSDT", "k": KLINE_BODY}


def raw(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()


def combined(stream: str, message: dict[str, Any]) -> bytes:
    return raw({"stream": stream, "data": message})


def both_forms(kind: str, message: dict[str, Any]) -> tuple[bytes, bytes]:
    return raw(message), combined(f"btcusdt@{kind}", message)


def test_an_aggregated_trade_is_the_takers_order() -> None:
    for data in both_forms("aggTrade", AGG_TRADE):
        assert SPOT.parse(data) == AggTrade(
            native="BTCUSDT",
            id=4_001,
            price=61000.5,
            quantity=0.25,
            taker_sold=True,
            traded_us=T_US,
            sent_us=T_US + 2_000,
            first_id=7,
            last_id=9,
        )


def test_a_single_trade_of_each_market() -> None:
    expected = RawTrade("BTCUSDT", 9, 61000.5, 0.25, False, T_US, T_US + 2_000)
    for data in both_forms("trade", {**TRADE, "M": True}):
        assert SPOT.parse(data) == expected
    assert USDM.parse(combined("btcusdt@trade", {**TRADE, "X": "MARKET", "st": 1})) == expected


def test_a_spot_book_ticker_has_neither_a_name_nor_a_time() -> None:
    for data in both_forms("bookTicker", SPOT_BOOK):
        assert SPOT.parse(data) == BookTop("BTCUSDT", 500, 61000.4, 1.5, 61000.5, 2.25, sent_us=0)


def test_a_futures_book_ticker_states_its_time() -> None:
    for data in both_forms("bookTicker", BOOK):
        assert USDM.parse(data) == BookTop("BTCUSDT", 500, 61000.4, 1.5, 61000.5, 2.25, sent_us=T_US + 2_000)


def test_a_mini_ticker_tells_the_last_price_and_the_base_volume() -> None:
    for data in both_forms("miniTicker", MINI_TICKER):
        assert SPOT.parse(data) == DayTicker("BTCUSDT", 61000.5, 12345.6, T_US)


def test_a_kline_is_the_venues_own_bar() -> None:
    for data in both_forms("kline_1m", KLINE):
        assert SPOT.parse(data) == Bar(
            native="BTCUSDT",
            interval=1,
            open_ms=1_780_000_020_000,
            open=61000.0,
            high=61003.5,
            low=60999.5,
            close=61002.0,
            volume=12.5,
            quote_volume=762500.0,
            taker_buy=7.5,
            taker_buy_quote=457500.0,
            trades=5,
            first_id=100,
            last_id=104,
            final=True,
            sent_us=T_US,
        )


def test_a_bar_without_trades_has_no_trade_ids() -> None:
    bar = SPOT.parse(raw({**KLINE, "k": {**KLINE_BODY, "f": -1, "L": -1, "n": 0, "v": "0"}}))
    assert isinstance(bar, Bar)
    assert (bar.first_id, bar.last_id) == (-1, -1)


@pytest.mark.parametrize("unit", [1, 1_000])
def test_milliseconds_and_microseconds_are_told_apart(unit: int) -> None:
    trade = SPOT.parse(raw({**AGG_TRADE, "T": T_MS * unit, "E": T_MS * unit}))
    assert isinstance(trade, AggTrade)
    assert (trade.traded_us, trade.sent_us) == (T_US, T_US)
    bar = SPOT.parse(raw({**KLINE, "k": {**KLINE_BODY, "t": KLINE_BODY["t"] * unit}}))
    assert isinstance(bar, Bar)
    assert bar.open_ms == KLINE_BODY["t"]


def test_coin_margined_contracts_become_base_units() -> None:
    trade = COINM.parse(raw({**AGG_TRADE, "s": "BTCUSD_PERP", "p": "50000.0", "q": "4", "st": 2}))
    assert isinstance(trade, AggTrade)
    assert trade.quantity == pytest.approx(4 * 100 / 50_000)  # a BTC contract is 100 dollars
    book = COINM.parse(
        raw({**BOOK, "s": "ETHUSD_261225", "b": "2000.0", "a": "2500.0", "B": "10", "A": "10", "st": 2})
    )
    assert isinstance(book, BookTop)
    assert (book.bid_size, book.ask_size) == pytest.approx((0.05, 0.04))  # all others are 10


def test_coin_margined_volumes_are_stated_in_base_units_under_another_name() -> None:
    ticker = COINM.parse(
        raw({**MINI_TICKER, "s": "BTCUSD_PERP", "ps": "BTCUSD", "v": "487476", "q": "512.5"})
    )
    assert isinstance(ticker, DayTicker)
    assert ticker.volume == 512.5
    bar = COINM.parse(
        raw(
            {**KLINE, "s": "BTCUSD_PERP", "k": {**KLINE_BODY, "v": "30", "q": "0.05", "V": "10", "Q": "0.02"}}
        )
    )
    assert isinstance(bar, Bar)
    assert (bar.volume, bar.quote_volume, bar.taker_buy, bar.taker_buy_quote) == (0.05, 3_000, 0.02, 1_000)


def test_symbols_need_not_be_ascii() -> None:
    data = combined("币安人生usdt@aggTrade", {**AGG_TRADE, "s": "币安人生USDT"})
    trade = SPOT.parse(data)
    assert isinstance(trade, AggTrade)
    assert trade.native == "币安人生USDT"
    assert SPOT.stream_name("币安人生USDT", "bookTicker") == "币安人生usdt@bookTicker"


@pytest.mark.parametrize(("market", "own"), [(USDM, 1), (COINM, 2)])
def test_what_is_of_the_other_futures_market_is_dropped(market: Binance, own: int) -> None:
    other = 3 - own
    messages = [AGG_TRADE, TRADE, BOOK, MINI_TICKER, KLINE]
    assert all(market.parse(raw({**message, "st": own})) for message in messages)
    assert not any(market.parse(raw({**message, "st": other})) for message in messages)
    assert market.parse(raw({**KLINE, "k": {**KLINE_BODY, "st": other}})) is None


def test_fields_that_nobody_knows_yet_change_nothing() -> None:
    more = {"nq": "0.1", "new": {"deep": [1]}, "st": 1}
    assert USDM.parse(raw({**AGG_TRADE, **more})) == USDM.parse(raw(AGG_TRADE))


def test_the_order_of_the_fields_does_not_matter() -> None:
    for message in (AGG_TRADE, SPOT_BOOK, KLINE):
        backwards = dict(reversed(message.items()))
        assert SPOT.parse(raw({"data": backwards, "stream": "x"})) == SPOT.parse(raw(message))


def test_numbers_may_come_without_quotes() -> None:
    assert SPOT.parse(raw({**AGG_TRADE, "p": 61000.5, "q": 0.25})) == SPOT.parse(raw(AGG_TRADE))


def test_answers_are_told_from_events() -> None:
    assert SPOT.parse(b'{"result":null,"id":3}') == Ack(3, None)
    assert SPOT.parse(b'{"result":["btcusdt@trade"],"id":"abc"}') == Ack("abc", None)
    assert SPOT.parse(b'{"error":{"code":2,"msg":"Invalid request"},"id":4}') == Ack(
        4, "Invalid request (code 2)"
    )
    assert SPOT.parse(b'{"code":-1121,"msg":"Invalid symbol."}') == Ack(None, "Invalid symbol. (code -1121)")


def test_a_shutdown_is_announced_in_both_forms() -> None:
    for data in (
        raw({"e": "serverShutdown", "E": T_MS}),
        combined("!serverShutdown", {"e": "serverShutdown", "E": T_MS}),
    ):
        assert SPOT.parse(data) == Shutdown(T_US)


@pytest.mark.parametrize(
    "message",
    [
        {"e": "depthUpdate", "E": T_MS, "s": "BTCUSDT", "U": 1, "u": 2, "b": [], "a": []},
        {"e": "blockTrade", "E": T_MS, "s": "BTCUSDT"},
        {"e": "forceOrder", "E": T_MS, "o": {"s": "BTCUSDT", "S": "SELL", "ps": "BTCUSDT", "st": 1}},
        {**KLINE, "k": {**KLINE_BODY, "i": "1s"}},
        {**MINI_TICKER, "c": "0.00", "v": "0.0", "q": "0.0"},
        {**TRADE, "p": "0", "q": "0", "X": "NA"},
    ],
    ids=["depth", "block trade", "liquidation", "other interval", "untraded for a day", "no trade"],
)  # fmt: skip
def test_messages_in_order_that_tell_nothing_of_ours(message: dict[str, Any]) -> None:
    for data in both_forms("whatever", message):
        assert USDM.parse(data) is None


def test_one_side_of_the_book_may_be_empty() -> None:
    book = SPOT.parse(raw({**SPOT_BOOK, "b": "0.00", "B": "0.00"}))
    assert isinstance(book, BookTop)
    assert (book.bid, book.bid_size, book.ask) == (0.0, 0.0, 61000.5)


@pytest.mark.parametrize(
    "price", ["NaN", "nan", "inf", "-Infinity", "-1", "1e999", "", " 1", "1_0", "0x1", None, [], True]
)
@pytest.mark.parametrize(
    ("message", "field"),
    [(AGG_TRADE, "p"), (AGG_TRADE, "q"), (TRADE, "p"), (SPOT_BOOK, "b"), (BOOK, "A"), (MINI_TICKER, "c")],
)
def test_a_number_that_no_market_can_state_is_refused(
    message: dict[str, Any], field: str, price: object
) -> None:
    for data in both_forms("bookTicker" if "u" in message else "x", {**message, field: price}):
        with pytest.raises(BadPayload):
            SPOT.parse(data)


@pytest.mark.parametrize(
    "message",
    [
        {**AGG_TRADE, "p": "0"},
        {**TRADE, "p": "0.0"},
        {**SPOT_BOOK, "b": "0.00"},
        {**BOOK, "a": "0", "st": 0},
        {**MINI_TICKER, "c": "0.000"},
        {**KLINE, "k": {**KLINE_BODY, "l": "0"}},
        {**KLINE, "k": {**KLINE_BODY, "h": "61001.0"}},
        {**AGG_TRADE, "a": -1},
        {**AGG_TRADE, "a": 2**64},
        {**AGG_TRADE, "T": 0},
        {**AGG_TRADE, "f": 9, "l": 8},
        {**AGG_TRADE, "f": 1, "l": 2**40},
        {**AGG_TRADE, "s": ""},
        {**AGG_TRADE, "s": 7},
        {"e": "aggTrade"},
        {"hello": "world"},
        {},
    ],
)  # fmt: skip
def test_nonsense_is_refused(message: dict[str, Any]) -> None:
    for data in both_forms("x", message):
        with pytest.raises(BadPayload):
            SPOT.parse(data)


def test_contracts_at_next_to_nothing_are_refused_and_not_infinite() -> None:
    with pytest.raises(BadPayload):
        COINM.parse(raw({**AGG_TRADE, "p": "5e-324", "q": "1e30"}))


@given(st.binary(max_size=200))
def test_garbage_raises_nothing_but_bad_payload(garbage: bytes) -> None:
    for prefix in (b"", b'{"stream":"x@bookTicker","data":', b'{"stream":"x@trade","data":', b'{"e":'):
        with contextlib.suppress(BadPayload):
            SPOT.parse(prefix + garbage)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from([AGG_TRADE, TRADE, SPOT_BOOK, BOOK, MINI_TICKER, KLINE, KLINE_BODY]), st.data())
def test_a_field_of_any_value_raises_nothing_but_bad_payload(
    message: dict[str, Any], data: st.DataObject
) -> None:
    field = data.draw(st.sampled_from(sorted(message)))
    changed = {**message, field: data.draw(json_values)}
    if message is KLINE_BODY:
        changed = {**KLINE, "k": changed}
    for market in (SPOT, USDM, COINM):
        for form in (raw(changed), combined("x@bookTicker", changed), combined("x@trade", changed)):
            with contextlib.suppress(BadPayload):
                market.parse(form)


@pytest.mark.parametrize("deep", [b"[" * 100_000, b'{"a":' * 100_000, b'{"stream":"x","data":' * 50_000])
def test_deep_nesting_is_refused(deep: bytes) -> None:
    with pytest.raises(BadPayload):
        SPOT.parse(deep)


def test_streams_are_asked_for_and_dropped_by_name() -> None:
    names = ["btcusdt@aggTrade", "币安人生usdt@aggTrade"]
    assert json.loads(SPOT.subscribe(names, 5)) == {"method": "SUBSCRIBE", "params": names, "id": 5}
    assert json.loads(USDM.unsubscribe(names[:1], 6)) == {
        "method": "UNSUBSCRIBE",
        "params": names[:1],
        "id": 6,
    }
