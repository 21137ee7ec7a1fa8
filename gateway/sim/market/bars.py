"""Bars and rolling days, summed from the very trades of the market.

A row is eleven integers: open, high, low, close in ticks, volume in lots, turnover, single trades,
the takers' bought part of volume and turnover, first and last single trade. Minutes make hours,
hours make days, days make the rest; each grain is kept, so that a tick of a 24 h ticker costs the
running minute only.
"""

import threading
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np

from gateway.sim.market.noise import I64
from gateway.sim.market.symbols import Instrument
from gateway.sim.market.trades import LISTED_MINUTE, MINUTE_US, Market, Trades

HOUR: Final = 60
DAY: Final = 1440
INTERVALS: Final = {
    "1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "6h": 360,
    "8h": 480, "12h": 720, "1d": DAY, "3d": 3 * DAY, "1w": 7 * DAY, "1M": 0,
}  # fmt: skip
"""Lengths in minutes; a month has none. (`1s` is spot's alone and not served.)"""
_MONDAY: Final = 4 * DAY  # 1970-01-01 was a Thursday: weeks start four days later
KEPT_HOURS: Final = 200
KEPT_DAYS: Final = 5_000
CHUNK_TRADES: Final = 100_000
"""How many trades are made at once: enough to spread numpy's cost, little enough for its memory."""


class Bar(NamedTuple):
    """One bar on the way to the wire. Prices in ticks, amounts in lots and turnover units."""

    open_ms: int
    close_ms: int
    """The last millisecond that belongs to it."""
    open: int
    high: int
    low: int
    close: int
    volume: int
    turnover: int
    singles: int
    bought: int
    bought_turnover: int
    first: int
    last: int
    """First and last single trade, -1 where there is none."""


