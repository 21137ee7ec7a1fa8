"""What anybody writes first: the `websockets` client with its defaults, `json.loads`, and the four fields.

On uvloop. Nothing is checked, kept or passed on.
"""

import asyncio
import json

import uvloop
from websockets.asyncio.client import connect

from bench.ingest.lines import read_order
from bench.ingest.tally import Tally


async def read(url: str, tally: Tally) -> None:
    tally.answer(asyncio.get_running_loop())
    async with connect(url) as socket:
        async for text in socket:
            trade = json.loads(text)["data"]
            _symbol, _price, _quantity, _id = trade["s"], float(trade["p"]), float(trade["q"]), trade["a"]
            tally.count += 1


if __name__ == "__main__":
    order = read_order()
    streams = "/".join(f"{native.lower()}@aggTrade" for native in order["natives"])
    uvloop.run(read(f"ws://{order['host']}/stream?streams={streams}", Tally()))
