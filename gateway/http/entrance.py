"""What all HTTP connections of a gateway share: what they are granted, and how many there are.

A connection counts from when it is accepted until it is gone, once, whatever it becomes. The protocol of a
WebSocket takes the transport over from that of HTTP, and then knows alone of its end. But uvicorn has every
protocol leave `ServerState.connections` then, to know when it may stop: there it is seen (`HandedOver`).
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, cast

from uvicorn.server import ServerState

from gateway.addresses import TrustedProxies, counted_as
from gateway.config.values import is_loopback

MOST_TURNED_AWAY: Final = 100
"""Connections beyond the limits that wait to be told so. Full: further ones end without a word."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What a gateway grants one HTTP connection, and all of them together."""

    read_timeout_s: float = 15.0
    """For a whole request, and for a new connection to begin one."""
    send_timeout_s: float = 15.0
    """How often a client that does not read on is looked at."""
    max_header_bytes: int = 16_384
    max_headers: int = 100
    max_body_bytes: int = 65_536
    max_per_address: int = 1_000
    """Connections; 0 is no limit. A trusted proxy has none, but each of its clients' WebSockets counts."""
    spares_loopback: bool = False
    """This machine's own addresses have no such limit."""
    max_connections: int = 0
    """Of all addresses; 0 is no limit."""


class Entrance:
    """The connections of one gateway."""

    def __init__(self, limits: HttpLimits, proxies: TrustedProxies) -> None:
        self.limits: Final = limits
        self.proxies: Final = proxies
        self.connections = 0
        self.by_address: Counter[str] = Counter()
        """Open connections of each address, or network of addresses."""
        self.turned_away = 0
        """Open connections that are not let in."""
        self.rejected: Counter[str] = Counter()
        """How often, by the name of the error. It is not logged: that would be a line for each."""


class Place:
    """One connection, as it is counted until it leaves."""

    __slots__ = ("_addresses", "_entrance", "_is_left", "is_granted")

    def __init__(self, entrance: Entrance, peer: str) -> None:
        """An empty peer, on a Unix socket, is not counted by address."""
        limits = entrance.limits
        self._entrance = entrance
        self._addresses: list[str] = []
        self._is_left = False
        is_room = not 0 < limits.max_connections <= entrance.connections
        is_counted = bool(peer) and not entrance.proxies.trusts(peer)
        self.is_granted = is_room and (not is_counted or self.count_for(peer))
        if self.is_granted:
            entrance.connections += 1
        else:
            entrance.turned_away += 1

    def count_for(self, address: str) -> bool:
        """Count it as one of this address; say no, and do not, if that has no more."""
        key, taken, most = (
            counted_as(address),
            self._entrance.by_address,
            self._entrance.limits.max_per_address,
        )
        if 0 < most <= taken[key] and not (self._entrance.limits.spares_loopback and is_loopback(address)):
            return False
        taken[key] += 1
        self._addresses.append(key)
        return True

    def leave(self) -> None:
        """Count it no longer; a second time is nothing."""
        if self._is_left:
            return
        self._is_left = True
        if self.is_granted:
            self._entrance.connections -= 1
        else:
            self._entrance.turned_away -= 1
        taken = self._entrance.by_address
        for key in self._addresses:
            taken[key] -= 1
            if not taken[key]:
                del taken[key]


class HandedOver(ServerState):
    """uvicorn's state, for the protocol that takes a connection over: who leaves it leaves the place."""

    def __init__(self, state: ServerState, place: Place) -> None:
        self.total_requests = state.total_requests
        self.connections = cast(set[Any], _Connections(state.connections, place))
        self.tasks = state.tasks
        self.default_headers = state.default_headers


class _Connections:
    """What uvicorn's protocols do with the set of all connections. Each WebSocket keeps one: it is lean."""

    __slots__ = ("_open_ones", "_place")

    def __init__(self, open_ones: set[Any], place: Place) -> None:
        self._open_ones = open_ones
        self._place = place

    def add(self, one: object) -> None:
        self._open_ones.add(one)

    def discard(self, one: object) -> None:
        self._open_ones.discard(one)
        self._place.leave()

    remove = discard
