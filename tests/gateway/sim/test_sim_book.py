"""The book: a snapshot plus its differences is the later snapshot."""

import pytest

from gateway.sim.market.book import Book, book_at, changes
from gateway.sim.market.symbols import Board
from gateway.sim.market.trades import MINUTE_US, Market, MarketOptions

GENESIS_MINUTE = 29_412_345
MARKET = Market(MarketOptions(seed=5, rate=5.0, genesis_ms=GENESIS_MINUTE * 60_000, symbols=8))
NOW_US = (GENESIS_MINUTE + 2) * MINUTE_US - 300_000
ONES = [MARKET.on_board(board)[nth] for board in Board for nth in (0, 5)]


def levels(book: Book) -> tuple[dict[int, int], dict[int, int]]:
    return dict(book.bids), dict(book.asks)


@pytest.mark.parametrize("one", ONES, ids=lambda one: one.symbol)
def test_a_snapshot_is_sorted_and_not_crossed(one):
    book = book_at(MARKET, one, NOW_US, 100)
    bids, asks = [price for price, _ in book.bids], [price for price, _ in book.asks]
    assert bids == sorted(set(bids), reverse=True)
    assert asks == sorted(set(asks))
    assert bids[0] < asks[0]
    assert len(bids) == len(asks) == 100
    assert all(size > 0 for _, size in book.bids + book.asks)


@pytest.mark.parametrize("one", ONES, ids=lambda one: one.symbol)
def test_a_snapshot_and_the_differences_make_the_later_snapshot(one):
    bids, asks = levels(book_at(MARKET, one, NOW_US, 400))
    at_us = NOW_US
    for _ in range(20):
        difference = changes(MARKET, one, at_us, at_us + 100_000)
        at_us += 100_000
        for side, changed in ((bids, difference.bids), (asks, difference.asks)) if difference else ():
            side.update(changed)
    later_bids, later_asks = levels(book_at(MARKET, one, at_us, 20))
    standing_bids = {price: size for price, size in bids.items() if size}
    standing_asks = {price: size for price, size in asks.items() if size}
    assert dict(sorted(standing_bids.items(), reverse=True)[:20]) == later_bids
    assert dict(sorted(standing_asks.items())[:20]) == later_asks


def test_a_snapshot_taken_between_two_differences_is_healed_by_the_second():
    one = ONES[0]
    middle = book_at(MARKET, one, NOW_US + 450_000, 400)
    difference = changes(MARKET, one, NOW_US, NOW_US + 1_000_000)
    assert difference is not None
    assert middle.update_id < difference.update_id
    bids = {**dict(middle.bids), **dict(difference.bids)}
    later = book_at(MARKET, one, NOW_US + 1_000_000, 20)
    standing = sorted(((price, size) for price, size in bids.items() if size), reverse=True)
    assert standing[:20] == later.bids


def test_nothing_changes_between_two_quotes():
    one = ONES[0]
    first_us, second_us = MARKET.quotes(one, GENESIS_MINUTE).time_us[:2].tolist()
    assert changes(MARKET, one, first_us, second_us - 1) is None
