"""Spans against sets of single moments."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gateway.store.history import Span
from gateway.store.spans import add, clip, remove

moments = st.integers(-20, 20)
changes = st.lists(st.tuples(st.booleans(), st.builds(Span, moments, moments)), max_size=30)


def held(spans):
    return {moment for from_ms, to_ms in spans for moment in range(from_ms, to_ms)}


@given(changes)
def test_spans_hold_what_a_set_would(wanted):
    spans, expected = [], set()
    for adds, span in wanted:
        before = list(spans)
        changed = (add if adds else remove)(spans, span)
        assert spans == before, "nothing is changed in place"
        spans, moments_of_span = changed, held([span])
        expected = expected | moments_of_span if adds else expected - moments_of_span
        assert held(spans) == expected
        assert all(from_ms < to_ms for from_ms, to_ms in spans)
        assert all(one.to_ms < next_one.from_ms for one, next_one in itertools.pairwise(spans))


@given(changes, st.builds(Span, moments, moments))
def test_a_clip_is_what_lies_in_the_window(wanted, window):
    spans = []
    for _, span in wanted:
        spans = add(spans, span)
    assert held(clip(spans, window)) == held(spans) & held([window])
