"""Hypothesis strategies for the rows of every kind, derived from the layouts."""

from typing import Any

from hypothesis import strategies as st

from protocol.events import Kind
from protocol.frames import LAYOUTS, MAX_DIGITS, MAX_UNITS, V1, Layout

TIMES_US = st.integers(0, 2**63 - 1)
_FIELDS = {
    "|u1": st.integers(0, MAX_DIGITS),
    "<u2": st.integers(0, 2**16 - 1),
    "<i2": st.integers(-(2**15), 2**15 - 1),
    "|V3": st.integers(-(2**23), 2**23 - 1),
    "<i4": st.integers(-(2**31), 2**31 - 1),
    "<u4": st.integers(0, 2**32 - 1),
    "<u8": st.integers(0, 2**64 - 1),
    "<i8": st.integers(0, MAX_UNITS - 1),
    "<f8": st.floats(min_value=0.0, allow_nan=False, allow_infinity=False),
}


def rows_of(layout: Layout) -> st.SearchStrategy[Any]:
    """Any row that the layout can hold."""
    formats = [layout.dtype[name].str for name in layout.row._fields]
    return st.tuples(*[_FIELDS[one] for one in formats]).map(layout.row._make)


def v1_rows(max_size: int = 20) -> st.SearchStrategy[list[Any]]:
    return st.lists(rows_of(V1), max_size=max_size)


def v2_rows(kind: Kind, max_size: int = 20) -> st.SearchStrategy[list[Any]]:
    return st.lists(rows_of(LAYOUTS[kind]), max_size=max_size)


def kinds_and_rows(max_size: int = 20) -> st.SearchStrategy[tuple[Kind, list[Any]]]:
    return st.sampled_from(Kind).flatmap(lambda kind: st.tuples(st.just(kind), v2_rows(kind, max_size)))
