"""The bench of mute streams, on a stream whose rhythm is known."""

import gzip

import pytest

from bench.mute import MARKET, Params, format_table, run


def test_the_mute_bench_finds_every_cut_and_suspects_nobody(tmp_path):
    with gzip.open(tmp_path / "steady.gz", "wt") as file:
        for number in range(600):
            file.write(f'{number * 100_000_000} {{"stream":"btcusdt@aggTrade","data":{{}}}}\n')
    result = run(Params(captures=str(tmp_path), cuts=5, hours=0.5))
    steady, *seeded = result["results"]["rows"]
    assert steady["name"] == "steady/btcusdt@aggTrade"
    assert steady["messages_per_s"] == pytest.approx(10, rel=0.01)
    assert steady["false_alarms"] == 0
    assert 1.9 <= steady["p50_s"] <= steady["max_s"] <= 2.2
    assert len(seeded) == len(MARKET)
    assert "steady/btcusdt@aggTrade" in format_table(result)


def test_a_stream_too_short_to_judge_has_no_detection_time(tmp_path):
    with gzip.open(tmp_path / "short.gz", "wt") as file:
        for number in range(3):
            file.write(f'{number * 100_000_000} {{"stream":"btcusdt@aggTrade","data":{{}}}}\n')
    result = run(Params(captures=str(tmp_path), cuts=5, hours=0.01))
    assert "p50_s" not in result["results"]["rows"][0]
    assert "–" in format_table(result)
