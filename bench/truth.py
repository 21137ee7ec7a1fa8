"""What the simulated exchange itself says: its trades and bars, to compare with what a gateway brought."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode

import httpx

from bench.demo import ANSWER_TIMEOUT_S, Demo, until

PAGE: Final = 1_000
MINUTE_MS: Final = 60_000
BARS: Final = 10
"""How many minutes of each symbol are compared."""

Trades: TypeAlias = dict[str, dict[int, tuple[float, float]]]
"""By symbol and id: price and quantity."""


async def newest_ids(demo: Demo, symbols: list[str]) -> dict[str, int]:
    """Ask the exchange for the newest trade of every symbol."""
    async with httpx.AsyncClient(base_url=demo.sim, timeout=ANSWER_TIMEOUT_S) as sim:
        return {symbol: (await _page(sim, {"symbol": symbol, "limit": 1}))[-1]["a"] for symbol in symbols}


async def traded(demo: Demo, held: Iterable[Trades], newest: dict[str, int]) -> Trades:
    """Ask the exchange for everything it traded from the first id that anybody holds."""
    truth: Trades = {}
    async with httpx.AsyncClient(base_url=demo.sim, timeout=ANSWER_TIMEOUT_S) as sim:
        for symbol, last in newest.items():
            firsts = [min(one[symbol]) for one in held if one.get(symbol)]
            truth[symbol] = {}
            first = place = min(firsts, default=last + 1)
            while place <= last:
                page = await _page(sim, {"symbol": symbol, "fromId": place, "limit": PAGE})
                truth[symbol] |= {one["a"]: (float(one["p"]), float(one["q"])) for one in page}
                place = page[-1]["a"] + 1
            if not truth[symbol].keys() >= set(range(first, last + 1)):
                raise ValueError(f"the exchange does not tell all that it traded of {symbol}")
    return truth


async def compare_bars(demo: Demo, symbols: list[str], upto_ms: int, patience_s: float) -> dict[str, int]:
    """Compare the newest minutes that had closed at a time with what the gateway has of them."""
    upto_ms -= upto_ms % MINUTE_MS
    compared: dict[str, int] = {}

    async def are_equal() -> bool:
        compared["bars"], compared["bars_different"] = 0, 0
        async with httpx.AsyncClient(base_url=demo.sim, timeout=ANSWER_TIMEOUT_S) as sim:
            for symbol in symbols:
                query = {"symbol": symbol, "interval": "1m", "limit": BARS}
                theirs = await _page(sim, {**query, "endTime": upto_ms - 1}, "klines")
                ours = await demo.get(f"/api/v1/candles?{urlencode({**query, 'end': upto_ms - 1})}")
                wanted = [[row[0], *map(float, row[1:6])] for row in theirs]
                held = ours.get("data", [])  # an error has none: the recorder may be busy, and is asked again
                compared["bars"] += len(wanted)
                compared["bars_different"] += sum(one not in held for one in wanted)
        return not compared["bars_different"]

    with suppress(TimeoutError):  # what differs then is the result
        await until(are_equal, patience_s)
    return compared


async def _page(sim: httpx.AsyncClient, query: dict[str, Any], what: str = "aggTrades") -> list[Any]:
    while True:
        answer = await sim.get(f"/api/v3/{what}", params=query)
        if answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
            return list(answer.raise_for_status().json())
        await asyncio.sleep(float(answer.headers["Retry-After"]))
