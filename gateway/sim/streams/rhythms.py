"""Sources that look at the market at Binance's rhythms: tickers, running bars, the book."""

from functools import partial
from typing import Final

from gateway.sim.market.bars import Bar, next_open, open_of
from gateway.sim.market.book import book_at, changes
from gateway.sim.market.noise import key_of
from gateway.sim.market.symbols import Board, Instrument
from gateway.sim.market.trades import MINUTE_US
from gateway.sim.streams import messages
from gateway.sim.streams.listeners import Stream
from gateway.sim.streams.tapes import Stage

KLINE_GRACE_US: Final = 20_000
"""A bar is said to be final this long after its end."""
MINI_TICKER_US: Final = {Board.SPOT: 1_000_000, Board.USDM: 500_000, Board.COINM: 500_000}
KLINE_US: Final = {Board.SPOT: 2_000_000, Board.USDM: 250_000, Board.COINM: 250_000}
DEPTH_US: Final = {Board.SPOT: 1_000_000, Board.USDM: 250_000, Board.COINM: 250_000}


class Timed:
    """Says something every period, at the symbol's own moment in it so that the load is even."""

    def __init__(self, stage: Stage, period_us: int, *name: object) -> None:
        self.streams: dict[str, Stream] = {}
        self.due_us = 0
        self._stage = stage
        self._period_us = period_us
        self._phase_us = key_of(*name) % period_us

    def start(self, now_us: int) -> None:
        self.due_us = self.next_tick(now_us)

    def run(self, now_us: int) -> None:
        for stream in self.streams.values():
            self.say(stream, now_us)
        self.due_us = self.next_tick(now_us)

    def say(self, stream: Stream, now_us: int) -> None:
        raise NotImplementedError

    def visible_us(self, one: Instrument, now_us: int) -> int:
        """Say up to when an instrument's trades are published."""
        return self._stage.faults.visible_us(one, now_us)

    def next_tick(self, now_us: int) -> int:
        return ((now_us - self._phase_us) // self._period_us + 1) * self._period_us + self._phase_us


class MiniTicker(Timed):
    """<symbol>@miniTicker."""

    def __init__(self, stage: Stage, one: Instrument) -> None:
        super().__init__(stage, MINI_TICKER_US[one.board], one.symbol)
        self._one = one
        self._history = stage.history(one)

    def start(self, now_us: int) -> None:
        self._history.day(now_us)  # so that the next one costs only its last minute
        super().start(now_us)

    def say(self, stream: Stream, now_us: int) -> None:
        day = self._history.day(self.visible_us(self._one, now_us))
        write = partial(messages.mini_ticker, self._one, day, now_us)
        self._stage.delivery.say(stream, write, now_us)


class MiniTickers(Timed):
    """!miniTicker@arr: on the futures hosts those of USD-M and COIN-M together."""

    def __init__(self, stage: Stage, board: Board) -> None:
        super().__init__(stage, 1_000_000, board.value)
        boards = (Board.SPOT,) if board is Board.SPOT else (Board.USDM, Board.COINM)
        self._ones = [one for one in stage.market.instruments if one.board in boards]

    def start(self, now_us: int) -> None:
        for one in self._ones:
            self._stage.history(one).day(now_us)
        super().start(now_us)

    def say(self, stream: Stream, now_us: int) -> None:
        days = [(one, self._stage.history(one).day(self.visible_us(one, now_us))) for one in self._ones]

        def write(unit_us: int) -> str:
            return f"[{','.join(messages.mini_ticker(one, day, now_us, unit_us) for one, day in days)}]"

        self._stage.delivery.say(stream, write, now_us)


class Kline(Timed):
    """<symbol>@kline_<interval>: the running bar, and each bar once more when it is final."""

    def __init__(self, stage: Stage, one: Instrument, interval: str) -> None:
        super().__init__(stage, KLINE_US[one.board], one.symbol, interval)
        self._one = one
        self._interval = interval
        self._history = stage.history(one)
        self._open = 0

    def start(self, now_us: int) -> None:
        visible_us = self.visible_us(self._one, now_us)
        self._open = open_of(self._interval, visible_us // MINUTE_US)
        self._history.running(self._interval, visible_us)
        super().start(now_us)

    def say(self, stream: Stream, now_us: int) -> None:
        visible_us = self.visible_us(self._one, now_us)
        current = open_of(self._interval, visible_us // MINUTE_US)
        while self._open < current:
            self._open = next_open(self._interval, self._open)
            self._say_bar(stream, self._history.closed(self._interval, self._open), True, now_us)
        self._say_bar(stream, self._history.running(self._interval, visible_us), False, now_us)

    def _say_bar(self, stream: Stream, bar: Bar, final: bool, now_us: int) -> None:
        write = partial(messages.kline, self._one, self._interval, bar, final, now_us)
        self._stage.delivery.say(stream, write, now_us)

    def next_tick(self, now_us: int) -> int:
        end_us = next_open(self._interval, open_of(self._interval, now_us // MINUTE_US)) * MINUTE_US
        tick_us = super().next_tick(now_us)
        return tick_us if tick_us < end_us else max(end_us + KLINE_GRACE_US, now_us + 1)


class PartialDepth(Timed):
    """<symbol>@depth<levels>: the best levels of both sides."""

    def __init__(self, stage: Stage, one: Instrument, levels: int, period_us: int) -> None:
        super().__init__(stage, period_us, one.symbol, levels)
        self._one = one
        self._levels = levels
        self._previous = 0

    def say(self, stream: Stream, now_us: int) -> None:
        visible_us = self.visible_us(self._one, now_us)
        book = book_at(self._stage.market, self._one, visible_us, self._levels)
        write = partial(messages.partial_depth, self._one, book, self._previous, now_us)
        self._previous = book.update_id
        self._stage.delivery.say(stream, write, now_us)


class DiffDepth(Timed):
    """<symbol>@depth: what changed in the book since the last message; nothing if nothing did."""

    def __init__(self, stage: Stage, one: Instrument, period_us: int) -> None:
        super().__init__(stage, period_us, one.symbol, "depth")
        self._one = one
        self._seen_us = 0
        self._previous = 0

    def start(self, now_us: int) -> None:
        self._seen_us = self.visible_us(self._one, now_us)
        self._previous = int(self._stage.market.top(self._one, self._seen_us).update_id[0])
        super().start(now_us)

    def say(self, stream: Stream, now_us: int) -> None:
        visible_us = self.visible_us(self._one, now_us)
        book = changes(self._stage.market, self._one, self._seen_us, visible_us)
        if book is not None:
            write = partial(messages.diff_depth, self._one, book, self._previous, now_us)
            self._stage.delivery.say(stream, write, now_us)
            self._previous, self._seen_us = book.update_id, visible_us
