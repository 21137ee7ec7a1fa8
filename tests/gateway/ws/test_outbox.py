from gateway.ws.lane import Mark
from gateway.ws.outbox import Outbox
from protocol.events import Kind


def test_the_first_note_of_a_symbol_fixes_what_it_is_counted_from():
    outbox = Outbox()
    outbox.note(Kind.PRICE, 1, 10)
    outbox.note(Kind.PRICE, 1, 11)
    outbox.note(Kind.PRICE, 2, 5)
    assert outbox.take(Kind.PRICE) == {1: 10, 2: 5}
    assert outbox.take(Kind.PRICE) == {}


def test_prices_and_quotes_are_kept_apart():
    outbox = Outbox()
    outbox.note(Kind.PRICE, 1, 0)
    assert outbox.take(Kind.QUOTE) == {}


def test_what_is_no_longer_watched_is_dropped():
    outbox = Outbox()
    for symbol_id in (1, 2, 3):
        outbox.note(Kind.PRICE, symbol_id, 0)
    outbox.forget(frozenset({2}), Kind.PRICE)
    assert outbox.take(Kind.PRICE) == {2: 0}


def test_a_socket_is_late_when_it_has_been_full_for_too_long():
    outbox = Outbox()
    assert not outbox.is_late(100.0, 10.0)
    outbox.full_since_s = 100.0
    assert not outbox.is_late(109.0, 10.0)
    assert outbox.is_late(111.0, 10.0)


def test_the_first_mark_of_a_symbol_holds():
    outbox = Outbox()
    outbox.note_trades(1, Mark(5, 100))
    outbox.note_trades(1, Mark(9, 104))
    assert outbox.marks == {1: Mark(5, 100)}
