"""The place of each trade among all trades of one symbol, as a number that rises for good.

It is the trade's id, until the venue begins to number anew: a lower id than the newest that was made well
after it. From then on ids go on above all that was before. One ordinal is left out there, so that trades
before and after are never taken for contiguous.
"""

from typing import Final

NEW_NUMBERS_US: Final = 5_000_000
"""Ids rise with time. A late trade was made before the newest one, so this is no late trade."""


class Ordinals:
    def __init__(self) -> None:
        self._newest = -1
        self._newest_us = 0
        """The highest ordinal, and when its trade was made."""
        self._shift = 0
        """From an id to its ordinal."""

    @property
    def last_id(self) -> int:
        """The newest id; 0 before the first trade."""
        return max(self._newest - self._shift, 0)

    @property
    def newest_us(self) -> int:
        return self._newest_us

    def place(self, trade_id: int, made_us: int) -> int:
        """Return the ordinal of a trade that was not here before."""
        ordinal = trade_id + self._shift
        if ordinal <= self._newest:
            if made_us <= self._newest_us + NEW_NUMBERS_US:
                return ordinal
            self._shift = self._newest + 2
            ordinal = trade_id + self._shift
        self._newest, self._newest_us = ordinal, made_us
        return ordinal
