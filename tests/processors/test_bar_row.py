import pytest
from trading_days import FINAL, MINUTE, NOON, REBUILT, REST, Numbers, bar, bars_of, flat, numbers, rising

from processors.bars.bar_row import BarRow, as_final, as_running, corrected, is_same, join
from protocol.bars import BAR


def test_a_row_has_the_fields_of_bar_in_their_order():
    assert BarRow._fields == BAR.names
    row = bar(NOON, rising(100.0), REBUILT, revision=3)
    assert BarRow(*bars_of([row]).tolist()[0]) == row


def test_two_bars_make_a_running_one():
    one = bar(NOON, Numbers(10.0, 12.0, 9.0, 11.0, 1.0, 10.0, 0.5, 3), REST, revision=4)
    other = bar(NOON + MINUTE, Numbers(11.0, 11.5, 8.0, 8.5, 2.0, 20.0, 0.0, 4), REST)
    longer = join(one, other)
    assert numbers(longer) == Numbers(10.0, 12.0, 8.0, 8.5, 3.0, 30.0, 0.5, 7)
    assert (longer.open_ms, longer.version, longer.revision, longer.flags) == (NOON, 0, 0, REST - FINAL)
    assert join(one, other._replace(flags=FINAL)).flags == 0
    assert join(one._replace(flags=REBUILT), other).flags == REBUILT - FINAL


def test_a_silent_bar_says_nothing_beside_one_with_trades():
    silent, traded = bar(NOON, flat(5.0), FINAL), bar(NOON + MINUTE, rising(100.0), FINAL)
    assert numbers(join(silent, traded)) == rising(100.0)
    assert numbers(join(traded, silent)) == rising(100.0)
    assert numbers(join(silent, silent)) == flat(5.0)
    assert join(silent, traded).open_ms == NOON


def test_a_bar_alone_in_a_longer_one_opens_with_that():
    row = bar(NOON + MINUTE, rising(10.0), REST, revision=2)._replace(version=9)
    longer = as_running(row, NOON)
    assert (longer.open_ms, longer.version, longer.revision, longer.flags) == (NOON, 0, 0, REST - FINAL)
    assert numbers(longer) == numbers(row)
    assert as_final(longer, 5) == longer._replace(flags=REST, revision=5)


@pytest.mark.parametrize("field", Numbers._fields)
def test_a_difference_in_any_number_is_one(field: str):
    row = bar(NOON, rising(100.0), FINAL)
    other = row._replace(**{field: getattr(row, field) + 1})
    assert not is_same(row, other)
    assert corrected(row, other) == other._replace(revision=1)


def test_the_last_bits_of_a_sum_are_no_difference():
    row = bar(NOON, rising(100.0, 0.1 + 0.2), FINAL)
    other = row._replace(volume=0.3)
    assert row.volume != 0.3
    assert is_same(row, other)
    assert corrected(row, other) is row
    assert corrected(row, other._replace(flags=REST)) == other._replace(flags=REST)


def test_amounts_may_be_said_to_be_rounded_and_prices_not():
    row = bar(NOON, rising(100.0), FINAL)
    assert is_same(row, row._replace(volume=row.volume + 1e-3), rounding=1e-3)
    assert not is_same(row, row._replace(volume=row.volume + 1.1e-3), rounding=1e-3)
    assert not is_same(row, row._replace(close=row.close + 1e-3), rounding=1e-3)
