import asyncio

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.native.sender import BY_TRANSPORT, Target, Targets
from gateway.ws.audience import FEW, Audiences, Watchlist
from gateway.ws.candles.series import CandleMark
from gateway.ws.lane import Mark
from protocol.events import Kind


class Recorder:
    """A member that keeps what it is told."""

    def __init__(self) -> None:
        self.missed: list[tuple[Kind, dict[int, int]]] = []
        self.target = Target(BY_TRANSPORT, asyncio.WriteTransport())

    def miss(self, kind: Kind, baseline: dict[int, int]) -> None:
        self.missed.append((kind, baseline))

    def miss_trades(self, marks: dict[int, Mark]) -> None:
        raise AssertionError(f"these members watch no trades: {marks}")

    def miss_candles(self, mark: CandleMark) -> None:
        raise AssertionError(f"these members watch no candles: {mark}")

    def catch_up(self) -> None:
        raise AssertionError("these members watch no trades")


def watchlist(*prices: int, version: int = 1, quotes: tuple[int, ...] = ()) -> Watchlist:
    return Watchlist(version, frozenset(prices), frozenset(quotes))


def test_clients_of_one_watchlist_share_an_audience():
    audiences = Audiences()
    first, second = Recorder(), Recorder()
    assert audiences.join(watchlist(1, 2), first) is audiences.join(watchlist(2, 1), second)
    assert len(audiences) == 1


def test_another_version_is_another_audience():
    audiences = Audiences()
    audiences.join(watchlist(1), Recorder())
    audiences.join(watchlist(1, version=2), Recorder())
    assert len(audiences) == 2


def test_only_the_audiences_of_a_changed_symbol_are_concerned():
    audiences = Audiences()
    both = audiences.join(watchlist(1, 2), Recorder())
    second = audiences.join(watchlist(2), Recorder())
    audiences.join(watchlist(3), Recorder())
    assert audiences.concerned(Kind.PRICE, [2, 1]) == {both: [2, 1], second: [2]}


def test_prices_and_quotes_are_watched_apart():
    audiences = Audiences()
    quotes = audiences.join(watchlist(version=2, quotes=(1,)), Recorder())
    assert audiences.concerned(Kind.PRICE, [1]) == {}
    assert audiences.concerned(Kind.QUOTE, [1]) == {quotes: [1]}


def test_compact_prices_are_watched_apart_from_prices():
    audiences = Audiences()
    compact = audiences.join(Watchlist(2, compact=frozenset({1})), Recorder())
    audiences.join(watchlist(1, version=2), Recorder())
    assert audiences.concerned(Kind.COMPACT, [1, 2]) == {compact: [1]}


def test_trades_are_watched_apart_from_prices():
    audiences = Audiences()
    trades = audiences.join(Watchlist(2, frozenset(), frozenset(), frozenset({1})), Recorder())
    audiences.join(watchlist(1, version=2), Recorder())
    assert audiences.concerned(Kind.TRADE, [1, 2]) == {trades: [1]}


def test_an_audience_without_clients_is_forgotten():
    audiences = Audiences()
    member = Recorder()
    audiences.leave(audiences.join(watchlist(1), member), member)
    assert len(audiences) == 0
    assert audiences.concerned(Kind.PRICE, [1]) == {}


def test_a_paused_member_is_not_written_to_until_it_resumes():
    audience = Audiences().join(watchlist(1), member := Recorder())
    audience.pause(member)
    assert list(audience.flowing) == []
    assert audience.slow == {member}
    audience.resume(member)
    assert list(audience.flowing) == [member]
    assert audience.slow == set()


def test_the_targets_are_always_those_of_the_members_who_flow():
    audiences = Audiences()
    first, second = Recorder(), Recorder()
    audience = audiences.join(watchlist(1), first)
    assert audience.targets == Targets.of([first.target])
    audiences.join(watchlist(1), second)
    assert audience.targets == Targets.of([first.target, second.target])
    audience.pause(first)
    assert audience.targets == Targets.of([second.target])
    audience.resume(first)
    assert audience.targets == Targets.of([second.target, first.target])
    audiences.leave(audience, second)
    assert audience.targets == Targets.of([first.target])


@given(st.lists(st.tuples(st.sets(st.integers(1, 6)), st.booleans()), max_size=30))
def test_the_index_always_equals_a_search_through_all_audiences(steps: list[tuple[set[int], bool]]):
    audiences = Audiences()
    joined = []
    for symbols, leaves in steps:
        if leaves and joined:
            audiences.leave(*joined.pop(0))
        else:
            member = Recorder()
            joined.append((audiences.join(watchlist(*symbols), member), member))
    for symbol in range(1, 7):
        searched = {audience for audience in audiences if symbol in audience.watchlist.prices}
        assert set(audiences.concerned(Kind.PRICE, [symbol])) == searched


@given(st.lists(st.tuples(st.sets(st.integers(1, 6)), st.sampled_from([1, 2]), st.booleans()), max_size=30))
def test_the_rows_are_always_what_each_audience_watches_in_order(
    steps: list[tuple[set[int], int, bool]],
):
    audiences = Audiences()
    joined = []
    for symbols, version, leaves in steps:
        if leaves and joined:
            audiences.leave(*joined.pop(0))
        else:
            member = Recorder()
            joined.append((audiences.join(watchlist(*symbols, version=version), member), member))
        due = {one: sorted(one.watchlist.prices) for one in audiences if one.watchlist.prices}
        seen = {}
        for form, (of_form, ids, ends) in audiences.rows(Kind.PRICE).items():
            assert {one.form for one in of_form} == {form}
            starts = [0, *ends.tolist()]
            seen |= {
                one: ids[start:end].tolist()
                for one, start, end in zip(of_form, starts[:-1], starts[1:], strict=True)
            }
        assert seen == due


def test_all_rows_are_looked_through_when_one_of_a_few_has_changed():
    audiences = Audiences()
    assert not audiences.is_mostly(Kind.PRICE, np.array([1, 2]))
    audiences.join(watchlist(*range(1, FEW * 2)), Recorder())
    assert audiences.is_mostly(Kind.PRICE, np.array([1, 2]))
    audiences.join(watchlist(*range(1, FEW * 2 + 1)), Recorder())
    assert audiences.is_mostly(Kind.PRICE, np.array([1, 2]))
    audiences.join(watchlist(*range(FEW, FEW * 3)), Recorder())
    assert not audiences.is_mostly(Kind.PRICE, np.array([1, 2]))
