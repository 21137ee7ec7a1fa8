import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_rows import rows_of

from protocol.events import (
    MAX_SYMBOL_ID,
    Kind,
    Price,
    PriceFlag,
    PriceUpdate,
    Quote,
    changes_of,
    with_changes,
)
from protocol.frames import LAYOUTS, decode_v1, decode_v2, encode_v1, encode_v2
from protocol.table import PriceTable

NOW_US = 1_790_000_000_000_000
LONGEST_US = 2**31 - 1
SOME_IDS = (1, 2, 3, 1_023, 1_024, 40_000, MAX_SYMBOL_ID)


def ids_of(*ids):
    return np.array(ids, np.uint16)


def filled(*rows, time_us=NOW_US):
    table = PriceTable(Kind.QUOTE if isinstance(rows[0], Quote) else Kind.PRICE)
    table.update(decode_v2(encode_v2(rows, time_us)))
    return table


def newest(table, symbol_id, time_us=NOW_US, changes=1):
    [row] = decode_v2(table.encode_v2(ids_of(symbol_id), np.array([changes]), time_us)).rows()
    return row


def batches_of(kind):
    """A few batches of one kind, each naming a symbol at most once."""
    row = st.tuples(st.sampled_from(SOME_IDS), rows_of(LAYOUTS[kind]))
    batch = st.lists(row.map(lambda pair: pair[1]._replace(symbol_id=pair[0])), max_size=5)
    return st.lists(batch.map(lambda rows: list({row.symbol_id: row for row in rows}.values())), max_size=4)


@given(st.sampled_from([Kind.PRICE, Kind.QUOTE]), st.data())
def test_a_table_encodes_what_encoding_the_newest_rows_one_by_one_gives(kind, data):
    batches = data.draw(batches_of(kind))
    table, model, counts = PriceTable(kind), {}, {}
    for number, rows in enumerate(batches):
        time_us = NOW_US + number * 1_000_000
        table.update(decode_v2(encode_v2(rows, time_us, kind)))
        for row in rows:
            model[row.symbol_id] = row, time_us - row.delay_us
            counts[row.symbol_id] = counts.get(row.symbol_id, 0) + max(changes_of(row.flags), 1)
    ids, later_us = ids_of(*model), NOW_US + 10_000_000
    expected = [
        row._replace(
            flags=with_changes(row.flags, counts[row.symbol_id]),
            delay_us=max(-LONGEST_US - 1, min(LONGEST_US, later_us - sent_us)),
        )
        for row, sent_us in model.values()
    ]
    changes = table.changes[ids]
    assert changes.tolist() == list(counts.values())
    assert table.encode_v2(ids, changes, later_us) == encode_v2(expected, later_us, kind)
    assert table.pack_v2(ids, changes, later_us) == encode_v2(expected, later_us, kind)[16:]


@given(batches_of(Kind.PRICE))
def test_v1_carries_the_same_values_as_v2(batches):
    table, model = PriceTable(Kind.PRICE), {}
    for rows in batches:
        table.update(decode_v2(encode_v2(rows, NOW_US, Kind.PRICE)))
        model.update((row.symbol_id, PriceUpdate(row.symbol_id, row.price, row.volume)) for row in rows)
    ids = ids_of(*model)
    assert table.encode_v1(ids) == encode_v1(list(model.values()))
    assert table.pack_v1(ids) == encode_v1(list(model.values()))[6:]


def test_news_are_the_records_whose_amounts_differ_from_what_is_known():
    table = filled(Price(1, 0, 0, 10.0, 1.0), Price(2, 0, 0, 20.0, 2.0), Price(3, 0, 0, 30.0, 3.0))
    said = [
        Price(1, 256, 99, 10.0, 1.0),
        Price(2, 256, 0, 20.0, 2.5),
        Price(4, 256, 0, 40.0, 4.0),
        Price(3, 0, 0, 31.0, 3.0),
    ]
    news = table.news(decode_v2(encode_v2(said, NOW_US + 1)))
    assert (news.kind, news.time_us, news.rows()) == (Kind.PRICE, NOW_US + 1, said[1:])
    table.update(news)
    assert table.row(2) == (said[1], NOW_US + 1)
    assert table.news(decode_v2(encode_v2(said, NOW_US + 2))).rows() == []


