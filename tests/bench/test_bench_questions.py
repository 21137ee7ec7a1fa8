"""What the bench of history asks."""

import random
from urllib.parse import parse_qs, urlsplit

from bench.questions import Stored, candles_path, draw_cold, plan_loads, udf_path
from gateway.history.blocks import block_ms

END_MS = 1_790_000_000_000
STORED = Stored(["A", "B"], END_MS - 84 * block_ms(1), END_MS)


def query_of(path: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}


def test_no_two_cold_windows_touch_the_same_block():
    touched = []
    for native, to_ms in draw_cold(STORED, 1_000, random.Random(1)):
        query = query_of(udf_path(native, to_ms, 1_000))
        first = int(query["from"]) * 1_000 // block_ms(1)
        last = (int(query["to"]) * 1_000 - 1) // block_ms(1)
        touched += [(query["symbol"], number) for number in range(first, last + 1)]
        assert int(query["from"]) * 1_000 >= STORED.first_ms
    assert len(touched) == len(set(touched)) > 20


def test_both_addresses_are_asked_for_the_same_window():
    udf, candles = query_of(udf_path("A", END_MS, 600)), query_of(candles_path("A", END_MS, 600))
    assert (udf["symbol"], candles["symbol"]) == ("BINANCE:A", "BINANCE:A")
    assert int(udf["to"]) * 1_000 == int(candles["end"]) + 1 == END_MS
    assert udf["countback"] == candles["limit"] == "600"


def test_a_cold_window_of_one_address_is_not_asked_for_at_the_other():
    loads = {load.name: load for load in plan_loads(STORED, 1_000, 10, seed=1)}
    ends = [
        (query["symbol"], int(query["to"]) * 1_000 if name == "udf_cold" else int(query["end"]) + 1)
        for _ in range(5)
        for name in ("udf_cold", "candles_cold")
        for query in [query_of(next(loads[name].paths))]
    ]
    assert len(set(ends)) == 10
