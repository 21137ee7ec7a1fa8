import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.compact import MAX_PRICE_STEP, MAX_VOLUME_STEP, POWERS, Bases, base_of, pack
from protocol.errors import BadValue, UnknownBase
from protocol.events import MAX_SYMBOL_ID, Base, Compact, Kind
from protocol.frames import LAYOUTS, MAX_DIGITS, MAX_UNITS, decode_v2, encode_v2

DIGITS = st.integers(0, MAX_DIGITS)
UNITS = st.integers(0, MAX_UNITS - 1)
FEWER_UNITS = st.integers(0, 2**50)
"""A writer counts by multiplying: near 2^53 it may be off by one, and then says that it does not fit."""
PRICE_STEPS = st.integers(-MAX_PRICE_STEP - 1, MAX_PRICE_STEP)
VOLUME_STEPS = st.integers(-MAX_VOLUME_STEP - 1, MAX_VOLUME_STEP)
AMOUNTS = st.floats(0.0, allow_nan=False, allow_infinity=False)


def bases_of(*rows):
    bases = Bases()
    bases.update(decode_v2(encode_v2(rows, 0, Kind.BASE)).records)
    return bases


def read(bases, *rows):
    return bases.prices(decode_v2(encode_v2(rows, 0, Kind.COMPACT)).records).tolist()


def write(bases, symbol_id, price, volume):
    """Return the one record, and whether it fits."""
    records, fits = bases.compact(np.array([symbol_id]), np.array([[price, volume]]))
    return records, bool(fits[0])


def decimal_number(units, digits):
    return float(Decimal(units).scaleb(-digits))


# The reader's end


@given(DIGITS, UNITS, PRICE_STEPS, DIGITS, UNITS, VOLUME_STEPS)
def test_a_reader_gets_the_float_that_is_nearest_to_the_decimal_number(
    price_digits, price, price_step, volume_digits, volume, volume_step
):
    price_step = max(-price, min(price_step, MAX_UNITS - 1 - price))
    volume_step = max(-volume, min(volume_step, MAX_UNITS - 1 - volume))
    bases = bases_of(Base(7, price_digits, volume_digits, 0, price, volume))
    expected = (
        decimal_number(price + price_step, price_digits),
        decimal_number(volume + volume_step, volume_digits),
    )
    assert read(bases, Compact(7, price_step, volume_step)) == [(7, *expected)]


def test_every_power_of_ten_is_exact():
    assert [int(power) for power in POWERS] == [10**digits for digits in range(MAX_DIGITS + 1)]


def test_a_symbol_without_a_base_is_named():
    bases = bases_of(Base(7, 2, 5, 0, 1, 1))
    with pytest.raises(UnknownBase, match="symbol id 9") as caught:
        read(bases, Compact(7, 0, 0), Compact(9, 0, 0))
    assert caught.value.symbol_id == 9


@pytest.mark.parametrize("steps", [(-2, 0), (0, -2)])
def test_what_comes_to_less_than_nothing_is_refused(steps):
    with pytest.raises(BadValue, match="cannot be -1"):
        read(bases_of(Base(7, 0, 0, 0, 1, 1)), Compact(7, 0, 0), Compact(7, *steps))


def test_there_is_a_place_for_every_id():
    ids = range(MAX_SYMBOL_ID + 1)
    bases = bases_of(*[Base(one, 0, 0, 0, one, 1) for one in ids[1:]])
    assert read(bases, *[Compact(one, 1, 0) for one in ids[1:]]) == [(one, one + 1.0, 1.0) for one in ids[1:]]
    assert bases.known(np.array(ids)).tolist() == [False] + [True] * MAX_SYMBOL_ID


def test_nothing_makes_no_prices():
    assert read(Bases()) == []


# The writer's end


@given(DIGITS, FEWER_UNITS, PRICE_STEPS, DIGITS, FEWER_UNITS, VOLUME_STEPS)
def test_all_that_is_in_reach_fits_and_is_read_as_it_was(
    price_digits, price, price_step, volume_digits, volume, volume_step
):
    amounts = (
        decimal_number(max(0, price + price_step), price_digits),
        decimal_number(max(0, volume + volume_step), volume_digits),
    )
    bases = bases_of(Base(7, price_digits, volume_digits, 0, price, volume))
    records, fits = write(bases, 7, *amounts)
    assert fits
    assert bases.prices(records).tolist() == [(7, *amounts)]


@given(DIGITS, UNITS, AMOUNTS, DIGITS, UNITS, AMOUNTS)
def test_what_is_said_to_fit_is_read_as_it_was(
    price_digits, price_units, price, volume_digits, volume_units, volume
):
    bases = bases_of(Base(7, price_digits, volume_digits, 0, price_units, volume_units))
    records, fits = write(bases, 7, price, volume)
    assert not fits or bases.prices(records).tolist() == [(7, price, volume)]


@pytest.mark.parametrize(
    ("price", "volume"),
    [
        (642.51, 1000.005),  # half a unit
        (642.505, 1000.0),
        (642.50 + 327.68, 1000.0),  # one further than it reaches
        (642.50 - 327.69, 1000.0),
        (642.50, 1000.0 + 83886.08),
        (math.nextafter(642.5, 643.0), 1000.0),
        (1.7e308, 1.7e308),
    ],
)
def test_what_cannot_be_said_exactly_does_not_fit(price, volume):
    bases = bases_of(Base(7, 2, 2, 0, 64_250, 100_000))
    assert write(bases, 7, 642.50, 1000.0)[1]
    records, fits = write(bases, 7, price, volume)
    assert not fits
    assert bases.prices(records).tolist() == [(7, 642.5, 1000.0)]


def test_without_a_base_nothing_fits():
    assert not write(Bases(), 7, 0.0, 0.0)[1]


@given(st.lists(st.tuples(st.integers(0, 65_535), PRICE_STEPS, VOLUME_STEPS), max_size=20))
def test_records_made_of_arrays_are_those_made_of_rows(rows):
    ids, prices, volumes = zip(*rows, strict=True) if rows else ((), (), ())
    packed = pack(np.array(ids, np.intp), np.array(prices, np.int64), np.array(volumes, np.int64))
    assert packed.tobytes() == b"".join(LAYOUTS[Kind.COMPACT].struct.pack(*row) for row in rows)


@given(DIGITS, FEWER_UNITS, DIGITS, FEWER_UNITS)
def test_a_base_is_made_of_what_is_a_number_of_units(price_digits, price, volume_digits, volume):
    made = base_of(
        7,
        decimal_number(price, price_digits),
        price_digits,
        decimal_number(volume, volume_digits),
        volume_digits,
    )
    assert made is not None
    assert made.price / 10**price_digits == decimal_number(price, price_digits)
    assert read(bases_of(made), Compact(7, 0, 0)) == [
        (7, decimal_number(price, price_digits), decimal_number(volume, volume_digits))
    ]


@pytest.mark.parametrize(
    "what",
    [
        (1.005, 2, 1.0, 0),
        (1.0, 2, 0.5, 0),
        (2.0**53, 0, 1.0, 0),
        (1.0, 2, 1e300, 8),
        (1.0, 19, 1.0, 0),
        (1.0, 2, 1.0, -1),
    ],
)
def test_no_base_is_made_of_anything_else(what):
    assert base_of(7, *what) is None
