from hypothesis import given
from hypothesis import strategies as st

from processors.tape import CAPACITY, LEAST_CAPACITY, TradeTape, capacity_of
from protocol.events import Kind, Trade
from protocol.frames import LAYOUTS

deliveries = st.lists(st.lists(st.integers(1, 60), max_size=12), max_size=12)


def trade(trade_id: int) -> Trade:
    return Trade(7, 0, 1, trade_id, 1_000 * trade_id, 100.0, 1.0)


def trades(*ids: int) -> list[Trade]:
    return [trade(one) for one in ids]


def ids(rows: list[Trade]) -> list[int]:
    return [row.id for row in rows]


def ranges(missing: set[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for one in sorted(missing):
        if found and found[-1][1] == one - 1:
            found[-1] = (found[-1][0], one)
        else:
            found.append((one, one))
    return found


def test_an_empty_tape_knows_nothing():
    tape = TradeTape()
    assert (tape.last_id, tape.holes()) == (0, [])
    assert tape.since(0) == ([], [])
    assert tape.between(1, 9) == []


def test_a_tape_begins_with_the_first_trades_it_is_given():
    tape = TradeTape()
    assert tape.accept(trades(11, 10)) == trades(10, 11)
    assert tape.holes() == []
    assert tape.accept(trades(9)) == []
    assert (ids(tape.between(1, 20)), tape.last_id) == ([10, 11], 11)


def test_a_jump_opens_a_hole_and_what_fills_it_closes_it():
    tape = TradeTape()
    tape.accept(trades(1, 2, 6))
    assert tape.holes() == [(3, 5)]
    assert tape.accept(trades(4, 2)) == trades(4)
    assert tape.holes() == [(3, 3), (5, 5)]
    assert tape.accept(trades(5, 3, 7)) == trades(3, 5, 7)
    assert tape.holes() == []
    assert ids(tape.between(1, 9)) == [1, 2, 3, 4, 5, 6, 7]


def test_what_was_given_up_is_dropped_when_it_comes_and_said_to_be_absent():
    tape = TradeTape()
    tape.accept(trades(1, 9))
    tape.forget(4, 6)
    assert tape.holes() == [(2, 3), (7, 8)]
    assert tape.accept(trades(5, 7)) == trades(7)
    tape.forget(1, 9)
    assert tape.holes() == []
    assert tape.since(0) == (trades(1, 7, 9), [(2, 6), (8, 8)])


def test_since_says_what_was_evicted():
    tape = TradeTape(capacity=3)
    tape.accept(trades(*range(1, 11)))
    assert tape.since(4) == (trades(8, 9, 10), [(5, 7)])
    assert tape.since(7) == (trades(8, 9, 10), [])
    assert tape.since(10) == ([], [])
    assert tape.since(99) == ([], [])


def test_what_fills_a_hole_older_than_all_that_is_held_is_new_and_not_kept():
    tape = TradeTape(capacity=2)
    tape.accept(trades(1, 3, 4, 5))
    assert tape.accept(trades(2)) == trades(2)
    assert ids(tape.between(1, 5)) == [4, 5]


@given(deliveries, st.integers(1, 70))
def test_a_tape_equals_a_naive_model(batches: list[list[int]], capacity: int):
    tape = TradeTape(capacity)
    seen: set[int] = set()
    for batch in batches:
        floor = min(seen, default=0)
        new = {one for one in batch if one not in seen and one > floor}
        assert ids(tape.accept(trades(*batch))) == sorted(new)
        seen |= new
        top = max(seen, default=0)
        missing = set(range(min(seen, default=0), top)) - seen
        assert tape.last_id == top
        assert tape.holes() == ranges(missing)
    for last_known in range(0, 62, 7):
        held, absent = tape.since(last_known)
        assert held == tape.between(last_known + 1, 60)
        wanted = set(range(last_known + 1, max(seen, default=0) + 1))
        assert ranges(wanted - set(ids(held))) == absent


@given(deliveries, st.integers(1, 20))
def test_a_tape_holds_the_trades_of_as_many_ids_as_it_has_room_for(batches: list[list[int]], capacity: int):
    tape = TradeTape(capacity)
    everything: set[int] = set()
    for batch in batches:
        everything.update(ids(tape.accept(trades(*batch))))
        held = tape.between(1, 60)
        assert ids(held) == sorted(one for one in everything if one > tape.last_id - capacity)
        assert held == trades(*ids(held))


@given(deliveries, st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), max_size=4))
def test_forgetting_takes_out_of_the_holes_what_it_names_and_nothing_else(
    batches: list[list[int]], given_up: list[tuple[int, int]]
):
    tape = TradeTape()
    for batch in batches:
        tape.accept(trades(*batch))
    missing = {one for first, last in tape.holes() for one in range(first, last + 1)}
    for first, last in given_up:
        tape.forget(first, last)
        missing -= set(range(first, last + 1))
        assert tape.holes() == ranges(missing)


@given(
    st.lists(st.integers(1, 3_000), min_size=1, max_size=60, unique=True),
    st.lists(st.sampled_from([4, 8, 16, 32]), min_size=1, max_size=4),
)
def test_a_tape_that_is_resized_keeps_the_newest_that_both_sizes_hold(known: list[int], sizes: list[int]):
    tape = TradeTape(16)
    tape.accept(trades(*known))
    for size in sizes:
        tape.resize(size)
    least = min([16, *sizes])
    expected = sorted(one for one in known if one > max(known) - least)
    assert [one for one in ids(tape.between(1, 3_000)) if one > max(known) - least] == expected
    tape.accept(trades(max(known) + 1))
    assert ids(tape.between(max(known) + 1, 9_999)) == [max(known) + 1]


def test_a_tape_is_resized_before_it_holds_anything():
    tape = TradeTape(16)
    tape.resize(4)
    tape.accept(trades(*range(1, 10)))
    assert ids(tape.between(1, 99)) == [6, 7, 8, 9]


def test_tapes_share_the_room_that_there_is():
    assert capacity_of(1, 100_000) == CAPACITY
    assert capacity_of(20, 100_000) == 4_096
    assert capacity_of(10_000, 100_000) == LEAST_CAPACITY


@given(st.lists(st.integers(1, 25), max_size=8), st.integers(1, 20))
def test_packed_runs_are_kept_as_single_trades_are(counts: list[int], capacity: int):
    single, packed, next_id = TradeTape(capacity), TradeTape(capacity), 90
    for count in counts:
        run = trades(*range(next_id, next_id + count))
        single.accept(run)
        packed.add_run(b"".join(LAYOUTS[Kind.TRADE].struct.pack(*one) for one in run), run[-1].id)
        next_id += count
        assert packed.last_id == single.last_id
        assert packed.between(1, 999) == single.between(1, 999)
        assert packed.goes_on_with(next_id)
        assert not packed.goes_on_with(next_id + 1)
