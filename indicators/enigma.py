"""The Enigma level: where a price stands between the lowest and the highest of all time, from 0 to 100.

    level = 100 * (price - low) / (high - low), never below 0 or above 100

Where low and high are one price, their distance counts as 1. The ladder are the Fibonacci retracements,
measured up from the low: low + ratio * (high - low).
"""

from math import isnan, nan
from typing import Any, Final, TypeAlias

import numpy as np

RATIOS: Final = (0.0, 0.236, 0.382, 0.5, 0.618, 0.786, 1.0)
Values: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def level(price: float, low: float, high: float) -> float:
    """Return where a price stands; NaN if one of the three is not known."""
    if isnan(price) or not low <= high:
        return nan
    share = (price - low) / ((high - low) or 1.0)
    return 100.0 * min(max(share, 0.0), 1.0)


def ladder(low: float, high: float) -> tuple[float, ...]:
    """Return the price at each of RATIOS; its ends are low and high exactly."""
    return tuple(low * (1.0 - ratio) + high * ratio for ratio in RATIOS)


def enigma(prices: Values, low: float = nan, high: float = nan) -> Values:
    """Return the level at each price, where every price moves the extremes known before it.

    NaN until there is a price. A NaN among the prices changes nothing and has no level.
    """
    lows = np.fmin.accumulate(np.fmin(prices, low))
    highs = np.fmax.accumulate(np.fmax(prices, high))
    distances = np.where(highs > lows, highs - lows, 1.0)
    return 100.0 * np.clip((prices - lows) / distances, 0.0, 1.0)


class Enigma:
    """The same, one price at a time."""

    def __init__(self, low: float = nan, high: float = nan) -> None:
        self.low = low
        self.high = high

    def update(self, price: float) -> float:
        """Move the extremes by a price and return its level."""
        if not isnan(price):
            self.low = self.low if self.low <= price else price
            self.high = self.high if self.high >= price else price
        return level(price, self.low, self.high)
