"""The store's benchmark runs once in small: that it works, never how fast it is."""

from bench.store import Params, draw_page, format_table, run


async def test_the_store_bench_measures_every_store_on_the_same_bars():
    params = Params(symbols=2, days=1, page=500, pages_a_write=3, window=200, reads=10)
    result = await run(params)
    stores = {row["store"]: row for row in result["results"]["stores"]}
    assert set(result) == {"name", "params", "machine", "results"}
    assert result["params"]["bars"] == 3_000
    assert result["results"]["same"]
    assert set(stores) >= {"DuckStore", "DuckStore, while it is written to", "SQLite", "Parquet, by DuckDB"}
    assert stores["DuckStore"]["ingest_bars_per_s"] > 0
    assert all(0 <= row["read_ms"]["p50"] <= row["read_ms"]["max"] for row in stores.values())
    assert "every store gave the same bars: True" in format_table(result)


def test_the_market_is_the_same_for_the_same_seed_and_makes_sense():
    bars = draw_page(Params(), 3, 5)
    assert bars.tobytes() == draw_page(Params(), 3, 5).tobytes()
    assert bars.tobytes() != draw_page(Params(seed=8), 3, 5).tobytes()
    assert (bars["low"] <= bars["open"]).all()
    assert (bars["close"] <= bars["high"]).all()
    assert (bars["taker_buy"] <= bars["volume"]).all()
