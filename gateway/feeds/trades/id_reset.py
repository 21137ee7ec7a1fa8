"""Watches for a venue that numbers a symbol's trades from a new start. Pure.

Ids that go backwards would freeze a symbol: all its trades would be duplicates. So there is suspicion
if several in a row are below the last id, rise, and were made well after all that was heard. It is
believed only if the venue's REST says that its newest trade is such a one.
"""

from typing import Final

from protocol.market import AggTrade

LEAD_US: Final = 10_000_000
TRADES: Final = 3
AGAIN_US: Final = 60_000_000
"""How long the venue's word against it holds."""


class ResetWatch:
    """One symbol's."""

    def __init__(self) -> None:
        self._odd_ones = 0
        self._last_odd_id = 0
        self._ask_from_us = 0

    @property
    def ask_at_us(self) -> int | None:
        """When to ask the venue for its newest trade; None: there is no suspicion."""
        return self._ask_from_us if self._odd_ones >= TRADES else None

    @property
    def is_counting(self) -> bool:
        """The last trade was an odd one."""
        return self._odd_ones > 0

    def on_known(self, trade: AggTrade, newest_us: int) -> None:
        """Take in a trade whose id was here before; `newest_us` is when the newest was made."""
        is_odd = trade.traded_us > newest_us + LEAD_US and trade.id > self._last_odd_id
        self._odd_ones = self._odd_ones + 1 if is_odd else 0
        self._last_odd_id = trade.id if is_odd else 0

    def on_new(self) -> None:
        """A trade came with an id that goes on."""
        self._odd_ones = 0

    def is_reset(self, newest: AggTrade, last_id: int, newest_us: int) -> bool:
        """Judge by the venue's newest trade."""
        return newest.id < last_id and newest.traded_us > newest_us

    def on_asked(self, now_us: int) -> None:
        """The venue was asked, whatever came of it."""
        self._odd_ones = self._last_odd_id = 0
        self._ask_from_us = now_us + AGAIN_US

    def postpone(self, until_us: int) -> None:
        """Ask later."""
        self._ask_from_us = until_us
