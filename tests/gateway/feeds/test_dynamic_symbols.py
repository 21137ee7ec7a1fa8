from hypothesis import given
from hypothesis import strategies as st

from gateway.feeds.dynamic_symbols import MOST_NODES, DynamicSymbols

GRACE_MS = 60_000
TTL_MS = 15_000


def symbols(*base: str) -> DynamicSymbols:
    made = DynamicSymbols(node_ttl_ms=TTL_MS, grace_ms=GRACE_MS)
    made.base = frozenset(base)
    return made


def test_the_base_set_is_always_wanted():
    wanted = symbols("BTCUSDT")
    assert wanted.wanted(0) == {"BTCUSDT"}
    wanted.on_demand("a", [], 0)
    assert wanted.wanted(10**9) == {"BTCUSDT"}


def test_what_any_gateway_wants_is_carried():
    wanted = symbols("BTCUSDT")
    wanted.on_demand("a", ["ETHUSDT"], 0)
    wanted.on_demand("b", ["SOLUSDT", "ETHUSDT"], 1)
    assert wanted.wanted(2) == {"BTCUSDT", "ETHUSDT", "SOLUSDT"}


def test_a_symbol_that_nobody_wants_any_more_is_let_go_after_the_grace_time():
    wanted = symbols()
    wanted.on_demand("a", ["ETHUSDT"], 0)
    wanted.on_demand("a", [], 1_000)
    assert wanted.wanted(1_000 + GRACE_MS) == {"ETHUSDT"}
    assert wanted.wanted(1_001 + GRACE_MS) == set()


def test_a_symbol_wanted_again_within_the_grace_time_never_left():
    wanted = symbols()
    wanted.on_demand("a", ["ETHUSDT"], 0)
    wanted.on_demand("a", [], 1_000)
    wanted.on_demand("a", ["ETHUSDT"], 50_000)
    assert wanted.wanted(60_000) == {"ETHUSDT"}


def test_a_gateway_that_is_not_heard_any_more_wants_nothing():
    wanted = symbols()
    wanted.on_demand("a", ["ETHUSDT"], 0)
    assert wanted.wanted(TTL_MS + GRACE_MS) == {"ETHUSDT"}
    assert wanted.wanted(TTL_MS + GRACE_MS + 1) == set()


def test_one_gateway_leaving_takes_nothing_from_another():
    wanted = symbols()
    for at_ms in range(0, 200_000, 5_000):
        wanted.on_demand("b", ["ETHUSDT"], at_ms)
        if at_ms == 0:
            wanted.on_demand("a", ["ETHUSDT", "SOLUSDT"], at_ms)
    assert wanted.wanted(200_000) == {"ETHUSDT"}


def test_a_word_that_comes_after_a_silence_counts_from_then():
    wanted = symbols()
    wanted.on_demand("a", ["ETHUSDT"], 0)
    wanted.on_demand("a", [], 10 * GRACE_MS)
    wanted.on_demand("b", ["SOLUSDT"], 10 * GRACE_MS)
    assert "SOLUSDT" in wanted.wanted(10 * GRACE_MS)


def test_who_is_one_too_many_is_not_heard_until_somebody_falls_silent():
    wanted = symbols()
    for number in range(MOST_NODES):
        wanted.on_demand(f"node-{number}", [], 0)
    wanted.on_demand("late", ["ETHUSDT"], 0)
    assert wanted.wanted(TTL_MS + 1) == set()
    wanted.on_demand("late", ["ETHUSDT"], TTL_MS + 1)
    assert wanted.wanted(TTL_MS + 1) == {"ETHUSDT"}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sets(st.sampled_from("UVWXYZ")), st.integers(0, 9_000))))
def test_what_somebody_wants_now_is_always_carried(steps: list[tuple[str, set[str], int]]):
    wanted, now_ms, newest = symbols("BASE"), 0, {}
    for node, natives, pause_ms in steps:
        now_ms += pause_ms
        wanted.on_demand(node, natives, now_ms)
        newest[node] = (natives, now_ms)
        asked = {one for natives, at_ms in newest.values() if now_ms - at_ms <= TTL_MS for one in natives}
        assert asked | {"BASE"} <= wanted.wanted(now_ms)
