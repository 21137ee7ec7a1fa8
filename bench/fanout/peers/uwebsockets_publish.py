"""uWebSockets and its native publish: one topic a watchlist, one call a topic and round.

uWebSockets.js is in no package registry; the same C++ library is in the `socketify` wheel. Its libuv loop
runs here alone, without the asyncio loop that socketify turns beside it, which polls and has no part in this.
"""

import sys
import threading
import time
from typing import Any

from socketify import App, OpCode  # type: ignore[import-untyped]  # it has no annotations

from bench.fanout.peers.rounds import Order, read_order, rounds_of, say

IDLE_MS = 20


class Pace:
    """The loop's turns: libuv waits in whole milliseconds."""

    def __init__(self, app: Any) -> None:
        self._uv = app.loop.uv_loop

    def turn(self, wait_ms: int) -> None:
        """Let the loop do what there is to do, for so long."""
        if wait_ms <= 0:
            self._uv.run_nowait()
            return
        is_over: list[bool] = []
        timer = self._uv.create_timer(wait_ms, 0, is_over.append, True)
        while not is_over:
            self._uv.run_once()
        timer.stop()


def main() -> None:
    order = read_order(sys.argv[1:])
    app = App()
    app.ws(
        "/:watchlist",
        {
            "idle_timeout": 120,
            "upgrade": upgrade,
            "open": lambda client: client.subscribe(client.get_user_data()),
        },
    )
    app.listen({"port": order.port, "host": "127.0.0.1"}, lambda _: say("ready"))
    lines: list[str] = []
    listener = threading.Thread(target=lambda: lines.extend(iter(sys.stdin.readline, "")), daemon=True)
    listener.start()
    pace = Pace(app)
    while listener.is_alive() or lines:
        pace.turn(IDLE_MS)
        while lines:
            send_rounds(app, pace, order, rounds_of(lines.pop(0)))


def upgrade(response: Any, request: Any, context: Any) -> None:
    key, protocol, extensions = (
        request.get_header(f"sec-websocket-{name}") for name in ("key", "protocol", "extensions")
    )
    response.upgrade(key, protocol, extensions, context, request.get_parameter(0))


def send_rounds(app: Any, pace: Pace, order: Order, rounds: int) -> None:
    start_s = time.monotonic()
    for number in range(rounds):
        wait_ms = round((start_s + number / order.rate - time.monotonic()) * 1_000)
        pace.turn(wait_ms)
        for watchlist, payload in enumerate(order.stamped()):
            app.publish(str(watchlist), payload, OpCode.BINARY)
    pace.turn(0)
    say("done")


if __name__ == "__main__":
    main()
