"""Trades that a venue's REST answered with a moment ago: somebody else may want them next. Pure."""

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from protocol.events import Trade

KEPT_US: Final = 10_000_000
"""Who was too impatient for an answer asks again long before that."""
KEPT_TRADES: Final = 20_000


class _Answer(NamedTuple):
    native: str
    trades: Sequence[Trade]
    come_us: int


class FetchedTrades:
    """One venue's. Full, at `KEPT_TRADES`: the oldest answers go, and are fetched again if wanted."""

    def __init__(self) -> None:
        self._answers: deque[_Answer] = deque()
        self._count = 0

    def keep(self, native: str, trades: Sequence[Trade], now_us: int) -> None:
        """Take in an answer."""
        self._answers.append(_Answer(native, trades, now_us))
        self._count += len(trades)
        self._forget(now_us)

    def of(self, native: str, now_us: int) -> dict[int, Trade]:
        """Return what there is of a symbol, by id."""
        self._forget(now_us)
        return {
            trade.id: trade for answer in self._answers if answer.native == native for trade in answer.trades
        }

    def _forget(self, now_us: int) -> None:
        while self._answers and (self._count > KEPT_TRADES or self._answers[0].come_us + KEPT_US < now_us):
            self._count -= len(self._answers.popleft().trades)
