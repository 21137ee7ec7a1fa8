"""Unknown tokens of each address, counted in this process: so many, and SQL is not asked for more of them.

Who guesses shows another token each time, which no memory of wrong ones helps against. What is known here or
in the cache is let in even so, also from an address that guesses.
"""

from collections import OrderedDict
from typing import Final

RATE_PER_S: Final = 2.0
BURST: Final = 40.0
"""A few dozen programs with a key that was revoked, behind one address."""
MOST_ADDRESSES: Final = 50_000


class Guesses:
    """A bucket for each address. Full: the one that guessed longest ago goes."""

    def __init__(self) -> None:
        self._spent: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """How many there were, less what has run out since, and as of when."""

    def wait_s(self, place: str, now_ms: int) -> float:
        """Say how long an address has to wait before its next guess is looked at; 0: not at all."""
        return max(0.0, self._level(place, now_ms) + 1 - BURST) / RATE_PER_S

    def count(self, place: str, now_ms: int, guesses: int = 1) -> None:
        """Count a guess that is going to be looked at; -1 takes one back that was none."""
        self._spent[place] = (max(0.0, self._level(place, now_ms) + guesses), now_ms)
        self._spent.move_to_end(place)
        if len(self._spent) > MOST_ADDRESSES:
            self._spent.popitem(last=False)

    def _level(self, place: str, now_ms: int) -> float:
        level, at_ms = self._spent.get(place, (0.0, now_ms))
        return max(0.0, level - (now_ms - at_ms) / 1_000 * RATE_PER_S)
