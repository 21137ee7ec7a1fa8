"""What a client may do, by who it is."""

import pytest

from protocol.candle_stream import CandleSession, parse_address
from protocol.control import (
    Auth,
    AuthConfirmed,
    Ping,
    Pong,
    Subscribe,
    format_message,
    parse_server_message,
)
from protocol.session import Limits, ServerSession
from protocol.standing import ANYBODY, NOBODY, Standing
from protocol.symbols import Instrument, SymbolTable

BOB = Standing(
    user="bob", symbols_allowed=("BINANCE:COIN1*",), may_watch=lambda one: one.symbol.startswith("COIN1")
)


def table():
    symbols = SymbolTable()
    for symbol_id in (1, 2, 3):
        add(symbols, symbol_id)
    return symbols


def add(symbols, symbol_id):
    name = f"COIN{symbol_id}USDT"
    symbols.add(Instrument(id=symbol_id, symbol=name, venue="sim", native=name, price_precision=2))


def session(standing=ANYBODY):
    return ServerSession(2, table(), Limits(), standing)


def say(ends, message):
    return ends.on_text(format_message(message), 0)


def heard(reaction):
    return [parse_server_message(reply) for reply in reaction.replies]


def test_who_is_not_known_may_say_who_they_are_and_nothing_else():
    ends = session(NOBODY)
    [error] = heard(say(ends, Subscribe(["COIN1USDT", "NOSUCH"])))
    assert error.code == "not_logged_in"
    assert ends.watched == set()
    assert ends.on_listed().replies == []
    assert heard(say(ends, Ping())) == [Pong()]
    assert say(ends, Auth("a token")).auth == "a token"


def test_a_token_is_not_shown_where_messages_are_printed():
    assert "secret" not in repr(Auth("secret"))


@pytest.mark.parametrize("kinds", [["price"], ["quote", "trade", "enigma"], ["candle"]])
def test_what_is_not_open_is_refused_in_every_kind_and_the_rest_served(kinds):
    ends = session(BOB)
    refused, symbols = heard(reaction := say(ends, Subscribe(["coin2usdt", "COIN1USDT"], kinds)))
    assert (refused.code, refused.symbols) == ("not_allowed", ["COIN2USDT"])
    assert [one.id for one in symbols.symbols] == reaction.added == [1]
    assert ends.watched == {1}


def test_it_is_refused_too_when_it_is_listed_later():
    ends = session(BOB)
    say(ends, Subscribe(["COIN12USDT", "COIN22USDT"], ["price", "trade", "candle"], {"COIN22USDT": 7}))
    for symbol_id in (12, 22):
        add(ends._symbols, symbol_id)
    reaction = ends.on_listed()
    assert {one.code for one in heard(reaction) if hasattr(one, "code")} == {"not_allowed"}
    assert (ends.watched, reaction.added, reaction.since) == ({12}, [12], {})
    assert {key.symbol_id for key in reaction.candles} == {12}


def test_whoever_is_somebody_else_from_now_on_keeps_what_is_open_to_them():
    ends = session()
    say(ends, Subscribe(["COIN1USDT", "COIN2USDT", "COIN3USDT"], ["price", "trade", "candle"]))
    confirmed, refused = heard(reaction := ends.admit(BOB))
    assert confirmed == AuthConfirmed("bob", ["BINANCE:COIN1*"])
    assert (refused.code, refused.symbols) == ("not_allowed", ["COIN2USDT", "COIN3USDT"])
    assert reaction.changed
    assert ends.watched == ends.trades == {1}
    assert {key.symbol_id for key in ends.candles} == {1}


def test_whoever_may_as_much_as_before_loses_nothing():
    ends = session()
    say(ends, Subscribe(["COIN1USDT"]))
    reaction = ends.admit(Standing(user="ann"))
    assert heard(reaction) == [AuthConfirmed("ann", [])]
    assert not reaction.changed


def test_the_candle_stream_obeys_too():
    ends = CandleSession(table(), Limits(), BOB)
    _, reaction = ends.welcome(parse_address("symbols=COIN1USDT,COIN2USDT"))
    [refused] = heard(reaction)
    assert (refused.code, refused.symbols) == ("not_allowed", ["COIN2USDT"])
    assert {key.symbol_id for key in reaction.candles} == {1}
