"""The order book below and above its top, as a pure function of price.

A level exists where the hash of its price says so, with the size that the hash gives; only the two
best prices carry sizes that change. So the book of any moment follows from the top of that moment,
and the difference between two moments from the tops in between.
"""

from typing import Final, NamedTuple

import numpy as np

from gateway.sim.market.noise import I64, hashes, key_of
from gateway.sim.market.symbols import Instrument
from gateway.sim.market.trades import MINUTE_US, Market, Quotes

DENSITY: Final = 200_000
"""A price of so many ticks has a level at every tick; one of ten times more, at every tenth."""

Level = tuple[int, int]
"""Price in ticks, quantity in lots; 0 lots: the level is gone."""


class Book(NamedTuple):
    update_id: int
    time_us: int
    bids: list[Level]
    """The best first."""
    asks: list[Level]


def book_at(market: Market, one: Instrument, now_us: int, count: int) -> Book:
    """Return the best `count` levels of each side."""
    top = market.top(one, now_us)
    bid, ask = int(top.bid[0]), int(top.bid[0]) + 1
    return Book(
        int(top.update_id[0]),
        int(top.time_us[0]),
        [(bid, int(top.bid_size[0])), *_levels(one, bid - 1, -1, count - 1)],
        [(ask, int(top.ask_size[0])), *_levels(one, ask + 1, 1, count - 1)],
    )


def changes(market: Market, one: Instrument, since_us: int, now_us: int) -> Book | None:
    """Return what changed in the book after one moment and until another; None for nothing."""
    quotes = _quotes_between(market, one, since_us, now_us)
    if not len(quotes.bid):
        return None
    tops = np.append(quotes.bid, market.top(one, since_us).bid)  # wherever the top has been, levels changed
    low, high = int(tops.min()), int(tops.max())
    bid = int(quotes.bid[-1])
    static = dict(_known(one, np.arange(low, high + 2, dtype=np.int64)))
    touched = sorted({*static, *tops.tolist(), *(tops + 1).tolist()})
    bids = [(price, static.get(price, 0) if price < bid else 0) for price in touched if price <= high]
    asks = [(price, static.get(price, 0) if price > bid + 1 else 0) for price in touched if price > low]
    return Book(
        int(quotes.update_id[-1]),
        int(quotes.time_us[-1]),
        [(price, int(quotes.bid_size[-1]) if price == bid else size) for price, size in reversed(bids)],
        [(price, int(quotes.ask_size[-1]) if price == bid + 1 else size) for price, size in asks],
    )


def _quotes_between(market: Market, one: Instrument, since_us: int, now_us: int) -> Quotes:
    minutes = range(since_us // MINUTE_US, now_us // MINUTE_US + 1)
    parts = zip(*(market.quotes(one, minute) for minute in minutes), strict=True)
    quotes = Quotes(*(np.concatenate(part) for part in parts))
    start, stop = np.searchsorted(quotes.time_us, (since_us, now_us), side="right")
    return Quotes(*(column[start:stop] for column in quotes))


def _levels(one: Instrument, first: int, step: int, count: int) -> list[Level]:
    """Return the next `count` levels from a price on, fewer where prices end."""
    found: list[Level] = []
    reach = 2 * count * _gap(one)
    while len(found) < count and first > 0:
        prices = np.arange(first, max(first + step * reach, 0), step, dtype=np.int64)
        found += _known(one, prices)
        first += step * reach
    return found[:count]


def _known(one: Instrument, prices: I64) -> list[Level]:
    """Return those of the prices that are levels, with their sizes."""
    drawn = hashes(key_of("book", one.board.value, one.symbol), prices)
    exists = drawn % np.uint64(_gap(one)) == 0
    lot_worth = one.contract_size if one.inverse else one.price / 10**one.lot_decimals
    typical = 0.02 * one.turnover / lot_worth
    sizes = 1 + ((drawn[exists] >> np.uint64(40)).astype(np.float64) * (typical / 2**24)).astype(np.int64)
    return list(zip(prices[exists].tolist(), sizes.tolist(), strict=True))


def _gap(one: Instrument) -> int:
    return max(int(one.price * 10**one.tick_decimals) // DENSITY, 1)
