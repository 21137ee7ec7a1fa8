"""Candle intervals: a name for people, its length in minutes for the wire.

A month has no fixed length; on the wire it is 43,200 (30 days), which is nobody else's number.

When a bar opens, in UTC: a month on the 1st, a week on Monday, all others at whole multiples of their
length since 1970, so 3d too. Any whole number of ms has its bar, also before 1970.
"""

from typing import Any, Final, TypeAlias

import numpy as np

from protocol.errors import UnknownInterval

MINUTES: Final[dict[str, int]] = {
    "1m": 1,
    "3m": 3,
    "5m": 5,
    "15m": 15,
    "30m": 30,
    "1h": 60,
    "2h": 120,
    "4h": 240,
    "6h": 360,
    "8h": 480,
    "12h": 720,
    "1d": 1_440,
    "3d": 4_320,
    "1w": 10_080,
    "1M": 43_200,
}
WEEK: Final = MINUTES["1w"]
MONTH: Final = MINUTES["1M"]
_FIRST_MONDAY_MS: Final = 4 * 86_400_000
"""1970 began on a Thursday."""
_NAMES: Final = {minutes: name for name, minutes in MINUTES.items()}

Times: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


def parse_interval(name: str) -> int:
    """Return the wire's number for an interval name. Raises UnknownInterval."""
    try:
        return MINUTES[name]
    except KeyError:
        raise UnknownInterval(name) from None


def format_interval(minutes: int) -> str:
    """Return the name of an interval. Raises UnknownInterval."""
    try:
        return _NAMES[minutes]
    except KeyError:
        raise UnknownInterval(minutes) from None


def open_of(ms: int, interval: int) -> int:
    """Return when the bar opens that holds a moment."""
    if interval == MONTH:
        return _month_ms(_month_of(ms))
    return ms - (ms - _origin_ms(interval)) % (interval * 60_000)


def next_open(ms: int, interval: int) -> int:
    """Return when the bar after the one that holds a moment opens."""
    if interval == MONTH:
        return _month_ms(_month_of(ms) + 1)
    return open_of(ms, interval) + interval * 60_000


def opens_of(times_ms: Times, interval: int) -> Times:
    """Return when the bars open that hold these moments."""
    if interval == MONTH:
        months = times_ms.astype("datetime64[ms]").astype("datetime64[M]")
        return months.astype("datetime64[ms]").astype(np.int64)
    return times_ms - (times_ms - _origin_ms(interval)) % (interval * 60_000)


def _origin_ms(interval: int) -> int:
    """Return some moment at which a bar of this length opens."""
    return _FIRST_MONDAY_MS if interval == WEEK else 0


def _month_of(ms: int) -> int:
    """Count the months since 1970."""
    return int(np.datetime64(ms, "ms").astype("datetime64[M]").astype(np.int64))


def _month_ms(month: int) -> int:
    return int(np.datetime64(month, "M").astype("datetime64[ms]").astype(np.int64))
