"""Seeded noise without state: the same key and position give the same number, in any order, for ever.

Positions are hashed by the finaliser of splitmix64, whole arrays at a time. A path is a sum of
value noise: octave k has a knot every 4^k minutes, 4^10 minutes is two years, and amplitudes grow
with the square root of the period, as a random walk's do.
"""

import hashlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)
OCTAVES: Final = 11


def key_of(*parts: object) -> int:
    """Make a 64-bit key out of names and numbers."""
    text = "/".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def mix(values: U64) -> U64:
    """Scramble 64-bit numbers, one to one."""
    values = (values ^ (values >> np.uint64(30))) * _FIRST
    values = (values ^ (values >> np.uint64(27))) * _SECOND
    return values ^ (values >> np.uint64(31))


def hashes(key: int, positions: I64) -> U64:
    """Hash positions under a key."""
    return mix(positions.astype(np.uint64) * GOLDEN + np.uint64(key))


def units(values: U64) -> F64:
    """Turn hashes into numbers of [0, 1)."""
    return (values >> np.uint64(11)).astype(np.float64) * 2.0**-53


def unit(key: int, position: int) -> float:
    """Return one number of [0, 1)."""
    return float(units(hashes(key, np.array([position], np.int64)))[0])


def random_walk(key: int, minutes: I64, step: float) -> F64:
    """Return a path over rising minutes that moves about `step` a minute, like a random walk."""
    path = np.zeros(len(minutes))
    for octave in range(OCTAVES):
        shift = 2 * octave
        first, last = int(minutes[0]) >> shift, int(minutes[-1]) >> shift
        knots = units(hashes(key + octave, np.arange(first, last + 2, dtype=np.int64))) * 2.0 - 1.0
        at = (minutes >> shift) - first
        part: Any = (minutes & ((1 << shift) - 1)) / (1 << shift)
        part = part * part * (3.0 - 2.0 * part)
        path += (step * 2**octave) * (knots[at] + (knots[at + 1] - knots[at]) * part)
    return path
