"""Who asks, and what they may see and do."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

from protocol.symbols import full_name


class Scope(StrEnum):
    """What somebody may do."""

    READ = "read"
    """See market data: HTTP and streams."""
    WATCH = "watch"
    """Read and change the market watch of their user."""
    ACCOUNT = "account"
    """See and end the sessions of their user; no API key may."""
    OPERATE = "operate"
    """See how the gateway is in detail."""


EVERYTHING: Final = frozenset(Scope)


class SymbolRule:
    """Which symbols somebody may see: patterns over names (`BTC*`, `BINANCE:*.P`); none is every symbol."""

    __slots__ = ("patterns",)

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self.patterns: Final = tuple(full_name(one) for one in patterns)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SymbolRule) and self.patterns == other.patterns

    def __hash__(self) -> int:
        return hash(self.patterns)

    def allows(self, name: str) -> bool:
        """Say whether a symbol may be seen, by its name as users write it."""
        full = full_name(name)
        return not self.patterns or any(fnmatchcase(full, one) for one in self.patterns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Somebody, for as long as one request or one connection takes."""

    user: str = ""
    """Their name; empty: anonymous."""
    user_id: int = 0
    session_id: str = ""
    """Of the session that they logged in to; empty: an API key, or anonymous."""
    key_id: str = ""
    scopes: frozenset[Scope] = frozenset({Scope.READ})
    rule: SymbolRule = field(default_factory=SymbolRule)
    digest: str = field(default="", repr=False)
    """Of the token or the key's secret, as it is kept and looked up."""
    expires_ms: int = 0
    """When the session ends if it is not used; 0: never."""

    @property
    def is_anonymous(self) -> bool:
        return not self.user_id
