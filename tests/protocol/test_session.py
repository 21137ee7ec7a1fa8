import json

import pytest

from protocol.client_session import SYMBOLS_A_MESSAGE, ClientSession
from protocol.control import Error, Ping, Pong, SymbolEntry, Symbols, format_message, parse_server_message
from protocol.errors import BadMessage, CloseCode, ProtocolError, TooManyMessages, UnknownSymbolId
from protocol.events import Kind, Price, PriceUpdate, Quote, SeriesKey
from protocol.frames import encode_v1, encode_v2
from protocol.session import Limits, ServerSession
from protocol.symbols import Instrument, SymbolTable

NOW_US = 1_790_000_000_000_000
SECOND_MS = 1_000


def instruments(count):
    return [
        Instrument(
            id=number, symbol=f"COIN{number}USDT", venue="sim", native=f"COIN{number}USDT", price_precision=2
        )
        for number in range(1, count + 1)
    ]


def table_of(count=8):
    table = SymbolTable()
    for one in instruments(count):
        table.add(one)
    return table


def server(version=2, carried=8, **limits):
    return ServerSession(version, table_of(carried), Limits(**limits))


def subscribe(*symbols, **fields):
    return json.dumps({"type": "subscribe", "symbols": symbols, **fields})


def unsubscribe(*symbols):
    return json.dumps({"type": "unsubscribe", "symbols": symbols})


def heard(reaction):
    return [parse_server_message(reply) for reply in reaction.replies]


# The server's end


def test_a_subscription_is_answered_with_the_dictionary():
    reaction = server().on_text(subscribe("COIN2USDT", "sim:nothing", "BINANCE:COIN1USDT"), 0)
    error, symbols = heard(reaction)
    assert error == Error("unknown_symbol", "not listed", ["sim:nothing"])
    assert symbols == Symbols(
        [
            SymbolEntry(id=2, symbol="COIN2USDT", venue="sim", price_precision=2, name="BINANCE:COIN2USDT"),
            SymbolEntry(id=1, symbol="COIN1USDT", venue="sim", price_precision=2, name="BINANCE:COIN1USDT"),
        ]
    )
    assert (reaction.added, reaction.changed) == ([2, 1], True)


def test_a_symbol_is_introduced_once_but_its_newest_value_may_be_asked_for_again():
    session = server()
    session.on_text(subscribe("COIN1USDT"), 0)
    again = session.on_text(subscribe("COIN1USDT", "COIN1USDT"), 0)
    assert (again.replies, again.added, again.changed) == ([], [1], False)
    session.on_text(unsubscribe("COIN1USDT"), 0)
    back = session.on_text(subscribe("COIN1USDT"), 0)
    assert (back.replies, back.added, back.changed) == ([], [1], True)


def test_compact_prices_are_a_kind_of_their_own():
    session = server()
    assert session.on_text(subscribe("COIN1USDT", kinds=["compact"]), 0).changed
    assert (session.compact, session.prices, session.watched) == ({1}, set(), {1})
    assert session.on_text(unsubscribe("COIN1USDT"), 0).changed
    assert (session.compact, session.watched) == (set(), set())


def test_kinds_add_up_and_an_unsubscribe_takes_them_all():
    session = server()
    assert session.on_text(subscribe("COIN1USDT", kinds=["price", "quote"]), 0).changed
    assert not session.on_text(subscribe("COIN1USDT", kinds=["quote"]), 0).changed
    assert (session.prices, session.quotes) == ({1}, {1})
    assert session.on_text(unsubscribe("coin1usdt", "COIN2USDT"), 0).changed
    assert (session.prices, session.quotes) == (set(), set())
    assert not session.on_text(unsubscribe("COIN1USDT"), 0).changed


