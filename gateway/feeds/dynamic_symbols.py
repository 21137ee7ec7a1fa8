"""Which symbols a worker should carry: the base set, and what the clients of all gateways watch.

The rules of this file:
- Each node says, every few seconds and at once when it changes, which symbols its clients watch. Its newest
  word replaces the one before; a node that is not heard for `node_ttl_ms` wants nothing.
- A symbol that nobody wants any more is kept for `grace_ms`: clients come back, pages are reloaded.
- The base set is always wanted.

Pure: the clock is an argument.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from protocol.demand import FORGOTTEN_AFTER_S

NODE_TTL_MS: Final = round(FORGOTTEN_AFTER_S * 1_000)
GRACE_MS: Final = 60_000
MOST_NODES: Final = 1_000
"""Full: who is new is not heard, until somebody falls silent."""


@dataclass(slots=True)
class _Demand:
    natives: frozenset[str]
    heard_ms: int


class DynamicSymbols:
    """The wanted set of one venue."""

    def __init__(self, *, node_ttl_ms: int = NODE_TTL_MS, grace_ms: int = GRACE_MS) -> None:
        self.base: frozenset[str] = frozenset()
        self._node_ttl_ms = node_ttl_ms
        self._grace_ms = grace_ms
        self._demands: dict[str, _Demand] = {}
        self._last_wanted_ms: dict[str, int] = {}
        """By symbol. Bounded by what was wanted within the grace time."""

    def on_demand(self, node: str, natives: Iterable[str], now_ms: int) -> None:
        """Take in what the clients of one node watch now."""
        before = self._demands.get(node)
        if before is not None:
            self._note_wanted(before, now_ms)
        elif len(self._demands) >= MOST_NODES:
            return
        self._demands[node] = _Demand(frozenset(natives), now_ms)

    def wanted(self, now_ms: int) -> frozenset[str]:
        """Return the symbols to carry now."""
        for node, demand in tuple(self._demands.items()):
            silent_from_ms = demand.heard_ms + self._node_ttl_ms
            self._note_wanted(demand, min(now_ms, silent_from_ms))
            if now_ms > silent_from_ms:
                del self._demands[node]
        self._last_wanted_ms = {
            native: at_ms
            for native, at_ms in self._last_wanted_ms.items()
            if now_ms - at_ms <= self._grace_ms
        }
        return self.base.union(self._last_wanted_ms)

    def _note_wanted(self, demand: _Demand, at_ms: int) -> None:
        for native in demand.natives:
            self._last_wanted_ms[native] = max(at_ms, self._last_wanted_ms.get(native, 0))
