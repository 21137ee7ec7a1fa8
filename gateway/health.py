"""How a gateway is, put together from how its parts are. Pure.

The rules of this file:
- `down`: it serves no prices. The bus is away, or none have come for a while.
- `degraded`: it serves, and something is amiss: a part is degraded, down, or not known of.
- `ok`: neither.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"
    """It does its work, not all of it or not as it should."""
    DOWN = "down"
    UNKNOWN = "unknown"
    """Whoever could say does not answer."""


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a gateway needs for something."""

    name: str
    state: State
    reason: str = ""
    """For an operator; it may name addresses."""


def overall(*, serves: bool, parts: Iterable[Part]) -> State:
    """Say how the whole is."""
    if not serves:
        return State.DOWN
    return State.OK if all(part.state is State.OK for part in parts) else State.DEGRADED
