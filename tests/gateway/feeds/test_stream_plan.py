"""Which streams go on which connection."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.feeds.connections.plan import Plan, Slot, batches, plan_streams

natives = st.sets(st.text(min_size=1, max_size=4), max_size=40)


def held(plan: Plan, kind: str) -> list[str]:
    return sorted(native for slot, group in plan.items() if slot.kind == kind for native in group)


def test_each_kind_has_connections_of_its_own() -> None:
    plan = plan_streams({}, {"A", "B"}, ("trade", "bookTicker"), most=10)
    assert plan == {Slot("trade", 0): {"A", "B"}, Slot("bookTicker", 0): {"A", "B"}}


def test_the_load_is_spread_over_as_few_connections_as_the_limit_allows() -> None:
    plan = plan_streams({}, {f"S{n}" for n in range(9)}, ("trade",), most=4)
    assert sorted(map(len, plan.values())) == [3, 3, 3]


def test_new_symbols_fill_the_emptiest_connection() -> None:
    current = {Slot("trade", 0): frozenset("ABC"), Slot("trade", 1): frozenset("D")}
    plan = plan_streams(current, set("ABCDE"), ("trade",), most=4)
    assert plan[Slot("trade", 1)] == {"D", "E"}


def test_a_connection_without_streams_goes() -> None:
    current = {Slot("trade", 0): frozenset("A"), Slot("trade", 1): frozenset("B")}
    assert plan_streams(current, {"B"}, ("trade",), most=1) == {Slot("trade", 1): {"B"}}


@given(st.lists(natives, max_size=6), st.integers(1, 7))
def test_every_wanted_stream_is_held_once_within_the_limit_and_none_moves(
    wishes: list[set[str]], most: int
) -> None:
    plan: Plan = {}
    for wanted in wishes:
        before, plan = plan, plan_streams(plan, wanted, ("trade", "bookTicker"), most)
        assert held(plan, "trade") == held(plan, "bookTicker") == sorted(wanted)
        assert all(0 < len(group) <= most for group in plan.values())
        for slot, group in before.items():
            assert group & wanted == plan.get(slot, frozenset()) & group


names = st.lists(st.text(min_size=1, max_size=20), max_size=60)


@given(names, st.integers(1, 10), st.integers(1, 100))
def test_batches_lose_nothing_and_stay_within_both_limits(
    streams: list[str], most_names: int, most_bytes: int
) -> None:
    cut = list(batches(streams, most_names, most_bytes))
    assert [name for batch in cut for name in batch] == streams
    for batch in cut:
        assert len(batch) <= most_names
        assert len(batch) == 1 or sum(len(name.encode()) + 3 for name in batch) <= most_bytes
