"""What a client is told of its user's market watch, and what of it is served."""

from hypothesis import given
from hypothesis import strategies as st

from protocol import control
from protocol.control import (
    AutoSubscribe,
    AutoUnsubscribe,
    MarketWatchAdd,
    MarketWatchOrder,
    MarketWatchRemove,
    MarketWatchSubscribe,
    Symbols,
    WatchChange,
    format_message,
    parse_server_message,
)
from protocol.market_watch import news_of, plain
from protocol.session import Limits, ServerSession
from protocol.standing import ANYBODY, NOBODY, Standing
from protocol.symbols import Instrument, SymbolTable

COINS = [f"COIN{number}USDT" for number in range(1, 9)]
UNLISTED = ["BINANCE:NOSUCHUSDT", "KRAKEN:COIN1USDT"]
FULL = [f"BINANCE:{one}" for one in COINS]
ANN = Standing(user="ann", has_market_watch=True)
lists = st.lists(st.sampled_from([*FULL, *UNLISTED]), unique=True)


def instrument(symbol_id):
    name = COINS[symbol_id - 1]
    return Instrument(id=symbol_id, symbol=name, venue="sim", native=name, price_precision=2)


def session(standing=ANN, listed=range(1, 9), version=1, **limits):
    symbols = SymbolTable()
    for symbol_id in listed:
        symbols.add(instrument(symbol_id))
    return ServerSession(version, symbols, Limits(**limits), standing)


def heard(reaction):
    return [parse_server_message(reply) for reply in reaction.replies]


def say(ends, message):
    return ends.on_text(format_message(message), 0)


def subscribe(*names, kinds=("price",)):
    return control.Subscribe(list(names), list(kinds))


# The news


@given(st.none() | lists, lists)
def test_whoever_follows_the_news_has_the_list(told, names):
    known = [plain(one) for one in told or []]
    for news in news_of(told, names):
        match news:
            case MarketWatchSubscribe(symbols=symbols):
                known = symbols
            case AutoSubscribe(data=change):
                known.append(change.symbol)
            case AutoUnsubscribe(data=change):
                known.remove(change.symbol)
    assert known == [plain(one) for one in names]


@given(lists)
def test_the_same_list_is_no_news(names):
    assert news_of(names, names) == []


def test_a_first_list_is_told_whole_also_if_it_is_empty():
    assert news_of(None, []) == [MarketWatchSubscribe([])]
    assert news_of(None, [FULL[0], "KRAKEN:A"]) == [MarketWatchSubscribe(["COIN1USDT", "KRAKEN:A"])]


def test_a_change_is_told_by_its_symbols_and_a_new_order_by_the_whole_list():
    gone, come = AutoUnsubscribe(WatchChange("COIN1USDT")), AutoSubscribe(WatchChange("COIN3USDT"))
    assert news_of(FULL[:2], FULL[1:3]) == [gone, come]
    assert news_of(FULL[:2], [FULL[1], FULL[0]]) == [MarketWatchSubscribe(["COIN2USDT", "COIN1USDT"])]


# The session


def test_a_list_is_told_introduced_and_served():
    ends = session()
    reaction = ends.on_market_watch(FULL[:2])
    news, symbols = heard(reaction)
    assert isinstance(news, MarketWatchSubscribe)
    assert isinstance(symbols, Symbols)
    assert [one.id for one in symbols.symbols] == reaction.added == [1, 2]
    assert reaction.changed
    assert ends.watched == ends.market_watch == {1, 2}
    assert not ends.on_market_watch(FULL[:2]).changed


def test_what_was_introduced_is_not_introduced_again_but_its_price_is_sent():
    ends = session()
    say(ends, subscribe("COIN1USDT"))
    reaction = ends.on_market_watch(FULL[:1])
    assert [type(one) for one in heard(reaction)] == [MarketWatchSubscribe]
    assert reaction.added == [1]


