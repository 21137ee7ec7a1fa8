"""cryptofeed's Binance feed, with one callback that counts.

Its defaults: uvloop, yapic's JSON with Decimal, a `Trade` for each message, its watch over silence. Changed
are the addresses, the log file (none), and TLS (none: it accepts `wss://` only, so the scheme is put right
after it has looked).
"""

import asyncio
from typing import Any, Final

from cryptofeed import FeedHandler  # type: ignore[import-untyped]  # it has no types
from cryptofeed.connection import (  # type: ignore[import-untyped]  # it has no types
    RestEndpoint,
    Routes,
    WebsocketEndpoint,
)
from cryptofeed.defines import TRADES  # type: ignore[import-untyped]  # it has no types
from cryptofeed.exchanges import Binance  # type: ignore[import-untyped]  # it has no types

from bench.ingest.lines import read_order
from bench.ingest.tally import Tally

SETTINGS: Final = {"log": {"disabled": True}, "uvloop": True}


class PlainBinance(Binance):  # type: ignore[misc]  # it has no types
    """Binance's dialect, at an address without TLS."""

    def connect(self) -> list[Any]:
        connections = list(super().connect())
        for connection, *_ in connections:
            connection.address = connection.address.replace("wss://", "ws://")
        return connections


def read(host: str, rest: str, natives: list[str], tally: Tally) -> None:
    async def on_trade(_trade: object, _received_s: float) -> None:
        tally.count += 1

    PlainBinance.websocket_endpoints = [WebsocketEndpoint(f"wss://{host}")]
    PlainBinance.rest_endpoints = [RestEndpoint(rest, routes=Routes("/api/v3/exchangeInfo"))]
    handler = FeedHandler(config=SETTINGS)
    # It counts on a loop being there, and today's uvloop makes none by itself.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    names = {native: name for name, native in PlainBinance.symbol_mapping().items()}
    symbols = [names[native] for native in natives]
    feed = PlainBinance(config=SETTINGS, symbols=symbols, channels=[TRADES], callbacks={TRADES: on_trade})
    handler.add_feed(feed)
    tally.answer(loop)
    handler.run()


if __name__ == "__main__":
    order = read_order()
    read(order["host"], order["rest"], order["natives"], Tally())
