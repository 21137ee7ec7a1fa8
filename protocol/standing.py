"""What a client may do, by who it is: as far as its conversation depends on it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from protocol.symbols import Instrument


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One client's."""

    is_admitted: bool = True
    """It may have market data. Otherwise it has to say first who it is."""
    user: str = ""
    """Who it is; empty: anybody."""
    has_market_watch: bool = False
    """It has its user's market watch, and may change it."""
    symbols_allowed: tuple[str, ...] = ()
    """Patterns over full names, for people; none: every symbol."""
    may_watch: Callable[[Instrument], bool] = lambda _: True


ANYBODY: Final = Standing()
NOBODY: Final = Standing(is_admitted=False, may_watch=lambda _: False)
"""Not known yet."""
