"""Candle intervals: a name for people, its length in minutes for the wire.

A month has no fixed length; on the wire it is 43,200 (30 days), which is nobody else's number.
"""

from typing import Final

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
_NAMES: Final = {minutes: name for name, minutes in MINUTES.items()}


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
