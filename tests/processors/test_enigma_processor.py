import pytest
from hypothesis import given
from hypothesis import strategies as st
from trading_days import HOUR, NATIVE, NOON, Numbers, bar, bars_of, trade

from indicators.enigma import level
from processors.enigma import EnigmaProcessor
from protocol.bars import no_bars
from protocol.events import Enigma

IDS = {NATIVE: 7}
LIFE = bars_of(
    [
        bar(NOON - 3_000 * HOUR, Numbers(30.0, 50.0, 20.0, 40.0, 1.0, 40.0, 1.0, 1)),
        bar(NOON - 2_000 * HOUR, Numbers(40.0, 100.0, 35.0, 90.0, 1.0, 40.0, 1.0, 1)),
        bar(NOON - 1_000 * HOUR, Numbers(90.0, 95.0, 25.0, 60.0, 1.0, 40.0, 1.0, 1), 0),
    ]
)


def known(processor: EnigmaProcessor) -> dict[str, object]:
    described = processor.describe(NATIVE)
    assert described is not None
    return described


def test_there_is_no_level_before_the_history_is_known():
    processor = EnigmaProcessor("binance")
    assert processor.describe(NATIVE) is None
    processor.on_trades(NATIVE, [trade(1, NOON, 60.0)])
    assert processor.describe(NATIVE) is None
    assert processor.take(NOON * 1_000, IDS) == []


def test_the_extremes_are_those_of_the_history_until_a_price_lies_beyond_them():
    processor = EnigmaProcessor("binance")
    processor.seed(NATIVE, LIFE)
    processor.on_trades(NATIVE, [trade(1, NOON, 70.0), trade(2, NOON + 1, 60.0)])
    assert known(processor) == {
        "level": 50.0,
        "atl": 20.0,
        "ath": 100.0,
        "current_price": 60.0,
        "fib_levels": pytest.approx(
            {"0": 20.0, "23.6": 38.88, "38.2": 50.56, "50": 60.0, "61.8": 69.44, "78.6": 82.88, "100": 100.0}
        ),
        "price_us": (NOON + 1) * 1_000,
        "atl_ms": NOON - 3_000 * HOUR,
        "ath_ms": NOON - 2_000 * HOUR,
        "atl_source": "history",
        "ath_source": "history",
    }
    processor.on_trades(NATIVE, [trade(3, NOON + 2, 180.0), trade(4, NOON + 3, 100.0)])
    moved = known(processor)
    assert (moved["level"], moved["ath"], moved["ath_ms"], moved["ath_source"]) == (
        50.0,
        180.0,
        NOON + 2,
        "live",
    )
    assert (moved["atl"], moved["atl_source"]) == (20.0, "history")


def test_a_history_that_comes_after_trades_leaves_what_they_have_beyond_it():
    processor = EnigmaProcessor("binance")
    processor.on_trades(NATIVE, [trade(1, NOON, 10.0), trade(2, NOON + 1, 80.0)])
    processor.seed(NATIVE, LIFE)
    merged = known(processor)
    assert (merged["atl"], merged["atl_source"], merged["atl_ms"]) == (10.0, "live", NOON)
    assert (merged["ath"], merged["ath_source"], merged["ath_ms"]) == (100.0, "history", NOON - 2_000 * HOUR)
    assert merged["current_price"] == 80.0


def test_until_somebody_trades_the_last_close_is_the_price():
    processor = EnigmaProcessor("binance")
    processor.seed(NATIVE, LIFE)
    assert (known(processor)["current_price"], known(processor)["level"]) == (60.0, 50.0)
    # As old as its bar, which is more than the field holds.
    assert processor.take(NOON * 1_000, IDS) == [Enigma(7, 0, 2**31 - 1, 50.0, 20.0, 100.0)]


def test_a_symbol_that_has_just_been_listed_has_the_extremes_of_its_trades():
    processor = EnigmaProcessor("binance")
    processor.seed(NATIVE, no_bars())
    assert processor.describe(NATIVE) is None
    processor.on_trades(NATIVE, [trade(1, NOON, 60.0)])
    assert (known(processor)["level"], known(processor)["atl"], known(processor)["ath"]) == (0.0, 60.0, 60.0)


def test_a_late_trade_may_move_an_extreme_and_never_the_price():
    processor = EnigmaProcessor("binance")
    processor.seed(NATIVE, LIFE)
    processor.on_trades(NATIVE, [trade(5, NOON, 60.0)])
    processor.on_trades(NATIVE, [trade(4, NOON - 1, 200.0)])
    assert (known(processor)["current_price"], known(processor)["ath"]) == (60.0, 200.0)


def test_only_what_moved_is_said_and_only_with_an_id():
    processor = EnigmaProcessor("binance")
    processor.seed(NATIVE, LIFE)
    processor.on_trades(NATIVE, [trade(1, NOON, 60.0)])
    assert processor.take(NOON * 1_000 + 250, {}) == []
    assert processor.take(NOON * 1_000 + 250, IDS) == [Enigma(7, 0, 250, 50.0, 20.0, 100.0)]
    assert processor.take(NOON * 1_000 + 500, IDS) == []
    processor.on_trades(NATIVE, [trade(2, NOON + 9_000_000, 20.0)])
    assert processor.take(NOON * 1_000, IDS) == [Enigma(7, 0, -(2**31 - 1), 0.0, 20.0, 100.0)]


@given(
    st.lists(st.lists(st.integers(1, 300), min_size=1, max_size=5), min_size=1, max_size=10),
    st.integers(0, 9),
)
def test_whenever_the_history_comes_the_level_is_that_of_all_prices(batches: list[list[int]], seeded: int):
    processor = EnigmaProcessor("binance")
    at_ms = NOON
    for number, batch in enumerate(batches):
        if number == min(seeded, len(batches) - 1):
            processor.seed(NATIVE, LIFE)
        processor.on_trades(NATIVE, [trade(n, at_ms + n, float(price)) for n, price in enumerate(batch)])
        at_ms += 10
    every = [price for batch in batches for price in batch]
    low, high = min(20.0, *every), max(100.0, *every)
    assert (known(processor)["atl"], known(processor)["ath"]) == (low, high)
    assert known(processor)["level"] == level(float(every[-1]), low, high)
