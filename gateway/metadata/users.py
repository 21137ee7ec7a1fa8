"""Users: who may log in."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from gateway.metadata.errors import DoesNotFit, NameTaken, UnknownUser
from gateway.metadata.tables import FOLDED_LENGTH, NAME_LENGTH, PATTERNS_BYTES, USERS
from gateway.metadata.transactions import Transactions


@dataclass(frozen=True, slots=True)
class User:
    """A row of `users`."""

    id: int
    name: str
    """As it was written when the user was added."""
    password_hash: str
    is_active: bool
    symbols: tuple[str, ...]
    """Patterns of the symbols they may see; none is every symbol."""
    created_ms: int


_C: Final = USERS.c
_FIELDS: Final = (_C.id, _C.name, _C.password_hash, _C.is_active, _C.symbols, _C.created_at)
"""In the order of `User`."""


class Users:
    """All that is done with the table."""

    def __init__(self, transactions: Transactions, now_ms: Callable[[], int]) -> None:
        self._transactions = transactions
        self._now_ms = now_ms

    async def add(self, name: str, password_hash: str, symbols: Sequence[str] = ()) -> User:
        """Add a user. Raises NameTaken, or DoesNotFit for a name or patterns that cannot be."""
        name = check_name(name)
        row = {
            "name": name,
            "name_folded": fold(name),
            "password_hash": password_hash,
            "is_active": True,
            "symbols": check_patterns(symbols),
            "created_at": self._now_ms(),
        }
        try:
            await self._transactions.change(insert(USERS).values(row))
        except IntegrityError:
            raise NameTaken(name) from None
        added = await self.find(name)
        if added is None:  # somebody has deleted the row by hand
            raise NameTaken(name)
        return added

    async def find(self, name: str) -> User | None:
        """Look a user up by their name, in any case."""
        return await self._one(_C.name_folded == fold(name))

    async def by_id(self, user_id: int) -> User | None:
        return await self._one(_C.id == user_id)

    async def all(self) -> list[User]:
        """Return every user, by name."""
        rows = await self._transactions.rows(select(*_FIELDS).order_by(_C.name_folded))
        return [User(*row) for row in rows]

    async def set_password(self, user_id: int, password_hash: str) -> None:
        """Replace the hash of a password. Raises UnknownUser, as all of these do."""
        await self._set(user_id, password_hash=password_hash)

    async def set_active(self, user_id: int, is_active: bool) -> None:
        await self._set(user_id, is_active=is_active)

    async def set_symbols(self, user_id: int, patterns: Sequence[str]) -> None:
        """Replace the patterns of the symbols that a user may see. Raises DoesNotFit, too."""
        await self._set(user_id, symbols=check_patterns(patterns))

    async def _one(self, condition: Any) -> User | None:
        row = await self._transactions.row(select(*_FIELDS).where(condition))
        return User(*row) if row else None

    async def _set(self, user_id: int, **values: Any) -> None:
        if not await self._transactions.change(update(USERS).where(_C.id == user_id).values(values)):
            raise UnknownUser(user_id)


def fold(name: str) -> str:
    """Spell a name in the one way that is unique and looked up: in no case, and composed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.strip()).casefold())


def check_name(name: str) -> str:
    """Return a name as it is kept. Raises DoesNotFit."""
    name = unicodedata.normalize("NFC", name.strip())
    if not name.isprintable() or not name:
        raise DoesNotFit("the name", "must be of letters, digits and signs that can be seen")
    if len(name) > NAME_LENGTH or len(fold(name)) > FOLDED_LENGTH:
        raise DoesNotFit("the name", f"is too long: {NAME_LENGTH} characters at most")
    return name


def check_patterns(patterns: Sequence[str]) -> tuple[str, ...]:
    """Return patterns as they are kept. Raises DoesNotFit."""
    kept = tuple(patterns)
    if sum(len(one.encode("utf-8", "replace")) + 8 for one in kept) > PATTERNS_BYTES:
        raise DoesNotFit("the list of symbols", f"is too long: {PATTERNS_BYTES:,} bytes at most")
    return kept
