"""The recorder's benchmark, as small as it goes."""

from bench.recorder import Params, format_table, run


async def test_every_trade_that_was_sent_is_taken_in():
    result = await run(Params(symbols=3, rate=2_000, seconds=0.5))
    assert result["results"]["trades"] == 1_000
    assert result["results"]["cpu_us_per_trade"] > 0
    assert "1,000 trades of 3 symbols" in format_table(result)
