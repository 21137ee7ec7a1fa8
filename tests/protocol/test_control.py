import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.control import (
    AutoSubscribe,
    AutoUnsubscribe,
    Error,
    MarketWatchSubscribe,
    Ping,
    Pong,
    Subscribe,
    SymbolEntry,
    Symbols,
    Unsubscribe,
    WatchChange,
    dictionary,
    format_message,
    parse_client_message,
    parse_server_message,
)
from protocol.errors import BadMessage, BadText, CloseCode
from protocol.symbols import Instrument

PARSERS = (parse_client_message, parse_server_message)
TEXTS = st.lists(st.text(max_size=10), max_size=4)
CHANGES = st.builds(WatchChange, st.text(max_size=10))
ENTRIES = st.builds(
    SymbolEntry,
    id=st.integers(1, 65_535),
    symbol=st.text(max_size=10),
    venue=st.text(max_size=10),
    price_precision=st.integers(0, 20),
    quantity_precision=st.integers(0, 20),
    name=st.text(max_size=10),
    simulated=st.booleans(),
)
FROM_CLIENT = st.one_of(
    st.builds(Subscribe, TEXTS, TEXTS), st.builds(Unsubscribe, TEXTS), st.just(Ping()), st.just(Pong())
)
FROM_SERVER = st.one_of(
    st.builds(Symbols, st.lists(ENTRIES, max_size=3)),
    st.builds(Error, st.text(max_size=10), st.text(max_size=10), TEXTS),
    st.just(Ping()),
    st.just(Pong()),
    st.builds(AutoSubscribe, CHANGES),
    st.builds(AutoUnsubscribe, CHANGES),
    st.builds(MarketWatchSubscribe, TEXTS),
)


@given(FROM_CLIENT)
def test_what_a_client_says_is_what_the_server_hears(message):
    assert parse_client_message(format_message(message)) == message
    assert parse_client_message(format_message(message).decode()) == message


@given(FROM_SERVER)
def test_what_the_server_says_is_what_a_client_hears(message):
    assert parse_server_message(format_message(message)) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"type": "subscribe", "symbols": ["BTCUSDT", "ETHUSDT"]}',
            Subscribe(["BTCUSDT", "ETHUSDT"], ["price"]),
        ),
        ('{"symbols": [], "kinds": ["quote"], "type": "subscribe"}', Subscribe([], ["quote"])),
        ('{"type": "unsubscribe", "symbols": ["币安人生USDT"]}', Unsubscribe(["币安人生USDT"])),
        ('{"type": "ping", "since": {"unknown": [1, 2]}}', Ping()),
        (' {"type": "pong"}\n', Pong()),
    ],
)
def test_messages_of_a_client(text, message):
    assert parse_client_message(text) == message


def test_the_bytes_of_a_dictionary():
    instrument = Instrument(
        id=7, symbol="BTCUSDT", venue="binance", native="BTCUSDT", price_precision=2, simulated=True
    )
    assert format_message(dictionary([instrument])) == (
        b'{"type":"symbols","symbols":[{"id":7,"symbol":"BTCUSDT","venue":"binance","price_precision":2,'
        b'"quantity_precision":8,"name":"BINANCE:BTCUSDT","simulated":true}]}'
    )


@given(st.binary(max_size=200) | st.text(st.characters(), max_size=200))
def test_garbage_raises_only_bad_message(garbage):
    for parse in PARSERS:
        with contextlib.suppress(BadMessage):
            parse(garbage)


@given(FROM_CLIENT | FROM_SERVER, st.data())
def test_a_message_with_one_byte_changed_is_a_message_or_bad(message, data):
    text = bytearray(format_message(message))
    text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    for parse in PARSERS:
        with contextlib.suppress(BadMessage):
            parse(bytes(text))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"7",
        b'"subscribe"',
        b"[]",
        b"{}",
        b'{"type": 1}',
        b'{"type": "no such type"}',
        b'{"type": "ping"',
        b'{"type": "ping"} {"type": "ping"}',
        b'{"type": "subscribe"}',
        b'{"type": "subscribe", "symbols": "BTCUSDT"}',
        b'{"type": "subscribe", "symbols": [7]}',
        b'{"type": "subscribe", "symbols": [null]}',
        b'{"type": "subscribe", "symbols": [], "kinds": null}',
        b'{"type": "subscribe", "symbols": ["\\ud800"]}',
        b'{"type": "subscribe", "symbols": ["\x00"]}',
        b"[" * 60_000,
        b'{"type":' * 8_000,
        b'{"type": "ping", "x": ' + b"[" * 60_000,
        b"\x00" * 65_536,
        b"9" * 65_536,
    ],
    ids=lambda text: repr(text[:48]),
)
def test_what_is_no_message_is_refused_by_both_ends(text):
    for parse in PARSERS:
        with pytest.raises(BadMessage) as caught:
            parse(text)
        assert caught.value.close_code is CloseCode.BAD_MESSAGE


@pytest.mark.parametrize(
    "text",
    [b'{"type": "unsubscribe", "symbols": ["\xff\xfe"]}', '{"type": "ping"}\ud800', b'{"type": "\xc3"}'],
)
def test_a_string_that_is_not_utf8_has_a_close_code_of_its_own(text):
    with pytest.raises(BadText) as caught:
        parse_client_message(text)
    assert caught.value.close_code is CloseCode.INVALID_TEXT


@pytest.mark.parametrize(
    "number", [b"0", b"-1", b"65536", b"9" * 20, b"9" * 60_000, b"1e400", b"1.5", b"null"]
)
def test_a_symbol_id_is_1_to_65535(number):
    entry = b'{"id": %s, "symbol": "A", "venue": "b", "price_precision": 1}' % number
    with pytest.raises(BadMessage):
        parse_server_message(b'{"type": "symbols", "symbols": [' + entry + b"]}")


def test_each_end_refuses_the_others_messages():
    with pytest.raises(BadMessage):
        parse_client_message(format_message(Symbols([])))
    with pytest.raises(BadMessage):
        parse_server_message(format_message(Subscribe([])))


def test_one_message_of_64_kib_of_symbols_is_read():
    names = [f"SYMBOL{number}USDT" for number in range(3_900)]
    text = format_message(Subscribe(names))
    assert 64_000 < len(text) < 65_536
    assert parse_client_message(text) == Subscribe(names, ["price"])
