from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from processors.bars.spans import Spans

stretches = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=12)


@given(stretches, st.integers(0, 40), st.integers(0, 40))
def test_spans_are_the_set_of_moments_in_them(drawn: list[tuple[int, int]], first: int, last: int):
    spans = Spans()
    moments: set[int] = set()
    for from_ms, to_ms in drawn:
        spans.add(from_ms, to_ms)
        moments.update(range(from_ms, to_ms))
        assert bool(spans) == bool(moments)
        assert spans.covers(first, last) == moments.issuperset(range(first, last))
    taken = spans.take()
    assert {one for span in taken for one in range(*span)} == moments
    assert taken == sorted(taken)
    assert all(one[1] < other[0] for one, other in pairwise(taken))
    assert not spans


def test_what_lies_wholly_before_a_moment_can_be_forgotten():
    spans = Spans()
    spans.add(1, 3)
    spans.add(5, 9)
    spans.drop_before(5)
    assert spans.take() == [(5, 9)]
