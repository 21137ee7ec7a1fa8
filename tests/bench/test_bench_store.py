"""The market that the bench of the store draws."""

from bench.store import Params, draw_page


def test_the_market_is_the_same_for_the_same_seed_and_makes_sense():
    bars = draw_page(Params(), 3, 5)
    assert bars.tobytes() == draw_page(Params(), 3, 5).tobytes()
    assert bars.tobytes() != draw_page(Params(seed=8), 3, 5).tobytes()
    assert (bars["low"] <= bars["open"]).all()
    assert (bars["close"] <= bars["high"]).all()
    assert (bars["taker_buy"] <= bars["volume"]).all()