@given(st.lists(st.tuples(st.sampled_from(["list", "ask", "leave"]), lists), max_size=12))
def test_prices_come_for_either_reason_and_end_with_the_last(steps):
    ends, asked, watched = session(), set(), set()
    for step, names in steps:
        ids = {FULL.index(one) + 1 for one in names if one in FULL}
        before = asked | watched
        if step == "list":
            reaction, watched = ends.on_market_watch(names), ids
        elif step == "ask":
            reaction, asked = say(ends, subscribe(*names)), asked | ids
        else:
            reaction, asked = say(ends, control.Unsubscribe(names)), asked - ids
        assert ends.prices | ends.market_watch == ends.watched == asked | watched
        assert reaction.changed or before == asked | watched


def test_what_is_not_listed_is_served_once_it_is():
    ends = session(listed=[1])
    assert ends.on_market_watch(FULL[:2]).added == [1]
    assert ends.on_listed().replies == []
    ends._symbols.add(instrument(2))
    reaction = ends.on_listed()
    assert ([type(one) for one in heard(reaction)], reaction.added) == ([Symbols], [2])
    assert ends.on_listed().added == []


def test_what_is_not_open_is_told_and_not_served():
    ends = session(Standing(user="bob", has_market_watch=True, may_watch=lambda one: one.id != 2))
    news, symbols = heard(ends.on_market_watch(FULL[:2]))
    assert news.symbols == COINS[:2]
    assert [one.id for one in symbols.symbols] == [1]
    assert ends.market_watch == {1}


def test_the_market_watch_is_beside_what_a_client_may_watch():
    ends = session(symbols=2)
    ends.on_market_watch(FULL[:4])
    assert say(ends, subscribe("COIN5USDT", "COIN6USDT")).added == [5, 6]
    [error] = heard(say(ends, subscribe("COIN7USDT")))
    assert error.code == "too_many_symbols"


def test_an_edit_is_made_of_full_names_once_each():
    ends = session()
    for edit in (MarketWatchAdd, MarketWatchRemove, MarketWatchOrder):
        reaction = say(ends, edit(["coin2usdt", "BINANCE:COIN1USDT", "COIN2USDT"]))
        assert (reaction.replies, reaction.edit) == ([], edit([FULL[1], FULL[0]]))


def test_only_what_there_is_and_what_is_open_can_be_added():
    ends = session(Standing(user="bob", has_market_watch=True, may_watch=lambda one: one.id != 2))
    reaction = say(ends, MarketWatchAdd(["COIN1USDT", "COIN2USDT", "NOSUCH"]))
    unknown, closed = heard(reaction)
    assert (unknown.code, unknown.symbols) == ("unknown_symbol", ["BINANCE:NOSUCH"])
    assert (closed.code, closed.symbols) == ("not_allowed", ["COIN2USDT"])
    assert reaction.edit == MarketWatchAdd([FULL[0]])
    assert say(ends, MarketWatchAdd(["NOSUCH"])).edit is None
    assert say(ends, MarketWatchRemove(["NOSUCH"])).edit == MarketWatchRemove(["BINANCE:NOSUCH"])


def test_who_has_no_market_watch_changes_none():
    for standing, code in (
        (ANYBODY, "not_logged_in"),
        (NOBODY, "not_logged_in"),
        (Standing(user="key"), "not_allowed"),
    ):
        reaction = say(session(standing), MarketWatchAdd(["COIN1USDT"]))
        [error] = heard(reaction)
        assert (error.code, reaction.edit) == (code, None)


def test_another_user_is_told_their_own_list_from_the_beginning():
    ends = session()
    ends.on_market_watch(FULL[:2])
    assert heard(ends.admit(ANN))[1:] == []
    assert ends.market_watch == {1, 2}
    ends.admit(Standing(user="bob", has_market_watch=True))
    assert ends.market_watch == set()
    assert isinstance(heard(ends.on_market_watch(FULL[:1]))[0], MarketWatchSubscribe)
