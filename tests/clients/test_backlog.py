"""The backlog: newest per symbol, events in order, never longer than it says."""

import pytest

from clients.backlog import MAX_EVENTS, Backlog
from clients.updates import Refused, StreamPrice, StreamQuote, from_v2
from protocol.control import SymbolEntry
from protocol.events import Price, Quote


def price(symbol_id: int, value: float, changes: int = 1) -> StreamPrice:
    update = from_v2(Price(symbol_id, changes << 8, 0, value, 1.0), entry(symbol_id), 0, 0)
    assert isinstance(update, StreamPrice)
    return update


def quote(symbol_id: int, bid: float) -> StreamQuote:
    update = from_v2(Quote(symbol_id, 1 << 8, 0, bid, 1.0, bid, 1.0), entry(symbol_id), 0, 0)
    assert isinstance(update, StreamQuote)
    return update


def entry(symbol_id: int) -> SymbolEntry:
    return SymbolEntry(symbol_id, f"S{symbol_id}", "simulated", 2)


def test_a_newer_price_takes_the_place_of_an_unread_one_and_counts_its_changes():
    backlog = Backlog()
    for update in (price(1, 10.0, changes=2), price(2, 20.0), price(1, 11.0, changes=3)):
        backlog.put(update)
    assert [backlog.pop(), backlog.pop()] == [price(1, 11.0, changes=5), price(2, 20.0)]
    assert backlog.conflated == 1


def test_a_price_and_a_quote_of_one_symbol_do_not_replace_each_other():
    backlog = Backlog()
    backlog.put(price(1, 10.0))
    backlog.put(quote(1, 9.5))
    assert (backlog.pop(), backlog.pop()) == (price(1, 10.0), quote(1, 9.5))


def test_what_was_read_is_not_counted_again():
    backlog = Backlog()
    backlog.put(price(1, 10.0))
    backlog.pop()
    backlog.put(price(1, 11.0))
    assert backlog.pop() == price(1, 11.0)
    assert backlog.conflated == 0


def test_events_stay_in_order_and_the_oldest_goes_when_there_are_too_many():
    backlog = Backlog()
    backlog.put(price(1, 10.0))
    events = [Refused("code", str(number), []) for number in range(MAX_EVENTS + 2)]
    for event in events:
        backlog.put_event(event)
    items = [backlog.pop() for _ in range(len(backlog))]
    assert items == [price(1, 10.0), *events[2:]]
    assert backlog.dropped_events == 2


def test_an_empty_backlog_has_nothing_to_take():
    with pytest.raises(KeyError):
        Backlog().pop()
