"""What one connection carries, what it should, and what has been asked: a state machine without I/O.

The rules of this file:
- Messages on a socket keep their order, so a name can be asked for and dropped again without
  waiting for the answer in between.
- A refused message is asked again in two halves, down to the one name that is to blame. It is
  reported and left alone until the next connection; the others are served.
- A message without an answer is overdue after a time, which is the connection's end.
"""

from collections import deque
from collections.abc import Collection
from typing import NamedTuple

from gateway.feeds.connections.plan import batches
from protocol.market import Ack


class Request(NamedTuple):
    id: int
    subscribe: bool
    """False: unsubscribe."""
    names: list[str]
    sent_ms: int


class Subscriptions:
    """One connection's. Bounded by the streams that the plan puts on it."""

    def __init__(self) -> None:
        self.wanted: set[str] = set()
        self.rejected: dict[str, str] = {}
        """Name -> what the venue says against it."""
        self._asked: dict[str, int] = {}
        """Name -> the newest message that asks for it."""
        self._open: dict[int, Request] = {}
        self._suspects: deque[list[str]] = deque()
        self._next_id = 1

    @property
    def is_settled(self) -> bool:
        """Everything wanted is acknowledged or rejected."""
        return not self._open and self._asked.keys() == self.wanted - self.rejected.keys()

    def want(self, names: Collection[str]) -> None:
        """Set what the connection should carry. Takes effect by `next_request`."""
        self.wanted = set(names)
        self.rejected = {name: error for name, error in self.rejected.items() if name in self.wanted}

    def on_open(self) -> None:
        """A new connection: it carries nothing and has been asked nothing."""
        self.rejected.clear()
        self._asked.clear()
        self._open.clear()
        self._suspects.clear()

    def next_request(self, now_ms: int) -> Request | None:
        """Return the next message to send, taken as sent; None when there is nothing to ask."""
        gone = next(batches(sorted(self._asked.keys() - self.wanted)), None)
        if gone:
            for name in gone:
                del self._asked[name]
            return self._request(False, gone, now_ms)
        while self._suspects:
            half = [name for name in self._suspects.popleft() if name in self.wanted]
            if half:
                return self._subscribe(half, now_ms)
        new = next(batches(sorted(self.wanted - self._asked.keys() - self.rejected.keys())), None)
        return self._subscribe(new, now_ms) if new else None

    def on_ack(self, ack: Ack) -> str | None:
        """Take the venue's answer; return what it says against what we asked, if it does."""
        request = self._answered(ack)
        if ack.error is None or request is None or not request.subscribe:
            return ack.error
        # A name that was dropped since, or dropped and asked for anew, is not of this message any more.
        names = [name for name in request.names if self._asked.get(name) == request.id]
        for name in names:
            del self._asked[name]
        if len(request.names) > 1:
            self._suspects += [names[: len(names) // 2], names[len(names) // 2 :]]
        else:
            self.rejected.update((name, ack.error) for name in names if name in self.wanted)
        return ack.error

    def _answered(self, ack: Ack) -> Request | None:
        # Some errors do not say what they answer; answers keep their order, so it is the oldest.
        request_id = next(iter(self._open), None) if ack.request_id is None else ack.request_id
        return self._open.pop(request_id, None) if isinstance(request_id, int) else None

    def overdue_ms(self, now_ms: int) -> int:
        """Say for how long the oldest message has been without an answer."""
        return max((now_ms - request.sent_ms for request in self._open.values()), default=0)

    def _subscribe(self, names: list[str], now_ms: int) -> Request:
        request = self._request(True, names, now_ms)
        self._asked.update(dict.fromkeys(names, request.id))
        return request

    def _request(self, subscribe: bool, names: list[str], now_ms: int) -> Request:
        request = Request(self._next_id, subscribe, names, now_ms)
        self._open[request.id] = request
        self._next_id += 1
        return request
