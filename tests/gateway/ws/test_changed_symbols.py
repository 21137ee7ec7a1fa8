"""What has changed since the last flush."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.ws.changed import ChangedSymbols
from protocol.events import Kind, Price
from protocol.frames import decode_v2, encode_v2
from protocol.table import PriceTable

batches = st.lists(st.dictionaries(st.integers(1, 8), st.integers(0, 255), min_size=1), max_size=5)


@given(st.lists(batches, max_size=4))
def test_what_some_batches_brought_is_each_symbol_once_and_how_often_it_changed(
    turns: list[list[dict[int, int]]],
):
    table = PriceTable(Kind.PRICE)
    symbols, ever = ChangedSymbols(table), dict.fromkeys(range(1, 9), 0)
    for turn in turns:
        before, due = dict(ever), dict[int, int]()
        for batch in turn:
            frame = decode_v2(encode_v2([Price(one, n << 8, 0, 1.0, 1.0) for one, n in batch.items()], 1))
            table.update(frame)
            symbols.note(frame.records)
            for one, changes in batch.items():
                due[one] = due.get(one, 0) + max(changes, 1)
                ever[one] += max(changes, 1)
        assert bool(symbols) == bool(due)
        changed = symbols.take()
        assert not symbols
        assert changed.ids.tolist() == sorted(due)
        assert changed.by_id() == due
        assert changed.before_of({1, 2, 100}) == {one: before[one] for one in due if one in (1, 2)}
        assert np.array_equal(changed.before + changed.counts, table.changes[changed.ids])
