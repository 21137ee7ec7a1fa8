"""The `websockets` library: its server, its `broadcast()` once a watchlist; uvloop, no compression."""

import sys

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

from bench.fanout.peers.rounds import read_order, serve_rounds


async def main() -> None:
    order = read_order(sys.argv[1:])
    audiences: list[set[ServerConnection]] = [set() for _ in order.payloads]

    async def stay(client: ServerConnection) -> None:
        assert client.request is not None  # the handshake is done
        audience = audiences[int(client.request.path.removeprefix("/"))]
        audience.add(client)
        try:
            await client.wait_closed()
        finally:
            audience.discard(client)

    async def send() -> None:
        for audience, payload in zip(audiences, order.stamped(), strict=True):
            broadcast(audience, payload)

    async with serve(stay, "127.0.0.1", order.port, compression=None):
        await serve_rounds(order.rate, send)


if __name__ == "__main__":
    uvloop.run(main())
