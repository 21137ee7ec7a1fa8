"""Compact prices: 7 bytes say how far price and volume are from a BASE that the reader has.

The rules of this file:
- A BASE states a price and a volume as whole numbers of units of 10^-digits. The next one of the same symbol
  replaces it.
- A COMPACT record states the differences from it, in the same units. The sum, below 2^53, is divided by
  10^digits: two integers that floats hold exactly and one rounding, so that the result is the float that is
  nearest to the decimal number, the very one that a PRICE record states.
- A record that counts from no BASE, or to a negative amount, is refused.

Both ends keep a `Bases`: the reader as it was told, the writer as it told.
"""

from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from protocol.errors import BadValue, UnknownBase
from protocol.events import MAX_SYMBOL_ID, Base, Kind
from protocol.frames import LAYOUTS, MAX_DIGITS, MAX_UNITS, V1, Records

MAX_PRICE_STEP: Final = 2**15 - 1
MAX_VOLUME_STEP: Final = 2**23 - 1
"""How far a record is from its BASE at most, upwards; downwards it is one more."""
_REACH: Final = np.array([MAX_PRICE_STEP, MAX_VOLUME_STEP], np.float64)
_PLACES: Final = MAX_SYMBOL_ID + 1
_BASE: Final = LAYOUTS[Kind.BASE].dtype
_COMPACT: Final = LAYOUTS[Kind.COMPACT].dtype
_OVERLAPPED: Final = np.dtype(
    {
        "names": ["symbol_id", "price", "volume"],
        "formats": ["<u2", "<i2", "<i4"],
        "offsets": [0, 2, 3],  # the upper three bytes of an i4 are the i24; the lowest is the price's upper
        "itemsize": _COMPACT.itemsize,
    }
)
POWERS: Final = np.array([float(10**digits) for digits in range(MAX_DIGITS + 1)])
"""Each of them is exact."""

Amounts: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
"""Two columns: price and volume."""
Index: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]
Mask: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]


class Compacted(NamedTuple):
    """What a writer makes of some prices."""

    records: Records
    """COMPACT, one a price. Where they do not fit, they are those of the BASE itself."""
    fits: Mask
    """Which of them say exactly what was to be said."""


class Bases:
    """What compact prices count from, by symbol id.

    There is a place for every id there can be; pages that no id has touched cost no memory.
    """

    def __init__(self) -> None:
        self._records: Records = np.zeros(_PLACES, _BASE)
        self._whole = self._records.view(f"V{_BASE.itemsize}")  # moves faster than its fields
        self._units: Amounts = np.zeros((_PLACES, 2))
        self._scales: Amounts = np.zeros((_PLACES, 2))
        """How many units are 1; 0 before the first BASE."""

    def update(self, bases: Records) -> None:
        """Take in BASE records, as `decode_v2` has checked them."""
        ids = bases["symbol_id"].astype(np.intp)
        self._records[ids] = bases
        for column, field in enumerate(("price", "volume")):
            self._units[ids, column] = bases[field]
            self._scales[ids, column] = POWERS[bases[f"{field}_digits"]]

    def known(self, ids: Index) -> Mask:
        """Say of which symbols there is one."""
        known: Mask = self._scales[ids, 0] > 0.0
        return known

    def records(self, ids: Index) -> Records:
        """Return the BASE records of some symbols."""
        return self._whole.take(ids).view(_BASE)

    # The reader's end

    def prices(self, records: Records) -> Records:
        """Turn COMPACT records into those of v1. Raises UnknownBase or BadValue, never anything else."""
        fields = records.view(_OVERLAPPED)
        ids = fields["symbol_id"].astype(np.intp)
        scales = self._scales.take(ids, 0)
        if not scales.all():
            raise UnknownBase(int(ids[scales[:, 0] == 0.0][0]))
        units = self._units.take(ids, 0)
        units[:, 0] += fields["price"]
        units[:, 1] += fields["volume"] >> 8
        _check(units)
        units /= scales
        prices = np.empty(len(ids), V1.dtype)
        prices["symbol_id"], prices["price"], prices["volume"] = ids, units[:, 0], units[:, 1]
        return prices

    # The writer's end

    def compact(self, ids: Index, amounts: Amounts) -> Compacted:
        """Say amounts as differences from their bases, as far as that says them exactly."""
        bases, scales = self._units.take(ids, 0), self._scales.take(ids, 0)
        units = np.rint(np.minimum(amounts, MAX_UNITS) * scales)
        steps = np.minimum(np.maximum(units - bases, -_REACH - 1.0), _REACH)
        scales[scales == 0.0] = np.nan  # without a BASE nothing is equal
        # The reader divides so: what comes out is the amount, or the record does not fit.
        fits = (((bases + steps) / scales == amounts) & (units < MAX_UNITS)).all(axis=1)
        steps *= fits[:, np.newaxis]
        return Compacted(pack(ids, steps[:, 0], steps[:, 1]), fits)


def _check(units: Amounts) -> None:
    if not units.size or (units.min() >= 0.0 and units.max() < MAX_UNITS):
        return
    bad = (units < 0.0) | (units >= MAX_UNITS)
    raise BadValue("sum with the BASE", int(units[bad][0]))


def pack(ids: Index, price: Any, volume: Any) -> Records:
    """Make COMPACT records of ids and differences; these are trusted to fit."""
    records = np.empty(len(ids), _OVERLAPPED)
    records["symbol_id"] = ids
    records["volume"] = np.asarray(volume).astype(np.int32) << 8
    records["price"] = price  # only now, over the lowest byte of the volume
    return records.view(_COMPACT)


def base_of(
    symbol_id: int, price: float, price_digits: int, volume: float, volume_digits: int
) -> Base | None:
    """Make a BASE of a price and a volume, or None if they are not exactly so many units."""
    price_units, volume_units = _units_of(price, price_digits), _units_of(volume, volume_digits)
    if price_units is None or volume_units is None:
        return None
    return Base(symbol_id, price_digits, volume_digits, 0, price_units, volume_units)


def _units_of(amount: float, digits: int) -> int | None:
    if not 0 <= digits <= MAX_DIGITS:
        return None
    units = round(min(amount, MAX_UNITS) * 10.0**digits)
    return units if units < MAX_UNITS and units / 10**digits == amount else None