def test_a_kind_that_the_version_lacks_is_refused_and_the_others_are_served():
    session = server(version=1)
    reaction = session.on_text(subscribe("COIN1USDT", kinds=["quote", "price", "candle"]), 0)
    error, symbols = heard(reaction)
    assert (error.code, error.message) == ("unsupported_kind", "no such kind here: quote, candle")
    assert isinstance(symbols, Symbols)
    assert (session.prices, session.quotes) == ({1}, set())
    assert not session.on_text(subscribe("COIN2USDT", kinds=["quote"]), 0).changed


def test_a_ping_is_answered_and_a_pong_is_not():
    session = server()
    assert heard(session.on_text('{"type":"ping"}', 0)) == [Pong()]
    assert heard(session.on_text('{"type":"pong"}', 0)) == []


def test_what_is_no_message_ends_the_conversation():
    with pytest.raises(BadMessage) as caught:
        server().on_text("hello", 0)
    assert caught.value.close_code is CloseCode.BAD_MESSAGE


def test_a_message_over_the_symbol_limit_is_refused_whole():
    session = server(symbols=3)
    session.on_text(subscribe("COIN1USDT", "COIN2USDT", kinds=["quote"]), 0)
    [error] = heard(reaction := session.on_text(subscribe("COIN3USDT", "COIN4USDT"), 0))
    assert (error.code, error.message) == ("too_many_symbols", "a client may watch 3 symbols")
    assert (reaction.added, reaction.changed) == ([], False)
    assert (session.prices, session.quotes) == (set(), {1, 2})
    # A second kind of a watched symbol is no further symbol.
    assert session.on_text(subscribe("COIN1USDT", "COIN2USDT", "COIN3USDT"), 0).added == [1, 2, 3]
    session.on_text(unsubscribe("COIN1USDT"), 0)
    assert session.on_text(subscribe("COIN4USDT"), 0).added == [4]


def test_4096_symbols_may_be_watched_and_no_more():
    session = server(carried=4_097)
    names = [one.symbol for one in instruments(4_097)]
    assert len(session.on_text(subscribe(*names[:4_096]), 0).added) == 4_096
    assert heard(session.on_text(subscribe(names[4_096]), 0))[0].code == "too_many_symbols"


def test_a_symbol_that_is_listed_later_is_introduced_and_served():
    session = server(carried=1)
    session.on_text(subscribe("coin2usdt", kinds=["price", "quote"]), 0)
    session.on_text(subscribe("BINANCE:COIN3USDT", "COIN4USDT"), 0)
    session.on_text(unsubscribe("COIN4USDT"), 0)  # no error: it was asked for
    session._symbols = table_of(4)
    reaction = session.on_listed()
    assert [entry.id for symbols in heard(reaction) for entry in symbols.symbols] == [2, 3]
    assert (reaction.added, reaction.changed) == ([2, 3], True)
    assert (session.prices, session.quotes) == ({2, 3}, {2})
    assert session.on_listed().replies == []


def test_what_is_waited_for_is_bounded():
    session = server(carried=0, symbols=3)
    assert session.on_text(subscribe(*[f"NEW{number}USDT" for number in range(10)], "X" * 10_000), 0).replies
    session._symbols = SymbolTable()
    for number in range(10):
        session._symbols.add(
            Instrument(
                id=number + 1, symbol=f"NEW{number}USDT", venue="v", native=str(number), price_precision=2
            )
        )
    assert session.on_listed().added == [1, 2, 3]


def test_an_error_names_at_most_100_symbols():
    [error] = heard(server().on_text(subscribe(*[f"NO{number}" for number in range(500)]), 0))
    assert error.symbols == [f"NO{number}" for number in range(100)]


def test_60_messages_at_once_are_read_and_then_20_a_second():
    session = server()
    for _ in range(60):
        session.on_text('{"type":"pong"}', SECOND_MS)
    with pytest.raises(TooManyMessages) as caught:
        session.on_text('{"type":"pong"}', SECOND_MS)
    assert caught.value.close_code is CloseCode.TOO_MANY_MESSAGES
    for number in range(1, 41):
        session.on_text('{"type":"pong"}', SECOND_MS + number * 50)
    with pytest.raises(TooManyMessages):
        session.on_text('{"type":"pong"}', SECOND_MS + 40 * 50 + 49)


