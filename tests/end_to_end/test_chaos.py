"""The short form of `make chaos`: half a minute of everything that can go wrong."""

import pytest

from bench.chaos import Params, format_table, is_whole, run


@pytest.mark.timeout(240)
async def test_after_chaos_every_client_has_every_trade_once():
    result = await run(Params(seconds=30, symbols=20, rate=20, every_s=2.0, past=False))
    assert is_whole(result), format_table(result)
    compared, faults, *_ = result["results"]["rows"]
    assert compared["trades_held"] > 10_000
    assert compared["recovered"] > 0, "nothing was hurt"
    assert {"feed", "nats-server", "gateway", "recorder"} <= set(faults)
