"""What HTTP requests come and how long their answers take, by the name of the route that served them.

Names are those of the routes, never what a client wrote, so that nobody can make up new ones.
"""

import time
from collections import Counter, defaultdict
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.metrics import Histogram

NO_ROUTE: Final = "none"
"""Of requests to paths that do not exist."""
NOT_ANSWERED: Final = 0
"""The status of a request whose client left before there was an answer."""


class Traffic:
    """Counts, and nothing else: it is read by whoever wants to know."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        """By route and status."""
        self.latencies: defaultdict[str, Histogram] = defaultdict(Histogram)
        """By route: from the request to the end of its answer."""

    def counted(self, app: ASGIApp) -> ASGIApp:
        """Return an application that does what `app` does, and is counted."""

        async def count(scope: Scope, receive: Receive, send: Send) -> None:
            status = NOT_ANSWERED

            async def noting(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            started_ns = time.perf_counter_ns()
            try:
                await app(scope, receive, noting)
            finally:
                route = route_name(scope)
                self.answers[route, status] += 1
                self.latencies[route].add((time.perf_counter_ns() - started_ns) // 1_000)

        return count


def route_name(scope: Scope) -> str:
    """Return the name of the route that a request went to; starlette leaves it in the scope."""
    route = scope.get("route")
    return getattr(route, "name", None) or getattr(route, "path", None) or NO_ROUTE