def test_there_is_a_place_for_every_id():
    rows = [Price(symbol_id, 0, 0, float(symbol_id), 1.0) for symbol_id in range(1, MAX_SYMBOL_ID + 1)]
    table, ids = filled(*rows), np.arange(1, MAX_SYMBOL_ID + 1, dtype=np.uint16)
    assert decode_v1(table.encode_v1(ids))["price"].tolist() == [row.price for row in rows]
    assert table.known(ids).tolist() == ids.tolist()


def test_only_ids_with_a_value_are_known_in_the_order_asked_for():
    table = filled(Price(7, 0, 0, 1.0, 1.0), Price(MAX_SYMBOL_ID, 0, 0, 0.0, 0.0))
    assert table.known(ids_of(MAX_SYMBOL_ID, 8, 7, 0)).tolist() == [MAX_SYMBOL_ID, 7]
    assert table.known(ids_of()).tolist() == []


def test_the_newest_wins_and_the_others_stay():
    table = filled(Price(1, 0, 0, 10.0, 1.0), Price(2, 0, 0, 20.0, 2.0))
    table.update(decode_v2(encode_v2([Price(2, 0, 0, 21.0, 2.5)], NOW_US)))
    assert [newest(table, one).price for one in (1, 2)] == [10.0, 21.0]
    assert table.changes[[1, 2]].tolist() == [1, 2]


def test_amounts_are_rows_of_what_the_records_state():
    table = filled(Price(1, 0, 0, 10.0, 1.0), Price(2, 0, 0, 20.0, 2.0))
    assert table.amounts(np.array([2, 1, 3])).tolist() == [[20.0, 2.0], [10.0, 1.0], [0.0, 0.0]]
    assert table.amounts(np.array([], np.intp)).tolist() == []


def test_an_empty_frame_changes_nothing():
    table = filled(Price(1, 0, 0, 10.0, 1.0))
    table.update(decode_v2(encode_v2([], NOW_US, Kind.PRICE)))
    assert table.row(1) == (Price(1, 0, 0, 10.0, 1.0), NOW_US)
    assert table.changes.sum() == 1


def test_changes_add_up_and_what_is_said_of_them_saturates_at_255():
    table = filled(Price(1, with_changes(0, 200), 0, 10.0, 1.0))
    table.update(decode_v2(encode_v2([Price(1, with_changes(0, 100), 0, 11.0, 1.0)], NOW_US)))
    assert table.changes[1] == 300
    assert [changes_of(newest(table, 1, changes=one).flags) for one in (1, 255, 256, 300, 10**12)] == [
        1,
        255,
        255,
        255,
        255,
    ]


def test_a_record_that_says_no_count_is_one_change():
    assert filled(Price(1, 0, 0, 10.0, 1.0)).changes[1] == 1


def test_the_low_flags_pass_through():
    table = filled(Price(1, with_changes(PriceFlag.RECEIPT_TIME, 9), 0, 10.0, 1.0))
    assert newest(table, 1, changes=2).flags == with_changes(PriceFlag.RECEIPT_TIME, 2)


@pytest.mark.parametrize(
    ("later_us", "delay_us"),
    [(0, 500), (1_000, 1_500), (-1_000, -500), (LONGEST_US - 500, LONGEST_US), (2**40, LONGEST_US)],
)
def test_a_value_ages_and_its_delay_saturates(later_us, delay_us):
    table = filled(Price(1, 0, 500, 10.0, 1.0))
    assert newest(table, 1, NOW_US + later_us).delay_us == delay_us


def test_a_delay_saturates_below_too():
    table = filled(Price(1, 0, -(2**31), 10.0, 1.0))
    assert newest(table, 1, NOW_US - 1).delay_us == -(2**31)


def test_a_row_comes_with_the_venues_time():
    quote = Quote(7, 256, 1_500, 1.0, 2.0, 3.0, 4.0)
    assert filled(quote).row(7) == (quote, NOW_US - 1_500)


@pytest.mark.parametrize("symbol_id", [0, 8, MAX_SYMBOL_ID])
def test_a_symbol_without_a_value_has_no_row(symbol_id):
    assert filled(Price(7, 0, 0, 1.0, 1.0)).row(symbol_id) is None


@pytest.mark.parametrize("time_us", [0, 2**63 - 1])
def test_the_first_and_the_last_time_that_can_be_said_are_taken(time_us):
    table = filled(Price(1, 0, 0, 1.0, 1.0), time_us=time_us)
    assert newest(table, 1, time_us).delay_us == 0