def test_a_quiet_client_saves_up_no_more_than_one_burst():
    session = server()
    for _ in range(60):
        session.on_text('{"type":"pong"}', 3_600 * SECOND_MS)
    with pytest.raises(TooManyMessages):
        session.on_text('{"type":"pong"}', 3_600 * SECOND_MS)


def test_a_clock_that_steps_back_costs_a_client_nothing():
    session = server()
    session.on_text('{"type":"pong"}', 10 * SECOND_MS)
    for _ in range(59):
        session.on_text('{"type":"pong"}', 9 * SECOND_MS)


def test_messages_that_are_none_count_too():
    session = server(message_burst=2)
    for _ in range(2):
        with pytest.raises(BadMessage):
            session.on_text("x", 0)
    with pytest.raises(TooManyMessages):
        session.on_text("x", 0)


# The client's end


def introduced(session, *ids):
    entries = [SymbolEntry(id=one, symbol=f"COIN{one}USDT", venue="sim", price_precision=2) for one in ids]
    assert session.on_text(format_message(Symbols(entries))) == ([], Symbols(entries))


def test_a_client_reads_v1_as_rows_and_v2_as_frames():
    old, new = ClientSession(1), ClientSession(2)
    introduced(old, 7)
    introduced(new, 7)
    assert old.on_binary(encode_v1([PriceUpdate(7, 1.5, 2.0)])) == [PriceUpdate(7, 1.5, 2.0)]
    frame = new.on_binary(encode_v2([Quote(7, 256, 5, 1.0, 2.0, 3.0, 4.0)], NOW_US))
    assert (frame.kind, frame.time_us) == (Kind.QUOTE, NOW_US)
    assert frame.rows() == [Quote(7, 256, 5, 1.0, 2.0, 3.0, 4.0)]


@pytest.mark.parametrize("version", [1, 2])
def test_a_client_refuses_an_id_that_was_never_introduced(version):
    session = ClientSession(version)
    introduced(session, 7)
    frames = {
        1: encode_v1([PriceUpdate(7, 1.0, 1.0), PriceUpdate(8, 1.0, 1.0)]),
        2: encode_v2([Price(7, 0, 0, 1.0, 1.0), Price(8, 0, 0, 1.0, 1.0)], NOW_US),
    }
    with pytest.raises(UnknownSymbolId, match="symbol id 8"):
        session.on_binary(frames[version])


@pytest.mark.parametrize("version", [1, 2])
def test_a_client_refuses_a_damaged_frame(version):
    session = ClientSession(version)
    for data in (b"", b"\0" * 6, b"x" * 50):
        with pytest.raises(ProtocolError):
            session.on_binary(data)


def test_a_client_answers_pings_and_hands_errors_on():
    session = ClientSession(2)
    assert session.on_text(format_message(Ping())) == ([format_message(Pong())], None)
    assert session.on_text(format_message(Pong())) == ([], None)
    error = Error("unknown_symbol", "not listed", ["X"])
    assert session.on_text(format_message(error)) == ([], error)


def test_a_new_connection_starts_without_a_dictionary():
    session = ClientSession(1)
    introduced(session, 7)
    session.on_open()
    with pytest.raises(UnknownSymbolId):
        session.on_binary(encode_v1([PriceUpdate(7, 1.0, 1.0)]))


def test_a_client_asks_again_for_every_kind_it_ever_asked_for():
    session = ClientSession(2)
    session.subscribe(["A", "B", "C"], ["price"])
    session.subscribe(["B"], ["quote"])
    session.unsubscribe(["C"])
    asked = [json.loads(message) for message in session.on_open()]
    assert asked == [
        {"type": "subscribe", "symbols": ["A"], "kinds": ["price"]},
        {"type": "subscribe", "symbols": ["B"], "kinds": ["price", "quote"]},
    ]


def test_a_client_that_watches_nothing_asks_for_nothing():
    assert ClientSession(2).on_open() == []