class History:
    """The bars of one instrument. Asked by the event loop and by REST's threads.

    Of those one makes years of rows, and the others wait for them. The event loop never waits: it looks at
    what is running and at the last 24 h, and rows are pure, so at worst both make the same ones.
    """

    def __init__(self, market: Market, one: Instrument) -> None:
        self._market = market
        self._one = one
        self._making = threading.Lock()
        self._keeping = threading.Lock()
        self._minutes: OrderedDict[int, I64] = OrderedDict()  # hour -> its minutes so far
        self._hours: OrderedDict[int, I64] = OrderedDict()  # day -> its hours so far
        self._days: OrderedDict[int, I64] = OrderedDict()

    def bars(self, interval: str, first_open: int, count: int, now_us: int) -> list[Bar]:
        """Return up to `count` bars, the first opening at minute `first_open`, the running one included."""
        with self._making:
            return self._bars(interval, first_open, count, now_us)

    def running(self, interval: str, now_us: int) -> Bar:
        """Return the bar that is open now."""
        return self._bars(interval, open_of(interval, now_us // MINUTE_US), 1, now_us)[0]

    def closed(self, interval: str, minute: int) -> Bar:
        """Return the bar that ended just before a minute."""
        start = open_of(interval, minute - 1)
        return self._bars(interval, start, 1, next_open(interval, start) * MINUTE_US)[0]

    def day(self, now_us: int) -> Bar:
        """Return the rolling 24 h: the running minute and the 1,439 before it."""
        minute = now_us // MINUTE_US
        return self._bar(minute - DAY + 1, minute + 1, now_us)._replace(close_ms=now_us // 1000)

    def _bars(self, interval: str, first_open: int, count: int, now_us: int) -> list[Bar]:
        edges = [first_open]
        while len(edges) <= count and edges[-1] * MINUTE_US <= now_us:
            edges.append(next_open(interval, edges[-1]))
        self._prepare(interval, first_open, min(edges[-1], now_us // MINUTE_US))
        return [self._bar(start, stop, now_us) for start, stop in pairwise(edges)]

    def _prepare(self, interval: str, start: int, stop: int) -> None:
        """Make the rows of many bars at once: one by one would cost numpy's overhead each time."""
        if 0 < INTERVALS[interval] < HOUR:
            for hour in range(max(start, LISTED_MINUTE) // HOUR, -(-stop // HOUR)):
                self._minutes_of(hour, min(stop, (hour + 1) * HOUR))
        else:
            self._span(start, stop)

    def _bar(self, start: int, stop: int, now_us: int) -> Bar:
        now_minute = now_us // MINUTE_US
        rows = self._span(start, min(stop, now_minute))
        if start <= now_minute < stop:
            rows = [*rows, self._so_far(now_minute, now_us)]
        row = fold(np.concatenate(rows or [_EMPTY]))
        if row[9] < 0 and start > LISTED_MINUTE:  # nothing has traded in it: the last price stands
            row[:4] = self._span(start - 1, start)[-1][-1, 3]
        return Bar(start * 60_000, stop * 60_000 - 1, *row.tolist())

    def _span(self, start: int, stop: int) -> list[I64]:
        """Return rows, of whatever grain is largest, that cover the minutes from start to stop."""
        rows: list[I64] = []
        at = max(start, LISTED_MINUTE)
        while at < stop:
            if at % DAY == 0 and at + DAY <= stop:
                rows.append(self._day(at // DAY))
                at += DAY
            elif at % HOUR == 0 and at + HOUR <= stop:
                until = min(stop // HOUR * HOUR, (at // DAY + 1) * DAY)
                rows.append(
                    self._hours_of(at // DAY, until // HOUR)[at // HOUR % 24 : _end(until // HOUR, 24)]
                )
                at = until
            else:
                until = min(stop, (at // HOUR + 1) * HOUR)
                rows.append(self._minutes_of(at // HOUR, until)[at % HOUR : _end(until, HOUR)])
                at = until
        return rows

    def _day(self, day: int) -> I64:
        row = self._days.get(day)
        if row is None:
            row = fold(self._hours_of(day, (day + 1) * 24))[None, :]
            self._keep(self._days, day, row, KEPT_DAYS)
        return row

    def _hours_of(self, day: int, until: int) -> I64:
        """Return the hours of a day, known at least until an hour (excluded)."""
        known = self._hours.get(day, _EMPTY)
        if day * 24 + len(known) < until:
            minutes = self._make((day * 24 + len(known)) * HOUR, until * HOUR)
            known = np.concatenate([known, fold(minutes.reshape(-1, HOUR, 11))])
            self._keep(self._hours, day, known, KEPT_HOURS)
        return known

    def _minutes_of(self, hour: int, until: int) -> I64:
        """Return the minutes of an hour, known at least until a minute (excluded)."""
        known = self._minutes.get(hour, _EMPTY)
        if hour * HOUR + len(known) < until:
            known = np.concatenate([known, self._make(hour * HOUR + len(known), until)])
            self._keep(self._minutes, hour, known, KEPT_HOURS)
        return known

    def _make(self, start: int, stop: int) -> I64:
        """Make rows of minutes out of their trades."""
        if stop - start == 1:  # the minute that has just ended is at hand
            return sum_groups(self._one, self._market.minute(self._one, start), self._market.trades_in(start))
        rows = []
        while start < stop:
            each = self._market.trades_in(start)
            until = min(stop, start + max(CHUNK_TRADES // each, 1))
            while self._market.trades_in(until - 1) != each:  # at most once: the chunk spans genesis
                until = (start + until) // 2
            rows.append(sum_groups(self._one, self._market.trades(self._one, start, until), each))
            start = until
        return np.concatenate(rows)

    def _so_far(self, minute: int, now_us: int) -> I64:
        trades = self._market.minute(self._one, minute)
        happened = int(np.searchsorted(trades.time_us, now_us, side="right"))
        if not happened:
            return _EMPTY
        return sum_groups(self._one, Trades(*(column[:happened] for column in trades)), happened)

    def _keep(self, cache: OrderedDict[int, I64], key: int, rows: I64, bound: int) -> None:
        """Remember rows. Full: the oldest are forgotten and made again when asked for."""
        with self._keeping:
            cache[key] = rows
            cache.move_to_end(key)
            if len(cache) > bound:
                cache.popitem(last=False)


def sum_groups(one: Instrument, trades: Trades, each: int) -> I64:
    """Sum trades in groups of `each` to rows."""
    price, quantity = trades.price.reshape(-1, each), trades.quantity.reshape(-1, each)
    turnover = worth(one, price, quantity)
    bought = ~trades.sold.reshape(-1, each)
    first, last = trades.first[::each], trades.last[each - 1 :: each]
    columns = (
        price[:, 0], price.max(axis=1), price.min(axis=1), price[:, -1],
        quantity.sum(axis=1), turnover.sum(axis=1), last - first + 1,
        (quantity * bought).sum(axis=1), (turnover * bought).sum(axis=1), first, last,
    )  # fmt: skip
    return np.stack(columns, axis=1)


def worth(one: Instrument, price: Any, quantity: Any) -> Any:
    """Return what quantities are worth: in ticks times lots, on COIN-M in 10^-8 of the base coin."""
    if one.inverse:
        return quantity * (one.contract_size * 10 ** (8 + one.tick_decimals)) // price
    return price * quantity


def fold(rows: I64) -> I64:
    """Make one row of several; of groups of rows, one each."""
    if not rows.shape[-2]:
        return _NOTHING.copy()
    extremes = (rows[..., 0, :1], rows[..., 1:2].max(-2), rows[..., 2:3].min(-2), rows[..., -1, 3:4])
    return np.concatenate(
        [*extremes, rows[..., 4:9].sum(-2), rows[..., 0, 9:10], rows[..., -1, 10:]], axis=-1
    )


def open_of(interval: str, minute: int) -> int:
    """Return the minute at which the bar that holds a minute opens."""
    if interval == "1M":
        day = datetime.fromtimestamp(minute * 60, UTC)
        return int(datetime(day.year, day.month, 1, tzinfo=UTC).timestamp()) // 60
    length, shift = INTERVALS[interval], _MONDAY if interval == "1w" else 0
    return (minute - shift) // length * length + shift


def next_open(interval: str, minute: int) -> int:
    """Return the open of the bar after the one that opens at a minute."""
    if interval == "1M":
        later = datetime.fromtimestamp(minute * 60, UTC) + timedelta(days=31)
        return open_of(interval, int(later.timestamp()) // 60)
    return minute + INTERVALS[interval]


def _end(until: int, size: int) -> int:
    return until % size or size


_EMPTY: Final = np.zeros((0, 11), np.int64)
_NOTHING: Final = np.array([0] * 9 + [-1, -1], np.int64)
