"""What can go wrong with the metadata. No message has a password or a query's values in it."""

from collections.abc import Sequence
from typing import Final

RETRY_AFTER_S: Final = 5.0


class MetadataError(Exception):
    """The root of all that this package raises."""


class MetadataDown(MetadataError):
    """The database cannot be used now: away, locked, full, or it refuses us. Says which one and why."""

    status = 503
    retry_after_s = RETRY_AFTER_S

    def __init__(self, place: str, reason: str) -> None:
        self.place = place
        self.reason = reason
        super().__init__(f"{place} cannot be used: {reason}")


class MetadataOld(MetadataDown):
    """The tables are not those of this program. Waiting does not help; says what to run."""

    def __init__(self, place: str, reason: str, remedy: str = "run `tickgate migrate up`") -> None:
        self.remedy = remedy
        super().__init__(place, f"{reason}; {remedy}")


class BadDatabaseUrl(MetadataError):
    """The address names no database that is understood."""


class DoesNotFit(MetadataError):
    """A value that the table cannot hold."""

    status = 400

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        super().__init__(f"{field} {reason}")


class NameTaken(MetadataError):
    """Another user has this name, or one that differs only in case."""

    status = 409

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"there is a user {name!r} already")


class UnknownUser(MetadataError):
    """No user has this id."""

    status = 404

    def __init__(self, user_id: int) -> None:
        self.user_id = user_id
        super().__init__(f"there is no user with the id {user_id}")


class WatchlistFull(MetadataError):
    """The market watch has as many symbols as it may have."""

    status = 409

    def __init__(self, most: int) -> None:
        self.most = most
        super().__init__(f"the market watch is full: {most} symbols")


class OtherSymbols(MetadataError):
    """A new order of the market watch has not the same symbols as the watch: it has changed meanwhile."""

    status = 409

    def __init__(self, missing: Sequence[str], unknown: Sequence[str]) -> None:
        self.missing = tuple(missing)
        self.unknown = tuple(unknown)
        super().__init__(
            f"the new order must have the symbols of the market watch, each once: "
            f"missing {_few(missing)}, not on it {_few(unknown)}"
        )


class IdTaken(MetadataError):
    """Ids or names belong to other symbols; nothing was written."""

    def __init__(self, clashes: Sequence[tuple[int, str, str]]) -> None:
        self.clashes = tuple(clashes)
        """Of each symbol that cannot be written: its id, its name, and who has one of them."""
        told = [f"{name} as {symbol_id} ({taken})" for symbol_id, name, taken in clashes]
        super().__init__(f"ids or names that belong to other symbols: {_few(told)}")


def _few(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "none") + more
