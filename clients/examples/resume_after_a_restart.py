"""Write every trade of a symbol into a file: none missing and none twice, however often this is stopped.

    make demo
    python clients/examples/resume_after_a_restart.py [ws://127.0.0.1:8080] [symbol] [file] [count]

The file itself says where to go on. What cannot be had is in it too, as a gap; where one was still open at
the stop, the stream goes on from before it, and what the file has already is left out. After a crash the
last line may be half there: it is taken off.
"""

import asyncio
import json
import sys
from contextlib import aclosing, suppress
from pathlib import Path

from clients.continuity import TradeIds
from clients.stream import Stream
from clients.updates import StreamGap, StreamTrade
from protocol.events import Gap


async def main(
    url: str = "ws://127.0.0.1:8080", symbol: str = "BTCUSDT", file: str = "trades.jsonl", count: str = "inf"
) -> None:
    ids, left = take_up(Path(file)), float(count)
    print(f"{symbol} goes on after {ids.resume_from}" if ids.last_id else f"{symbol} begins", flush=True)
    stream = Stream(url, symbol, kinds=["trade"], since={symbol: ids.resume_from} if ids.last_id else None)
    async with aclosing(stream.items()) as items:
        async for item in items:
            if isinstance(item, StreamTrade) and ids.on_trade(item.id)[0]:
                append(Path(file), {"id": item.id, "price": item.price, "quantity": item.quantity})
                left -= 1
            elif isinstance(item, StreamGap):
                gap = Gap(0, item.state, item.cause, item.first_id, item.last_id, item.first_us, item.last_us)
                ids.on_gap(gap)
                append(Path(file), {"gap": gap})
            if left <= 0:
                return


def append(file: Path, record: dict[str, object]) -> None:
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(record) + "\n")


def take_up(file: Path) -> TradeIds:
    """Read which trades the file has, after taking off a line that was not finished."""
    ids = TradeIds()
    if file.exists():
        text = file.read_bytes()
        file.write_bytes(text[: text.rfind(b"\n") + 1])
        for line in file.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if "gap" in record:
                ids.on_gap(Gap(*record["gap"]))
            else:
                ids.on_trade(record["id"])
    return ids


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
