"""Say when a price crosses a level, and be sure that it is a live price that did.

    make demo
    python clients/examples/price_alert.py [ws://127.0.0.1:8080] [symbol] [level] [alerts]

Without a level, the first price is the level. An alert must not come from an old price, nor a crossing go
unseen while nobody looked: a price older than `FRESH_S` is left out, and what happened while the connection
was away shows in the first price after it. A price below and the next one above the level are a crossing,
whatever number of prices was between them.
"""

import asyncio
import sys
from contextlib import aclosing, suppress

from clients.stream import Stream
from clients.updates import Connected, Disconnected, StreamPrice

FRESH_S = 10.0


async def main(
    url: str = "ws://127.0.0.1:8080", symbol: str = "BTCUSDT", level: str = "", alerts: str = "inf"
) -> None:
    border, left = float(level or 0), float(alerts)
    was_above: bool | None = None
    async with aclosing(Stream(url, symbol).items()) as items:
        async for item in items:
            if isinstance(item, Disconnected):
                print(f"no alerts for now: {item.reason or item.code}", flush=True)
            elif isinstance(item, Connected):
                print(f"watching {symbol}", flush=True)
            elif isinstance(item, StreamPrice) and (item.age_us or 0) < FRESH_S * 1e6:
                border = border or item.price
                if item.price == border:
                    continue
                if was_above is not None and (item.price > border) != was_above:
                    print(sentence(item, border), flush=True)
                    left -= 1
                was_above = item.price > border
            if left <= 0:
                return


def sentence(price: StreamPrice, level: float) -> str:
    verb = "rose above" if price.price > level else "fell below"
    label = " (SIMULATED)" if price.simulated else ""
    return f"{price.symbol} {verb} {level:.{price.entry.price_precision}f}: {price.price}{label}"


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
