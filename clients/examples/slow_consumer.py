"""Read slowly, and see what that costs: prices coalesce, trades do not.

    make demo
    python clients/examples/slow_consumer.py [ws://127.0.0.1:8080] [seconds] [rounds]

Each round reads what has arrived, then sleeps. Of a price only the newest is left, and says for how many
changes it stands; it is never older than the sleep. The trades are all there, in the order of their ids. A
reader that is too slow for its trades for good (10,000 unread) is cut off by the gateway, and goes on
behind the last one it has had: they come late, but they come.
"""

import asyncio
import sys
from contextlib import aclosing, suppress

from clients.stream import Stream
from clients.updates import Item, StreamPrice, StreamTrade

SYMBOLS = ["BTCUSDT", "ETHUSDT"]


async def main(url: str = "ws://127.0.0.1:8080", seconds: str = "2", rounds: str = "3") -> None:
    async with Stream(url, SYMBOLS, kinds=["price", "trade"]) as stream, aclosing(stream.items()) as items:
        await anext(items)  # it is connected
        for _ in range(int(rounds)):
            await asyncio.sleep(float(seconds))  # a slow database, a busy model
            waiting = [await anext(items) for _ in range(stream.unread)]
            report(waiting)
        print(f"{stream.conflated} prices were replaced by newer ones before they were read", flush=True)


def report(waiting: list[Item]) -> None:
    for price in (one for one in waiting if isinstance(one, StreamPrice)):
        print(f"{price.symbol} {price.price} stands for {price.changes} changes", flush=True)
    for symbol in SYMBOLS:
        ids = [one.id for one in waiting if isinstance(one, StreamTrade) and one.symbol == symbol]
        if ids:
            missing = ids[-1] - ids[0] + 1 - len(ids)
            print(f"{symbol} {len(ids)} trades, {ids[0]} to {ids[-1]}, {missing} missing", flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
