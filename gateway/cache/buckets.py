"""Token buckets, each kept as one number: when it will be full again. Pure.

A full bucket holds `burst`; it fills at a rate. What was taken out of it is put off into the future: taking
`cost` moves the moment of being full again by cost / rate, and that moment is never more than burst / rate
away.
"""

from typing import Final

ROUNDING_S: Final = 1e-6
"""A shorter wait is none: it comes from the last digits of the clock."""


def spend(full_s: float, now_s: float, cost: float, rate_per_s: float, burst: float) -> tuple[float, float]:
    """Take out of a bucket that is full again at `full_s`.

    Return when it will be full after that, and how long to wait, 0.0 if it was taken.
    """
    longest_s = burst / rate_per_s
    full_s = min(max(full_s, now_s), now_s + longest_s)
    after_s = full_s + min(cost, burst) / rate_per_s
    wait_s = after_s - longest_s - now_s
    return (full_s, wait_s) if wait_s > ROUNDING_S else (after_s, 0.0)
