"""What one connection carries, and what the venue is asked for."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.feeds.connections.subscriptions import Request, Subscriptions
from protocol.market import Ack


def requests(subscriptions: Subscriptions, now_ms: int = 0) -> list[Request]:
    return list(iter(lambda: subscriptions.next_request(now_ms), None))


def wanting(*names: str) -> Subscriptions:
    subscriptions = Subscriptions()
    subscriptions.want(names)
    return subscriptions


def test_what_is_wanted_is_asked_for_once() -> None:
    subscriptions = wanting("a", "b")
    [request] = requests(subscriptions)
    assert (request.subscribe, request.names) == (True, ["a", "b"])
    assert not subscriptions.is_settled
    subscriptions.on_ack(Ack(request.id, None))
    assert subscriptions.is_settled


def test_a_change_asks_only_for_the_difference() -> None:
    subscriptions = wanting("a", "b")
    requests(subscriptions)
    subscriptions.want({"b", "c"})
    assert [(one.subscribe, one.names) for one in requests(subscriptions)] == [(False, ["a"]), (True, ["c"])]


def test_a_new_connection_is_asked_for_everything() -> None:
    subscriptions = wanting("a", "b")
    requests(subscriptions)
    subscriptions.on_open()
    assert [one.names for one in requests(subscriptions)] == [["a", "b"]]


def test_many_names_are_asked_for_in_several_messages() -> None:
    subscriptions = wanting(*(f"symbol{n}@trade" for n in range(450)))
    sizes = [len(one.names) for one in requests(subscriptions)]
    assert sum(sizes) == 450
    assert max(sizes) <= 200


def test_the_oldest_unanswered_message_says_how_late_the_venue_is() -> None:
    subscriptions = wanting("a")
    [first] = requests(subscriptions, now_ms=100)
    subscriptions.want({"a", "b"})
    requests(subscriptions, now_ms=400)
    assert subscriptions.overdue_ms(500) == 400
    subscriptions.on_ack(Ack(first.id, None))
    assert subscriptions.overdue_ms(500) == 100


def test_an_error_without_an_id_answers_the_oldest_message() -> None:
    subscriptions = wanting("bad")
    requests(subscriptions)
    assert subscriptions.on_ack(Ack(None, "no such symbol")) == "no such symbol"
    assert subscriptions.rejected == {"bad": "no such symbol"}


def test_an_answer_to_nothing_changes_nothing() -> None:
    subscriptions = wanting("a")
    requests(subscriptions)
    for request_id in (99, "abc"):
        subscriptions.on_ack(Ack(request_id, None))
    assert not subscriptions.is_settled


def test_a_rejected_stream_that_is_no_longer_wanted_is_forgotten() -> None:
    subscriptions = wanting("bad")
    [request] = requests(subscriptions)
    subscriptions.on_ack(Ack(request.id, "no such symbol"))
    subscriptions.want({"good"})
    assert subscriptions.rejected == {}


class Venue:
    """Carries what it is asked for, and refuses whole messages that name something bad."""

    def __init__(self, bad: set[str]) -> None:
        self.bad = bad
        self.carried: set[str] = set()

    def answer(self, request: Request) -> Ack:
        if not request.subscribe:
            self.carried.difference_update(request.names)
        elif self.bad & set(request.names):
            return Ack(request.id, "no such symbol")
        else:
            self.carried.update(request.names)
        return Ack(request.id, None)


names = st.sets(st.sampled_from("abcdefghijkl"))


@given(st.lists(st.tuples(names, st.integers(0, 3)), min_size=1, max_size=5), names)
def test_whatever_is_refused_the_others_are_carried(
    wishes: list[tuple[set[str], int]], bad: set[str]
) -> None:
    subscriptions, venue, waiting = Subscriptions(), Venue(bad), []
    for wanted, answered in wishes:
        subscriptions.want(wanted)
        waiting += requests(subscriptions)
        for request in waiting[:answered]:
            subscriptions.on_ack(venue.answer(request))
        del waiting[:answered]
    while not subscriptions.is_settled:
        waiting += requests(subscriptions)
        subscriptions.on_ack(venue.answer(waiting.pop(0)))
    assert venue.carried == wishes[-1][0] - bad
    assert subscriptions.rejected.keys() == wishes[-1][0] & bad
