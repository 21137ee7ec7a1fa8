"""Bars: the sums of their trades, to the last lot."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest

from gateway.sim.market.bars import INTERVALS, Bar, History, next_open, open_of, worth
from gateway.sim.market.symbols import Board, Instrument
from gateway.sim.market.trades import LISTED_MINUTE, MINUTE_US, Market, MarketOptions

GENESIS_MINUTE = 29_412_345
MARKET = Market(MarketOptions(seed=3, rate=1.0, genesis_ms=GENESIS_MINUTE * 60_000, symbols=2))
NOW_US = (GENESIS_MINUTE + 100) * MINUTE_US + 31_234_567


def instrument(board: Board) -> Instrument:
    return MARKET.on_board(board)[0]


def summed(one: Instrument, start: int, stop: int) -> tuple[int, ...]:
    """Sum the trades of some minutes that have happened, the plain way."""
    trades = MARKET.trades(one, start, stop)
    happened = trades.time_us <= NOW_US
    price, quantity, bought = trades.price[happened], trades.quantity[happened], ~trades.sold[happened]
    turnover = worth(one, price, quantity)
    first, last = trades.first[happened][0], trades.last[happened][-1]
    return (
        price[0], price.max(), price.min(), price[-1], quantity.sum(), turnover.sum(), last - first + 1,
        quantity[bought].sum(), turnover[bought].sum(), first, last,
    )  # fmt: skip


def values(bar: Bar) -> tuple[int, ...]:
    return bar[2:]


@pytest.mark.parametrize("board", list(Board))
@pytest.mark.parametrize("interval", ["1m", "5m", "1h", "4h", "1d", "3d", "1w"])
def test_a_bar_equals_its_trades(board, interval):
    one = instrument(board)
    last = open_of(interval, NOW_US // MINUTE_US)
    first = open_of(interval, last - 1)
    bars = History(MARKET, one).bars(interval, first, 5, NOW_US)
    assert [bar.open_ms for bar in bars] == [first * 60_000, last * 60_000]
    for bar in bars:
        start = bar.open_ms // 60_000
        assert values(bar) == summed(one, start, next_open(interval, start))
        assert bar.close_ms == next_open(interval, start) * 60_000 - 1


def test_a_month_equals_its_days():
    history = History(MARKET, instrument(Board.SPOT))
    start = int(datetime(2025, 2, 1, tzinfo=UTC).timestamp()) // 60
    (month,) = history.bars("1M", start, 1, NOW_US)
    days = history.bars("1d", start, 28, NOW_US)
    assert month.close_ms == days[-1].close_ms
    assert (month.open, month.close) == (days[0].open, days[-1].close)
    assert month.high == max(day.high for day in days)
    assert month.volume == sum(day.volume for day in days)
    assert (month.first, month.last) == (days[0].first, days[-1].last)


@pytest.mark.parametrize("board", list(Board))
def test_the_rolling_day_equals_its_minutes(board):
    one = instrument(board)
    day = History(MARKET, one).day(NOW_US)
    minute = NOW_US // MINUTE_US
    assert values(day) == summed(one, minute - 1439, minute + 1)
    assert day.open_ms == (minute - 1439) * 60_000


def test_what_is_cached_is_what_is_made_anew():
    one = instrument(Board.USDM)
    warm = History(MARKET, one)
    for minutes in range(0, 200, 7):
        now_us = NOW_US + minutes * MINUTE_US
        for interval in ("1m", "1h", "1d"):
            assert warm.running(interval, now_us) == History(MARKET, one).running(interval, now_us)
        assert warm.day(now_us) == History(MARKET, one).day(now_us)


def test_a_running_bar_in_which_nothing_has_traded_keeps_the_last_price():
    one = instrument(Board.SPOT)
    minute = NOW_US // MINUTE_US
    bar = History(MARKET, one).running("1m", minute * MINUTE_US)
    before = MARKET.trades(one, minute - 1, minute).price[-1]
    assert bar[2:6] == (before,) * 4
    assert (bar.volume, bar.singles, bar.first, bar.last) == (0, 0, -1, -1)


def test_weeks_open_on_monday_and_months_on_the_first():
    minute = int(datetime(2026, 10, 14, 12, 34, tzinfo=UTC).timestamp()) // 60
    opens = {name: datetime.fromtimestamp(open_of(name, minute) * 60, UTC) for name in INTERVALS}
    assert opens["1w"] == datetime(2026, 10, 12, tzinfo=UTC)
    assert opens["1M"] == datetime(2026, 10, 1, tzinfo=UTC)
    assert opens["1d"] == datetime(2026, 10, 14, tzinfo=UTC)
    assert opens["8h"] == datetime(2026, 10, 14, 8, tzinfo=UTC)


def test_history_begins_at_the_listing():
    history = History(MARKET, instrument(Board.SPOT))
    first = open_of("1w", LISTED_MINUTE)
    (week,) = history.bars("1w", first, 1, NOW_US)
    assert first < LISTED_MINUTE
    assert week.first == MARKET.trades(instrument(Board.SPOT), LISTED_MINUTE, LISTED_MINUTE + 1).first[0]


def test_bars_join_without_a_seam():
    bars = History(MARKET, instrument(Board.COINM)).bars(
        "15m", open_of("15m", GENESIS_MINUTE - 300), 25, NOW_US
    )
    assert (np.diff([bar.open_ms for bar in bars]) == 900_000).all()
    assert all(before.last + 1 == after.first for before, after in pairwise(bars))


def test_what_runs_is_told_while_a_thread_makes_the_past():
    begun, go_on = threading.Event(), threading.Event()

    class SlowMarket(Market):
        """It takes its time in every thread but this one."""

        def trades(self, one, start, stop):
            if threading.current_thread() is not threading.main_thread():
                begun.set()
                assert go_on.wait(30)
            return super().trades(one, start, stop)

    market = SlowMarket(MarketOptions(seed=3, rate=1.0, genesis_ms=GENESIS_MINUTE * 60_000, symbols=1))
    one = market.instruments[0]
    history, undisturbed = History(market, one), History(market, one)
    expected = undisturbed.running("1m", NOW_US), undisturbed.day(NOW_US)
    first = open_of("1d", NOW_US // MINUTE_US) - 30 * 1_440
    days = undisturbed.bars("1d", first, 20, NOW_US)
    with ThreadPoolExecutor() as threads:
        making = threads.submit(history.bars, "1d", first, 20, NOW_US)
        assert begun.wait(30)
        assert (history.running("1m", NOW_US), history.day(NOW_US)) == expected
        go_on.set()
        assert making.result(30) == days
