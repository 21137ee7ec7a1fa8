"""Which line is first: counted by the venue's number of a message, and bounded."""

from gateway.feeds.connections.arrivals import Arrivals, LineArrivals
from protocol.market import AggTrade, BookTop, DayTicker, MarketEvent

NOTHING = LineArrivals(0, 0, 0.0, 0)


def trade(number: int, native: str = "A") -> MarketEvent:
    return AggTrade(native, number, 1.0, 1.0, False, 1, 1, 1, 1)


def test_the_first_line_is_credited_with_its_lead():
    arrivals = Arrivals()
    for number, lead_us in ((1, 300), (2, 100)):
        arrivals.note("a", [trade(number)], 1_000)
        arrivals.note("b", [trade(number)], 1_000 + lead_us)
    arrivals.note("b", [trade(3)], 5_000)
    arrivals.note("a", [trade(3)], 5_007)
    assert arrivals.of("a") == LineArrivals(2, 0, 200.0, 300)
    assert arrivals.of("b") == LineArrivals(1, 0, 7.0, 7)


def test_a_line_that_repeats_itself_leads_nobody():
    arrivals = Arrivals()
    arrivals.note("a", [trade(1)], 1_000)
    arrivals.note("a", [trade(1)], 2_000)
    assert arrivals.of("a") == NOTHING
    arrivals.note("b", [trade(1)], 3_000)
    arrivals.note("b", [trade(1)], 4_000)
    assert arrivals.of("a") == LineArrivals(1, 0, 2_000.0, 2_000)
    assert arrivals.of("b") == NOTHING


def test_symbols_and_numbers_are_told_apart_whatever_the_message_is():
    arrivals = Arrivals()
    events = [trade(1), trade(1, "B"), BookTop("A", 9, 1, 1, 2, 1, 0), DayTicker("A", 1.0, 1.0, 77)]
    for event in events:
        arrivals.note("a", [event], 1_000)
    for event in events:
        arrivals.note("b", [event], 1_001)
    assert arrivals.of("a").first == 4


def test_what_has_no_number_is_not_counted():
    arrivals = Arrivals()
    for line in "ab":
        arrivals.note(line, [DayTicker("A", 1.0, 1.0, 0)], 1_000)
    assert arrivals.of("a") == NOTHING


def test_full_the_oldest_is_counted_as_brought_by_one_line_alone():
    arrivals = Arrivals(kept=2)
    for number in (1, 2, 3, 4):
        arrivals.note("a", [trade(number)], 1_000)
    assert arrivals.of("a") == LineArrivals(0, 2, 0.0, 0)
