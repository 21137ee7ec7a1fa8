"""What was heard of the trades of one minute of one symbol, and the bar that they make."""

from math import inf
from typing import Final

from processors.bars.bar_row import BarRow
from protocol.events import Trade, TradeFlag

_TAKER_SOLD: Final = int(TradeFlag.TAKER_SOLD)


class Minute:
    __slots__ = (
        "close",
        "first",
        "heard",
        "high",
        "is_partial",
        "is_whole",
        "last",
        "low",
        "open",
        "open_ms",
        "quote_volume",
        "taker_buy",
        "trades",
        "volume",
    )

    def __init__(self, open_ms: int) -> None:
        self.open_ms = open_ms
        self.open = self.close = 0.0
        self.high, self.low = -inf, inf
        self.volume = self.quote_volume = self.taker_buy = 0.0
        self.trades = 0
        """The venue's single trades; `heard` counts ours, each of which may join several."""
        self.heard = 0
        self.first = 2**63
        self.last = -1
        """Between which ordinals they lie."""
        self.is_partial = False
        """Some are missing for good, or were told as a sum and not heard."""
        self.is_whole = False
        """It has been shown that none is missing."""

    @property
    def is_empty(self) -> bool:
        return self.low == inf

    @property
    def is_dense(self) -> bool:
        """None is missing between the first and the last."""
        return not self.is_partial and self.heard == self.last - self.first + 1

    def add(self, trade: Trade, ordinal: int) -> None:
        """Take in a trade, in any order: the lowest ordinal (ordinals.py) opens, the highest closes."""
        _, flags, count, _, _, price, quantity = trade
        if ordinal < self.first:
            self.first = ordinal
            self.open = price
        if ordinal > self.last:
            self.last = ordinal
            self.close = price
        if price > self.high:
            self.high = price
        if price < self.low:
            self.low = price
        self.volume += quantity
        self.quote_volume += price * quantity
        if not flags & _TAKER_SOLD:
            self.taker_buy += quantity
        self.trades += count
        self.heard += 1

    def begin_with(self, row: BarRow) -> None:
        """Stand on a running bar that somebody has seen from its first trade on. Which of our trades are
        in it cannot be told, so the larger amount of the two counts."""
        self.open, self.first = row.open, -1
        if not self.heard:
            self.close = row.close
        self.high, self.low = max(self.high, row.high), min(self.low, row.low)
        self.volume = max(self.volume, row.volume)
        self.quote_volume = max(self.quote_volume, row.quote_volume)
        self.taker_buy = max(self.taker_buy, row.taker_buy)
        self.trades = max(self.trades, row.trades)
        self.is_partial = True

    def row(self, flags: int = 0) -> BarRow | None:
        """Return the bar; None while there is nothing of it."""
        if self.is_empty:
            return None
        return BarRow(
            self.open_ms,
            0,
            self.open,
            self.high,
            self.low,
            self.close,
            self.volume,
            self.quote_volume,
            self.taker_buy,
            self.trades,
            0,
            flags,
        )
