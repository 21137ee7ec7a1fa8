from hypothesis import given
from hypothesis import strategies as st

from processors import trade_queue
from processors.trade_queue import Run, TradeQueue
from protocol.events import Kind

BYTES = 4


def run(native: str, first_id: int, count: int) -> Run:
    records = b"".join(one.to_bytes(BYTES, "little") for one in range(first_id, first_id + count))
    return Run(Kind.TRADE, native, first_id, count, records)


def ids(runs: list[Run], native: str = "A") -> list[int]:
    """List the ids, as the runs say them and as their records do."""
    told = [one for part in runs if part.native == native for one in range(part.first_id, part.last_id + 1)]
    packed = b"".join(part.records for part in runs if part.native == native)
    assert [int.from_bytes(packed[at : at + BYTES], "little") for at in range(0, len(packed), BYTES)] == told
    return told


@given(st.lists(st.integers(1, 9)), st.integers(1, 12), st.integers(1, 20))
def test_what_goes_in_comes_out_in_order_but_for_the_oldest_that_had_no_room(
    counts: list[int], most: int, room: int
) -> None:
    queue, next_id = TradeQueue(room), 1
    dropped: list[int] = []
    for count in counts:
        dropped += ids(queue.add(run("A", next_id, count)))
        next_id += count
        assert len(queue) <= room
    taken: list[int] = []
    while len(queue):
        batch = ids(queue.take(most))
        assert len(batch) <= most
        taken += batch
    assert dropped + taken == list(range(1, next_id))
    assert queue.added == next_id - 1


def test_a_symbols_trades_are_given_out_together_when_nothing_waits() -> None:
    queue = TradeQueue(100)
    for first_id, native in ((1, "A"), (1, "B"), (4, "A")):
        queue.add(run(native, first_id, 3))
    queue.take(4)
    assert queue.take_gathered() == {}, "there is more to come"
    queue.take(100)
    gathered = queue.take_gathered()
    assert {native: ids(runs, native) for native, runs in gathered.items()} == {
        "A": [1, 2, 3, 4, 5, 6],
        "B": [1, 2, 3],
    }
    assert queue.take_gathered() == {}


def test_what_is_gathered_is_given_out_when_it_is_much() -> None:
    most = trade_queue.MOST_GATHERED
    queue = TradeQueue(2 * most)
    queue.add(run("A", 1, 2 * most))
    queue.take(most)
    assert ids(queue.take_gathered()["A"]) == list(range(1, most + 1))


def test_gaps_are_not_gathered() -> None:
    queue = TradeQueue(10)
    queue.add(Run(Kind.GAP, "A", 5, 1, b"gap"))
    assert [one.kind for one in queue.take(10)] == [Kind.GAP]
    assert queue.take_gathered() == {}


def test_there_is_room_while_less_than_half_is_full() -> None:
    queue = TradeQueue(10)
    queue.add(run("A", 1, 5))
    assert queue.has_room
    queue.add(run("A", 6, 1))
    assert not queue.has_room
