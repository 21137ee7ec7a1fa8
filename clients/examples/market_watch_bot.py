"""A bot with an API key: it follows its user's market watch, and keeps one symbol on it.

    make demo
    .venv/bin/tickgate user add ann --data data/demo
    .venv/bin/tickgate key add ann --name bot --scope read --scope watch --data data/demo > bot.key
    python clients/examples/market_watch_bot.py bot.key [ws://127.0.0.1:8080] [symbol] [prices]

Prices of the whole list come without being asked for, and follow every change of it, made anywhere: put a
symbol on the list in the page, and it is printed here. The key is in a file, so that no list of processes
shows it; it is the user's list that is changed, for good.
"""

import asyncio
import sys
from contextlib import aclosing, suppress
from pathlib import Path

from clients.stream import Stream
from clients.updates import Refused, StreamPrice
from protocol.control import AutoSubscribe, AutoUnsubscribe, MarketWatchSubscribe


async def main(
    key: str, url: str = "ws://127.0.0.1:8080", symbol: str = "SOLUSDT", prices: str = "inf"
) -> None:
    left = float(prices)
    async with Stream(url, token=key) as stream, aclosing(stream.items()) as items:
        async for item in items:
            match item:
                case MarketWatchSubscribe(symbols=symbols):
                    print(f"on the list: {', '.join(symbols) or 'nothing'}", flush=True)
                    if symbol not in symbols:
                        await stream.market_watch_add(symbol)
                case AutoSubscribe(data=change):
                    print(f"{change.symbol} was added", flush=True)
                case AutoUnsubscribe(data=change):
                    print(f"{change.symbol} was taken off", flush=True)
                case Refused(code=code, message=message):
                    print(f"{code}: {message}", flush=True)
                case StreamPrice():
                    print(item.symbol, item.price, flush=True)
                    left -= 1
            if left <= 0:
                return


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(Path(sys.argv[1]).read_text().strip(), *sys.argv[2:]))
