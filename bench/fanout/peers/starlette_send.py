"""What most would write: a Starlette route that keeps its WebSockets, and a loop that sends to each of them.

uvicorn as it comes, with the WebSocket implementation that it chooses itself; no compression.
"""

import asyncio
import sys

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from bench.fanout.peers.rounds import read_order, serve_rounds


async def main() -> None:
    order = read_order(sys.argv[1:])
    clients: list[tuple[WebSocket, int]] = []

    async def serve(client: WebSocket) -> None:
        await client.accept()
        one = client, int(client.path_params["watchlist"])
        clients.append(one)
        try:
            while True:
                await client.receive_text()
        except WebSocketDisconnect:
            clients.remove(one)

    async def send() -> None:
        payloads = order.stamped()
        for client, watchlist in clients:
            await client.send_bytes(payloads[watchlist])

    app = Starlette(routes=[WebSocketRoute("/{watchlist:int}", serve)])
    server = uvicorn.Server(
        uvicorn.Config(app, port=order.port, log_level="warning", ws_per_message_deflate=False)
    )
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0.01)
        await serve_rounds(order.rate, send)
        server.force_exit = server.should_exit = True
        await serving


if __name__ == "__main__":
    uvloop.run(main())  # as uvicorn does by itself where it is installed
