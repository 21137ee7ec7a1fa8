"""What a venue lets us spend in a stretch of time: messages, connection attempts, request weight.

A log of what was spent and when, not a refilled bucket: a full bucket and its refill together
would allow nearly twice the limit within one window, and venues count windows.
"""

from collections import deque


class Budget:
    """At most `limit` within any `window_ms`.

    Bounded: an entry for each spending of the last window. What exceeds the limit is told to wait.
    """

    def __init__(self, limit: int, window_ms: int) -> None:
        self.limit = max(limit, 1)
        self.window_ms = window_ms
        self._spent: deque[tuple[int, int]] = deque()
        """When and how much, oldest first. The newest may be booked for later."""
        self._total = 0

    def wait_ms(self, now_ms: int, cost: int = 1) -> int:
        """Say how long until `cost` may be spent; 0 is now. More than the limit waits for an empty window."""
        self._forget(now_ms)
        when_ms = max(now_ms, self._spent[-1][0]) if self._spent else now_ms
        excess = self._total + min(cost, self.limit) - self.limit
        for spent_ms, amount in self._spent:
            if excess <= 0:
                break
            excess -= amount
            when_ms = max(when_ms, spent_ms + self.window_ms)
        return when_ms - now_ms

    def spend(self, now_ms: int, cost: int = 1) -> None:
        """Note what was spent, allowed or not: the answer to a ping cannot wait."""
        self._forget(now_ms)
        when_ms = max(now_ms, self._spent[-1][0]) if self._spent else now_ms
        self._spent.append((when_ms, cost))
        self._total += cost

    def book(self, now_ms: int, cost: int = 1) -> int:
        """Spend at the first moment that allows it, and say how long until then."""
        wait_ms = self.wait_ms(now_ms, cost)
        self.spend(now_ms + wait_ms, cost)
        return wait_ms

    def learn(self, now_ms: int, total: int) -> None:
        """Take over the venue's own count of this window where it is higher: others spend from it too."""
        self._forget(now_ms)
        if total > self._total:
            self.spend(now_ms, total - self._total)

    def _forget(self, now_ms: int) -> None:
        while self._spent and self._spent[0][0] + self.window_ms <= now_ms:
            self._total -= self._spent.popleft()[1]
