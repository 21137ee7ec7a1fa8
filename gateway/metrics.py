"""Latencies, counted in buckets so that a quantile costs nothing until it is asked for.

Bucket widths grow with the value: 16 buckets for each doubling, so a quantile is right to
about 4 %. Negative latencies (the venue's clock is ahead of ours) count as zero.

Bounds for Prometheus are beginnings of buckets, so what lies below one is counted exactly: a whole number of
microseconds stands for everything up to the next one.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Final

BUCKETS_PER_DOUBLING: Final = 16
_SHIFT: Final = BUCKETS_PER_DOUBLING.bit_length() - 1
_BUCKETS: Final = 40 * BUCKETS_PER_DOUBLING


class Histogram:
    """Microseconds."""

    def __init__(self) -> None:
        self.sum_us = 0
        self.max_us = 0
        self._counts = [0] * _BUCKETS

    def add(self, value_us: int) -> None:
        value_us = max(value_us, 0)
        self._counts[_bucket(value_us)] += 1
        self.sum_us += value_us
        if value_us > self.max_us:
            self.max_us = value_us

    @property
    def count(self) -> int:
        return sum(self._counts)

    def quantile_us(self, share: float) -> float:
        """Return the value below which that share lies; 0 if nothing was counted."""
        wanted = share * self.count
        seen = 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return min(_middle(bucket), float(self.max_us))
        return 0.0

    def summary(self) -> dict[str, float]:
        return {
            "count": self.count,
            "p50_us": self.quantile_us(0.50),
            "p99_us": self.quantile_us(0.99),
            "p999_us": self.quantile_us(0.999),
            "max_us": self.max_us,
        }

    def below(self, bounds_us: Sequence[int]) -> list[int]:
        """Return how many values lie below each bound; `bounds` makes bounds that are exact."""
        seen = [0, *accumulate(self._counts)]
        return [seen[_bucket(bound_us)] for bound_us in bounds_us]

    def clear(self) -> None:
        self.sum_us = self.max_us = 0
        self._counts = [0] * _BUCKETS


def bounds(first_us: int, last_us: int, per_doubling: int = 1) -> tuple[int, ...]:
    """Return bounds from one power of two to another, evenly spaced within each doubling."""
    found = [first_us]
    while found[-1] < last_us:
        low = 1 << (found[-1].bit_length() - 1)
        found.append(found[-1] + low // per_doubling)
    return tuple(found)


def _bucket(value_us: int) -> int:
    """Small values have a bucket each; above, the top five bits choose."""
    if value_us < BUCKETS_PER_DOUBLING:
        return value_us
    exponent = value_us.bit_length() - _SHIFT - 1
    index = exponent * BUCKETS_PER_DOUBLING + (value_us >> exponent)
    return min(index, _BUCKETS - 1)


def _middle(bucket: int) -> float:
    if bucket < 2 * BUCKETS_PER_DOUBLING:
        return float(bucket)
    exponent = bucket // BUCKETS_PER_DOUBLING - 1
    low = (bucket - exponent * BUCKETS_PER_DOUBLING) << exponent
    return low + (1 << exponent) / 2
