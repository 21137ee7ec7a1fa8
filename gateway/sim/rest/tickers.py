"""What REST answers about prices: klines, tickers and the book, in Binance's shapes."""

from typing import Any, Final

from gateway.sim.market.bars import INTERVALS, Bar, next_open, open_of
from gateway.sim.market.book import Level, book_at
from gateway.sim.market.symbols import Board, Instrument, decimal
from gateway.sim.market.trades import LISTED_MINUTE, MINUTE_US
from gateway.sim.rest.answers import Moment
from gateway.sim.rest.params import BAD_INTERVAL, ApiError, Params

FUTURES_DEPTHS: Final = (5, 10, 20, 50, 100, 500, 1000)


def klines(params: Params, at: Moment) -> Any:
    one, interval = params.instrument(), params.text("interval")
    if interval not in INTERVALS:
        raise ApiError(*BAD_INTERVAL)
    spot = params.board is Board.SPOT
    limit = params.limit(500, 1000 if spot else 1500, clamp=spot)
    first, count = _kline_range(params, at.visible_us(one), interval, limit)
    bars = at.history(one).bars(interval, first, count, at.visible_us(one))
    return [_kline(one, bar, at) for bar in bars]


def _kline_range(params: Params, now_us: int, interval: str, limit: int) -> tuple[int, int]:
    """Choose the opening minute of the first bar, and how many follow it at most."""
    start_us, end_us = params.time_us("startTime"), params.time_us("endTime")
    if start_us is not None and end_us is not None and start_us > end_us:
        raise ApiError(-1023, "Start time is greater than end time.")
    if start_us is not None and start_us > now_us:
        return LISTED_MINUTE, 0
    last = open_of(interval, min(now_us if end_us is None else end_us, now_us) // MINUTE_US)
    earliest = open_of(interval, LISTED_MINUTE)
    if start_us is not None:
        first = open_of(interval, max(start_us // MINUTE_US, earliest))
        if first * MINUTE_US < start_us and first != earliest:
            first = next_open(interval, first)
        return first, min(limit, _steps(interval, first, last, limit))
    first = last
    for _ in range(limit - 1):
        if first <= earliest:
            break
        first = open_of(interval, first - 1)
    return first, _steps(interval, first, last, limit)


def _steps(interval: str, first: int, last: int, most: int) -> int:
    """Count the bars from one that opens at `first` to the one that opens at `last`."""
    if interval != "1M":
        return min(max((last - first) // INTERVALS[interval] + 1, 0), most)
    count = 0
    while first <= last and count < most:
        first, count = next_open(interval, first), count + 1
    return count


def _kline(one: Instrument, bar: Bar, at: Moment) -> list[Any]:
    return [
        at.time(bar.open_ms * 1000),
        one.price_text(bar.open),
        one.price_text(bar.high),
        one.price_text(bar.low),
        one.price_text(bar.close),
        one.quantity_text(bar.volume),
        at.time(bar.close_ms * 1000 + 999),
        one.turnover_text(bar.turnover),
        bar.singles,
        one.quantity_text(bar.bought),
        one.turnover_text(bar.bought_turnover),
        "0",
    ]


def price(params: Params, at: Moment) -> Any:
    return _each(params, at, _price)


def _price(one: Instrument, at: Moment) -> dict[str, Any]:
    newest = at.newest(one)
    said: dict[str, Any] = {"symbol": one.symbol, "price": one.price_text(newest.price)}
    if one.inverse:
        said["ps"] = one.pair
    return said if one.board is Board.SPOT else {**said, "time": at.time(newest.time_us)}


def book_ticker(params: Params, at: Moment) -> Any:
    return _each(params, at, _book_ticker)


def _book_ticker(one: Instrument, at: Moment) -> dict[str, Any]:
    top = at.market.top(one, at.visible_us(one))
    bid = int(top.bid[0])
    said: dict[str, Any] = {
        "symbol": one.symbol,
        "bidPrice": one.price_text(bid),
        "bidQty": one.quantity_text(int(top.bid_size[0])),
        "askPrice": one.price_text(bid + 1),
        "askQty": one.quantity_text(int(top.ask_size[0])),
    }
    if one.inverse:
        said["pair"] = one.pair
    if one.board is Board.SPOT:
        return said
    return {"lastUpdateId": int(top.update_id[0]), **said, "time": at.time(int(top.time_us[0]))}


def day(params: Params, at: Moment) -> Any:
    if params.text("type", "FULL") not in ("FULL", "MINI"):
        raise ApiError(-1139, "Invalid ticker type.")
    return _each(params, at, _mini_day if params.text("type") == "MINI" else _day)


def _mini_day(one: Instrument, at: Moment) -> dict[str, Any]:
    bar = at.history(one).day(at.visible_us(one))
    amount = "baseVolume" if one.inverse else "quoteVolume"
    return {
        "symbol": one.symbol,
        "openPrice": one.price_text(bar.open),
        "highPrice": one.price_text(bar.high),
        "lowPrice": one.price_text(bar.low),
        "lastPrice": one.price_text(bar.close),
        "volume": one.quantity_text(bar.volume),
        amount: one.turnover_text(bar.turnover),
        "openTime": at.time(bar.open_ms * 1000),
        "closeTime": at.time(bar.close_ms * 1000),
        "firstId": bar.first,
        "lastId": bar.last,
        "count": bar.singles,
    }


def _day(one: Instrument, at: Moment) -> dict[str, Any]:
    mini = _mini_day(one, at)
    bar = at.history(one).day(at.visible_us(one))
    newest = at.newest(one)
    change = bar.close - bar.open
    said = {
        **mini,
        "priceChange": one.price_text(change),
        "priceChangePercent": decimal(round(change * 100_000 / bar.open), 3, 3),
        "weightedAvgPrice": one.price_text(_average(one, bar)),
        "lastQty": one.quantity_text(newest.quantity),
    }
    if one.inverse:
        said["pair"] = one.pair
    if one.board is not Board.SPOT:
        return said
    book = _book_ticker(one, at)
    return {**said, "prevClosePrice": one.price_text(bar.open), **book}


def _average(one: Instrument, bar: Bar) -> int:
    """Return the volume-weighted price in ticks."""
    if one.inverse:
        return bar.volume * one.contract_size * int(10 ** (8 + one.tick_decimals)) // bar.turnover
    return bar.turnover // bar.volume


def _each(params: Params, at: Moment, describe: Any) -> Any:
    """Answer for one symbol with an object, for several with a list; COIN-M always with a list."""
    said = [describe(one, at) for one in at.chosen(params)]
    return said[0] if "symbol" in params and params.board is not Board.COINM else said


def depth(params: Params, at: Moment) -> Any:
    spot = params.board is Board.SPOT
    one, limit = params.instrument(), params.limit(100 if spot else 500, 5000 if spot else 1000, clamp=spot)
    if not spot and limit not in FUTURES_DEPTHS:
        raise ApiError(-4021, f"Depth limit {limit} not supported. Possible value: {FUTURES_DEPTHS}.")
    book = book_at(at.market, one, at.visible_us(one), limit)
    said: dict[str, Any] = {"lastUpdateId": book.update_id}
    if one.inverse:
        said |= {"symbol": one.symbol, "pair": one.pair}
    if not spot:
        said |= {"E": at.time(at.now_us), "T": at.time(book.time_us)}
    return {**said, "bids": level_texts(one, book.bids), "asks": level_texts(one, book.asks)}


def level_texts(one: Instrument, levels: list[Level]) -> list[list[str]]:
    return [[one.price_text(price), one.quantity_text(lots)] for price, lots in levels]
