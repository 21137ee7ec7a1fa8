"""Act on every final candle, once and in order, however often this is stopped, and for however long.

    make demo
    python clients/examples/every_candle_once.py NATS [symbols,…] [file] [count]

NATS is the address that `make demo` prints (`nats://127.0.0.1:…`). The bus keeps final candles, and
corrections of them, for seven days, numbered. The number of the last one that was worked through is kept in
a file, and the next start goes on after it. The first start begins an hour ago.
"""

import asyncio
import sys
import time
from contextlib import aclosing, suppress
from pathlib import Path

from clients.services import Services
from clients.updates import Forgotten, StreamCandle


async def main(
    nats: str, symbols: str = "BTCUSDT,ETHUSDT", file: str = "candle.txt", count: str = "inf"
) -> None:
    place, left = Path(file), float(count)
    after = read_number(place)
    since_us = None if after else int((time.time() - 3_600) * 1e6)
    async with Services(nats) as services:
        lane = services.candles(*symbols.split(","), intervals=["1m"], after=after, since_us=since_us)
        async with aclosing(lane.items()) as items:
            async for item in items:
                if isinstance(item, Forgotten):
                    print("away for too long: ask `services.bars` for what is missing", flush=True)
                elif isinstance(item, StreamCandle):
                    work(item)
                    write_number(place, item.sequence)
                    left -= 1
                if left <= 0:
                    return


def work(candle: StreamCandle) -> None:
    """Do what is to be done. A candle that was not noted comes again after a crash: let that be harmless."""
    what = f"corrected, revision {candle.revision}" if candle.revision else "final"
    at = time.strftime("%H:%M", time.gmtime(candle.open_ms / 1_000))
    print(candle.sequence, candle.symbol, at, candle.close, what, flush=True)


def read_number(place: Path) -> int | None:
    return int(place.read_text()) if place.exists() else None


def write_number(place: Path, number: int) -> None:
    """Replace the file at once: it is never half there."""
    new = place.with_suffix(".new")
    new.write_text(str(number))
    new.replace(place)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