def test_a_client_asks_for_4096_symbols_in_messages_that_a_server_reads():
    client = ClientSession(2)
    client.subscribe([f"BINANCE:{'LONG' * 8}{number}USDT.P" for number in range(4_096)], ["price", "quote"])
    messages = client.on_open()
    assert len(messages) == -(-4_096 // SYMBOLS_A_MESSAGE)
    assert max(map(len, messages)) < 65_536


# Trades


def test_trades_are_watched_beside_the_newest_values():
    session = server()
    reaction = session.on_text(subscribe("COIN1USDT", kinds=["price", "trade"]), 0)
    assert (session.prices, session.quotes, session.trades) == ({1}, set(), {1})
    assert (reaction.changed, reaction.since) == (True, {})
    session.on_text(unsubscribe("COIN1USDT"), 0)
    assert session.trades == set()


def test_since_is_kept_by_symbol_in_whatever_spelling():
    session = server()
    since = {"binance:coin1usdt": 7, "COIN2USDT": 0}
    asked = subscribe("COIN1USDT", "COIN2USDT", "COIN3USDT", kinds=["trade"], since=since)
    reaction = session.on_text(asked, 0)
    assert reaction.since == {1: 7, 2: 0}
    assert session.trades == {1, 2, 3}


@pytest.mark.parametrize(
    ("kinds", "since", "wrong"),
    [(["price"], {"COIN1USDT": 7}, ["COIN1USDT"]), (["trade"], {"COIN2USDT": 7}, ["COIN2USDT"])],
)
def test_since_without_its_trades_is_refused_and_the_rest_is_served(kinds, since, wrong):
    session = server()
    reaction = session.on_text(subscribe("COIN1USDT", kinds=kinds, since=since), 0)
    error, symbols = heard(reaction)
    assert (error.code, error.symbols) == ("bad_since", wrong)
    assert isinstance(symbols, Symbols)
    assert (reaction.added, reaction.since) == ([1], {})


@pytest.mark.parametrize(
    "since", [{"COIN1USDT": -1}, {"COIN1USDT": "7"}, {"COIN1USDT": 2**63}, ["COIN1USDT"], 7]
)
def test_since_that_is_no_id_ends_the_conversation(since):
    with pytest.raises(BadMessage):
        server().on_text(subscribe("COIN1USDT", kinds=["trade"], since=since), 0)


def test_version_1_has_no_trades():
    session = server(version=1)
    asked = subscribe("COIN1USDT", kinds=["price", "trade"], since={"COIN1USDT": 7})
    assert [error.code for error in heard(session.on_text(asked, 0))[:2]] == ["unsupported_kind", "bad_since"]
    assert session.trades == set()


def test_since_of_a_symbol_that_is_listed_later_is_kept():
    session = server(carried=1)
    session.on_text(subscribe("COIN2USDT", kinds=["trade"], since={"COIN2USDT": 7}), 0)
    session._symbols = table_of(2)
    assert session.on_listed().since == {2: 7}
    assert session.trades == {2}


def test_a_client_resumes_its_trades_and_nothing_else():
    session = ClientSession(2)
    session.subscribe(["coin1usdt"], ["trade"])
    session.subscribe(["COIN2USDT"], ["price"])
    last_ids = {"BINANCE:COIN1USDT": 7, "BINANCE:COIN2USDT": 9}
    assert [json.loads(message) for message in session.on_open(last_ids)] == [
        {"type": "subscribe", "symbols": ["coin1usdt"], "kinds": ["trade"], "since": {"coin1usdt": 7}},
        {"type": "subscribe", "symbols": ["COIN2USDT"], "kinds": ["price"]},
    ]


def test_a_client_resumes_4096_symbols_in_messages_that_a_server_reads():
    names = [f"BINANCE:{'LONG' * 8}{number}USDT.P" for number in range(4_096)]
    client = ClientSession(2)
    client.subscribe(names, ["trade"])
    messages = client.on_open(dict.fromkeys(names, 2**63 - 1))
    assert max(map(len, messages)) < 65_536
    assert len(messages) < Limits().message_burst


# Candles and Enigma


def test_candles_are_watched_by_symbol_and_interval():
    session = server()
    asked = subscribe("COIN1USDT", "COIN2USDT", kinds=["candle"], intervals=["1m", "1d"], since_us=7)
    reaction = session.on_text(asked, 0)
    assert session.candles == {SeriesKey(one, interval) for one in (1, 2) for interval in (1, 1_440)}
    assert reaction.candles == dict.fromkeys(session.candles, 7)
    assert (reaction.changed, session.watched) == (True, {1, 2})
    again = session.on_text(subscribe("COIN1USDT", kinds=["candle"]), 0)
    assert (again.changed, again.candles) == (False, {SeriesKey(1, 1): None})
    session.on_text(unsubscribe("COIN1USDT"), 0)
    assert session.candles == {SeriesKey(2, 1), SeriesKey(2, 1_440)}


def test_enigma_is_a_kind_of_its_own():
    session = server()
    session.on_text(subscribe("COIN1USDT", kinds=["enigma"]), 0)
    assert (session.enigma, session.prices, session.watched) == ({1}, set(), {1})


def test_an_interval_that_there_is_not_is_refused_and_the_others_are_served():
    session = server()
    reaction = session.on_text(subscribe("COIN1USDT", kinds=["candle"], intervals=["1M", "7m", ""]), 0)
    error, symbols = heard(reaction)
    assert (error.code, error.intervals) == ("unknown_interval", ["7m", ""])
    assert isinstance(symbols, Symbols)
    assert session.candles == {SeriesKey(1, 43_200)}


def test_candles_of_no_interval_at_all_are_no_subscription():
    session = server()
    reaction = session.on_text(subscribe("COIN1USDT", kinds=["candle"], intervals=["7m"]), 0)
    assert [error.code for error in heard(reaction)] == ["unknown_interval"]
    assert not reaction.changed


def test_a_version_without_candles_is_refused_and_the_rest_is_served():
    session = server()
    error, _ = heard(session.on_text(subscribe("COIN1USDT", since_us=7), 0))
    assert error.code == "bad_since"
    assert session.prices == {1}


@pytest.mark.parametrize("since_us", [-1, "7", 2**63, 1.5])
def test_a_version_that_is_none_ends_the_conversation(since_us):
    with pytest.raises(BadMessage):
        server().on_text(subscribe("COIN1USDT", kinds=["candle"], since_us=since_us), 0)


def test_candles_of_a_symbol_that_is_listed_later_begin_where_they_were_asked_from():
    session = server(carried=1)
    session.on_text(subscribe("COIN2USDT", kinds=["candle", "price"], intervals=["1m"], since_us=7), 0)
    session.on_text(subscribe("COIN2USDT", kinds=["candle"], intervals=["5m", "1h"]), 0)
    session._symbols = table_of(2)
    reaction = session.on_listed()
    assert reaction.candles == {SeriesKey(2, 1): 7, SeriesKey(2, 5): None, SeriesKey(2, 60): None}
    assert (reaction.added, session.prices) == ([2], {2})


def test_a_client_resumes_its_candles_from_one_version():
    session = ClientSession(2)
    session.subscribe(["COIN1USDT", "COIN2USDT"], ["candle"], intervals=["1m"], since_us=3)
    session.subscribe(["COIN2USDT"], ["candle", "price"], intervals=["5m"])
    assert [json.loads(message) for message in session.on_open(since_us=7)] == [
        {
            "type": "subscribe",
            "symbols": ["COIN1USDT"],
            "kinds": ["candle"],
            "intervals": ["1m"],
            "since_us": 7,
        },
        {
            "type": "subscribe",
            "symbols": ["COIN2USDT"],
            "kinds": ["candle", "price"],
            "intervals": ["1m", "5m"],
            "since_us": 7,
        },
    ]
