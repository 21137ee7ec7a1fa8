"""The bench of history runs once in small: that it works, never how fast it is."""

import random
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from bench.history import Params, draw_cold, format_table, run
from gateway.history.blocks import BLOCK_BARS, block_ms


@pytest.mark.timeout(180)
async def test_the_history_bench_asks_warm_and_cold():
    params = Params(symbols=3, days=20, window=700, rate=20, seconds=1)
    result = await run(params)
    loads = {load["name"]: load for load in result["results"]["loads"]}
    assert set(result) == {"name", "params", "machine", "results"}
    assert result["results"]["bars"] == 3 * params.pages * BLOCK_BARS
    assert set(loads) == {"warm", "warm, gzip", "same, gzip", "pulse", "cold"}
    assert all(load["asked"] > 0 and load["failed"] == 0 for load in loads.values())
    assert loads["warm, gzip"]["kb"] < loads["warm"]["kb"]
    assert "questions/s" in format_table(result)


def test_no_two_cold_windows_touch_the_same_block():
    params = Params(symbols=2, days=30, window=1_000)
    end_ms = time.time_ns() // 1_000_000
    touched = []
    for path in draw_cold(params, ["A", "B"], end_ms, random.Random(1)):
        query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        first = int(query["from"]) * 1_000 // block_ms(1)
        last = (int(query["to"]) * 1_000 - 1) // block_ms(1)
        touched += [(query["symbol"], number) for number in range(first, last + 1)]
        assert int(query["from"]) * 1_000 >= end_ms - params.pages * block_ms(1)
    assert len(touched) == len(set(touched)) > 20
