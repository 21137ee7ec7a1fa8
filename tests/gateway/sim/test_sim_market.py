"""The seeded market: what is a function of what, and what joins without a seam."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sim.market.bars import worth
from gateway.sim.market.symbols import Board, Instrument, decimal, list_instruments
from gateway.sim.market.trades import LISTED_MINUTE, MINUTE_US, Market, MarketOptions, Trades
from gateway.sim.streams.messages import split

GENESIS_MINUTE = 29_412_345
GENESIS_MS = GENESIS_MINUTE * 60_000


def make(
    seed: int = 7, rate: float = 2.0, quotes_per_trade: float = 1.0, genesis_ms: int = GENESIS_MS
) -> Market:
    return Market(MarketOptions(seed, rate, genesis_ms, 8, quotes_per_trade))


def bitcoin(market: Market, board: Board = Board.SPOT) -> Instrument:
    one = market.find(board, "BTCUSD_PERP" if board is Board.COINM else "BTCUSDT")
    assert one is not None
    return one


def same(left: Trades, right: Trades) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def test_the_same_seed_gives_the_same_trades_in_any_order():
    one, other = make(), make()
    whole = one.trades(bitcoin(one), GENESIS_MINUTE - 5, GENESIS_MINUTE + 5)
    minutes = reversed(range(GENESIS_MINUTE - 5, GENESIS_MINUTE + 5))
    parts = [other.trades(bitcoin(other), minute, minute + 1) for minute in minutes]
    joined = Trades(*(np.concatenate(columns) for columns in zip(*reversed(parts), strict=True)))
    assert same(whole, joined)


def test_another_seed_gives_another_market():
    one, other = make(seed=7), make(seed=8)
    span = GENESIS_MINUTE + 1, GENESIS_MINUTE + 2
    assert not np.array_equal(
        one.trades(bitcoin(one), *span).price, other.trades(bitcoin(other), *span).price
    )


@given(st.integers(LISTED_MINUTE + 3, GENESIS_MINUTE + 1000), st.sampled_from([0.05, 1.0, 33.3]))
@settings(max_examples=25, deadline=None)
def test_ids_are_contiguous_and_times_rise_over_every_border(minute, rate):
    market = make(rate=rate)
    trades = market.trades(bitcoin(market), minute - 2, minute + 2)
    assert (np.diff(trades.id) == 1).all()
    assert (np.diff(trades.time_us) > 0).all()
    assert (trades.first[1:] == trades.last[:-1] + 1).all()
    assert trades.time_us[0] >= (minute - 2) * MINUTE_US
    assert trades.time_us[-1] < (minute + 2) * MINUTE_US


def test_ids_are_contiguous_over_genesis():
    market = make()
    trades = market.trades(bitcoin(market), GENESIS_MINUTE - 1, GENESIS_MINUTE + 1)
    assert len(trades.id) == market.trades_in(GENESIS_MINUTE - 1) + market.trades_in(GENESIS_MINUTE) == 126
    assert (np.diff(trades.id) == 1).all()


def test_the_first_trade_has_id_1():
    market = make()
    assert market.trades(bitcoin(market), LISTED_MINUTE - 10, LISTED_MINUTE + 1).id.tolist() == [
        1,
        2,
        3,
        4,
        5,
        6,
    ]


@given(st.integers(1, 10**9))
@settings(max_examples=50, deadline=None)
def test_an_id_lies_in_its_minute(trade_id):
    market = make()
    minute = market.minute_of(trade_id)
    assert market.first_id(minute) <= trade_id < market.first_id(minute + 1)


@given(st.integers(3, 10**8))
@settings(max_examples=50, deadline=None)
def test_a_single_trade_finds_its_aggregate(single_id):
    market = make()
    found = market.aggregate_of(bitcoin(market), single_id)
    (first,), (last,) = market.by_ids(bitcoin(market), found, found + 1)[5:7]
    assert first <= single_id <= last


@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(0, 10**9))
def test_single_trades_share_a_quantity_exactly(first, count, more):
    pieces = split(first, first + count - 1, count + more)
    assert [single_id for single_id, _ in pieces] == list(range(first, first + count))
    assert sum(lots for _, lots in pieces) == count + more
    assert all(lots > 0 for _, lots in pieces)


def test_every_trade_is_at_the_bid_or_the_ask_that_it_leaves():
    market = make(rate=20)
    trades = market.trades(bitcoin(market), GENESIS_MINUTE, GENESIS_MINUTE + 1)
    quotes = market.quotes(bitcoin(market), GENESIS_MINUTE)
    assert (trades.price == quotes.bid + ~trades.sold).all()
    assert (trades.quantity >= trades.last - trades.first + 1).all()


@pytest.mark.parametrize("quotes_per_trade", [0.3, 1.0, 2.5])
def test_update_ids_rise_over_minutes_and_there_are_as_many_as_asked(quotes_per_trade):
    market = make(rate=10, quotes_per_trade=quotes_per_trade)
    minutes = [market.quotes(bitcoin(market), GENESIS_MINUTE + nth) for nth in range(3)]
    update_id = np.concatenate([minute.update_id for minute in minutes])
    time_us = np.concatenate([minute.time_us for minute in minutes])
    assert (np.diff(update_id) > 0).all()
    assert (np.diff(update_id) > 1).any()
    assert (np.diff(time_us) >= 0).all()
    assert abs(len(update_id) - 1800 * quotes_per_trade) <= 1


def test_prices_are_believable():
    market = make()
    for board in Board:
        trades = market.trades(bitcoin(market, board), GENESIS_MINUTE - 2880, GENESIS_MINUTE)
        prices = trades.price / 10 ** bitcoin(market, board).tick_decimals
        assert 70_000 < prices.min() < prices.max() < 150_000
        assert (abs(np.diff(np.log(prices))) < 0.01).all()


def test_the_boards_trade_the_same_coin_at_nearly_the_same_price():
    market = make(rate=20)
    last = [
        market.trades(bitcoin(market, board), GENESIS_MINUTE, GENESIS_MINUTE + 1).price[-1]
        / 10 ** bitcoin(market, board).tick_decimals
        for board in Board
    ]
    assert max(last) / min(last) < 1.001


def test_a_rate_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="rate"):
        make(rate=0)


def test_the_listing_names_a_symbol_beyond_ascii_and_a_delivery():
    ones = list_instruments(25, GENESIS_MS)
    by_board = {board: [one.symbol for one in ones if one.board is board] for board in Board}
    assert [len(symbols) for symbols in by_board.values()] == [25, 25, 25]
    assert by_board[Board.SPOT][0] == "BTCUSDT"
    assert "币安人生USDT" in by_board[Board.SPOT][:20]
    assert by_board[Board.COINM][1] == "BTCUSD_251226"
    assert len(set(by_board[Board.SPOT])) == 25


def test_sums_of_a_month_fit_64_bits():
    market = Market(MarketOptions(7, 1.0, GENESIS_MS, 60))
    for one in market.instruments:
        trades = market.trades(one, GENESIS_MINUTE - 1440, GENESIS_MINUTE)
        exact = sum(
            worth(one, price, lots)
            for price, lots in zip(trades.price.tolist(), trades.quantity.tolist(), strict=True)
        )
        assert int(worth(one, trades.price, trades.quantity).sum()) == exact
        assert 5 * 31 * exact < 2**63


def test_spot_numbers_fit_eight_decimals():
    for one in list_instruments(200, GENESIS_MS):
        assert one.turnover_digits <= 8
        assert one.tick_decimals <= one.price_digits


@pytest.mark.parametrize(
    ("value", "places", "shown", "text"),
    [
        (10_500_001, 2, 8, "105000.01000000"), (7, 3, 3, "0.007"), (-5, 2, 2, "-0.05"),
        (58, 0, 8, "58.00000000"), (12, 0, 0, "12"), (0, 1, 2, "0.00"), (-1234, 2, 4, "-12.3400"),
    ],
)  # fmt: skip
def test_integers_become_decimals(value, places, shown, text):
    assert decimal(value, places, shown) == text


def test_history_is_as_long_as_years():
    market = make()
    days = [
        market.trades(bitcoin(market), LISTED_MINUTE + 1440 * day, LISTED_MINUTE + 1440 * day + 1)
        for day in (0, 900)
    ]
    assert all((day.price > 0).all() for day in days)
    assert all(before.id[-1] < after.id[0] for before, after in pairwise(days))
