"""Every benchmark runs once in small: that it works, never how fast it is."""

import gzip

import pytest

from bench import mute
from bench.listeners import draw_watchlists
from bench.pipeline import Params, format_table, run


async def test_the_pipeline_bench_measures_every_hop_and_every_process():
    params = Params(symbols=6, rate=10, clients=4, watchlist=3, seconds=1, workers=1)
    result = await run(params)
    results = result["results"]
    assert set(result) == {"name", "params", "machine", "results"}
    assert results["lost_clients"] == 0
    assert results["frames_per_s"] > 0
    assert 0 < results["p50_us"] <= results["p99_us"] <= results["p999_us"]
    assert set(results["hops"]) == {"exchange_to_feed", "feed", "bus", "gateway", "client"}
    assert {"sim", "feed", "nats-server", "gateway", "clients"} <= set(results["cpu_us_per_update"])
    assert "send to decode" in format_table(result)


async def test_one_gateway_holds_2000_clients():
    params = Params(symbols=10, rate=1, clients=2_000, watchlist=3, watchlists=50, seconds=1, workers=1)
    results = (await run(params))["results"]
    assert (results["lost_clients"], results["slow_clients"]) == (0, 0)
    assert results["records_per_s"] > 2_000


def test_distinct_watchlists_are_shared_in_turn():
    symbols = [f"S{number}" for number in range(50)]
    lists = draw_watchlists(symbols, clients=9, size=5, distinct=3)
    assert len(lists) == 9
    assert lists[0] == lists[3] == lists[6]
    assert len({tuple(one) for one in lists}) == 3
    assert draw_watchlists(symbols, 9, 5, 3) == lists, "the same for the same seed"


def test_the_mute_bench_finds_every_cut_and_suspects_nobody(tmp_path):
    with gzip.open(tmp_path / "steady.gz", "wt") as file:
        for number in range(600):
            file.write(f'{number * 100_000_000} {{"stream":"btcusdt@aggTrade","data":{{}}}}\n')
    result = mute.run(mute.Params(captures=str(tmp_path), cuts=5, hours=0.5))
    steady, *seeded = result["results"]["streams"]
    assert set(result) == {"name", "params", "machine", "results"}
    assert (steady["stream"], steady["source"]) == ("btcusdt@aggTrade", "steady")
    assert steady["messages_per_s"] == pytest.approx(10, rel=0.01)
    assert steady["false_alarms"] == 0
    assert 1.9 <= steady["detection_s"]["p50"] <= steady["detection_s"]["max"] <= 2.2
    assert [one["source"] for one in seeded] == ["seeded market"] * len(mute.MARKET)
    assert "btcusdt@aggTrade" in mute.format_table(result)
