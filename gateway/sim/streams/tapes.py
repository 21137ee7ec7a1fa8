"""The sources of streams: what plays the market out along the clock.

A source knows when it is next due and says then what is to be said. Tapes play an instrument's
trades and quotes one by one; `rhythms.py` has the sources that look at the market now and then.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from gateway.sim.faults import Faults
from gateway.sim.market.bars import History
from gateway.sim.market.symbols import Instrument
from gateway.sim.market.trades import MINUTE_US, Market
from gateway.sim.streams import messages
from gateway.sim.streams.listeners import Delivery, Stream
from gateway.sim.streams.messages import QuoteRow, TradeRow

SLICE_ROWS: Final = 64
"""How many rows become Python values at once: few, so that no minute's beginning stalls the loop."""
BURST: Final = 2_000
"""How many rows are said in one go, after a halt or a pause of the process."""
HALT_POLL_US: Final = 20_000


class Stage(NamedTuple):
    """What every source works with."""

    market: Market
    history: Callable[[Instrument], History]
    faults: Faults
    delivery: Delivery


class Source(Protocol):
    """Something that says messages when it is due."""

    streams: dict[str, Stream]
    """By name: those that it feeds and somebody listens to."""
    due_us: int

    def start(self, now_us: int) -> None:
        """Begin with what happens after now. May be slow; runs beside the event loop."""

    def run(self, now_us: int) -> None:
        """Say what is due and find out when the next is."""


class Tape:
    """Plays one instrument's rows, in order, at their times."""

    def __init__(self, stage: Stage, one: Instrument) -> None:
        self.streams: dict[str, Stream] = {}
        self.due_us = 0
        self._stage = stage
        self._one = one
        self._lower = one.symbol.lower()
        self._rows: Iterator[list[Any]] = iter(())
        self._slice: list[Any] = []
        self._at = 0

    def start(self, now_us: int) -> None:
        self._rows = self._play(self._stage.faults.visible_us(self._one, now_us))
        self._slice, self._at = next(self._rows), 0
        self.due_us = self._slice[0].time_us
        self.columns(now_us // MINUTE_US + 1)  # made ahead; `Broadcast.make_minutes` sees to the later ones

    def run(self, now_us: int) -> None:
        visible_us = self._stage.faults.visible_us(self._one, now_us)
        for _ in range(BURST):
            row = self._slice[self._at]
            if row.time_us > visible_us:
                self.due_us = row.time_us if row.time_us > now_us else now_us + HALT_POLL_US
                return
            self.say(row, now_us)
            self._at += 1
            if self._at == len(self._slice):
                self._slice, self._at = next(self._rows), 0
        self.due_us = now_us + 1  # go on with the next wake-up

    def say(self, row: Any, now_us: int) -> None:
        raise NotImplementedError

    def columns(self, minute: int) -> Any:
        raise NotImplementedError

    def make(self, row: tuple[Any, ...]) -> Any:
        raise NotImplementedError

    def _play(self, after_us: int) -> Iterator[list[Any]]:
        """Yield slices of rows, for ever, from the first after a moment on."""
        minute = after_us // MINUTE_US
        while True:
            columns = self.columns(minute)
            first = int(np.searchsorted(columns.time_us, after_us, side="right"))
            for at in range(first, len(columns.time_us), SLICE_ROWS):
                rows = zip(*(column[at : at + SLICE_ROWS].tolist() for column in columns), strict=True)
                yield [self.make(row) for row in rows]
            minute += 1


class TradeTape(Tape):
    """aggTrade and trade."""

    def say(self, row: TradeRow, now_us: int) -> None:
        delivery = self._stage.delivery
        if stream := self.streams.get(f"{self._lower}@aggTrade"):
            delivery.say(stream, partial(messages.agg_trade, self._one, row, now_us), now_us)
        if stream := self.streams.get(f"{self._lower}@trade"):
            for single in messages.split(row.first, row.last, row.quantity):
                delivery.say(stream, partial(messages.single_trade, self._one, row, single, now_us), now_us)

    def columns(self, minute: int) -> Any:
        return self._stage.market.minute(self._one, minute)

    def make(self, row: tuple[Any, ...]) -> TradeRow:
        return TradeRow._make(row)


class QuoteTape(Tape):
    """bookTicker."""

    def say(self, row: QuoteRow, now_us: int) -> None:
        stream = self.streams[f"{self._lower}@bookTicker"]
        self._stage.delivery.say(stream, partial(messages.book_ticker, self._one, row, now_us), now_us)

    def columns(self, minute: int) -> Any:
        return self._stage.market.quotes(self._one, minute)

    def make(self, row: tuple[Any, ...]) -> QuoteRow:
        return QuoteRow._make(row)
