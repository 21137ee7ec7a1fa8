"""What was fetched is there for a while, and not for ever."""

from gateway.feeds.trades.fetched import KEPT_TRADES, KEPT_US, FetchedTrades
from protocol.events import Trade


def trades(first: int, count: int) -> list[Trade]:
    return [Trade(7, 0, 1, first + place, 1_000, 100.0, 1.0) for place in range(count)]


def test_answers_are_found_by_symbol_and_id():
    fetched = FetchedTrades()
    fetched.keep("BTCUSDT", trades(1, 3), 0)
    fetched.keep("BTCUSDT", trades(3, 2), 1)
    fetched.keep("ETHUSDT", trades(9, 1), 2)
    assert [*fetched.of("BTCUSDT", 3)] == [1, 2, 3, 4]
    assert [*fetched.of("ETHUSDT", 3)] == [9]
    assert fetched.of("SOLUSDT", 3) == {}


def test_an_answer_is_forgotten_after_a_while():
    fetched = FetchedTrades()
    fetched.keep("BTCUSDT", trades(1, 1), 0)
    fetched.keep("BTCUSDT", trades(2, 1), 1)
    assert [*fetched.of("BTCUSDT", KEPT_US)] == [1, 2]
    assert [*fetched.of("BTCUSDT", KEPT_US + 1)] == [2]
    assert fetched.of("BTCUSDT", KEPT_US + 2) == {}


def test_when_there_are_too_many_the_oldest_go():
    fetched = FetchedTrades()
    fetched.keep("BTCUSDT", trades(1, 1), 0)
    fetched.keep("ETHUSDT", trades(1, KEPT_TRADES - 1), 0)
    assert [*fetched.of("BTCUSDT", 0)] == [1]
    fetched.keep("ETHUSDT", trades(KEPT_TRADES, 1), 0)
    assert fetched.of("BTCUSDT", 0) == {}
    assert len(fetched.of("ETHUSDT", 0)) == KEPT_TRADES
