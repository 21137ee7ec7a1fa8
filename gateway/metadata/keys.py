"""API keys: how services say who they are, without a login."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from gateway.metadata.errors import DoesNotFit, UnknownUser
from gateway.metadata.tables import API_KEYS, KEY_NAME_LENGTH
from gateway.metadata.transactions import Transactions


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A row of `api_keys`."""

    id: str
    """The first part of the key; no secret."""
    user_id: int
    secret_hash: str
    """SHA-256 of the second part, in hex."""
    name: str
    """What it is for, in the words of whoever made it."""
    scopes: tuple[str, ...]
    created_ms: int
    last_used_ms: int | None = None
    expires_ms: int | None = None
    """None: never."""
    is_active: bool = True


_C: Final = API_KEYS.c
_FIELDS: Final = (
    _C.id, _C.user_id, _C.secret_hash, _C.name, _C.scopes,
    _C.created_at, _C.last_used_at, _C.expires_at, _C.is_active,
)  # fmt: skip
"""In the order of `StoredKey`."""


class ApiKeys:
    """All that is done with the table."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def add(self, key: StoredKey) -> None:
        """Keep a new key. Raises UnknownUser, or DoesNotFit for a name that is too long."""
        if len(key.name) > KEY_NAME_LENGTH:
            raise DoesNotFit("the key's name", f"is too long: {KEY_NAME_LENGTH} characters at most")
        row = {
            "id": key.id,
            "user_id": key.user_id,
            "secret_hash": key.secret_hash,
            "name": key.name,
            "scopes": key.scopes,
            "created_at": key.created_ms,
            "last_used_at": key.last_used_ms,
            "expires_at": key.expires_ms,
            "is_active": key.is_active,
        }
        try:
            await self._transactions.change(insert(API_KEYS).values(row))
        except IntegrityError:  # two ids of so many random bytes are never equal
            raise UnknownUser(key.user_id) from None

    async def by_id(self, key_id: str) -> StoredKey | None:
        """Look a key up; whether it is active and not expired is the caller's to see."""
        found = await self._where(_C.id == key_id)
        return found[0] if found else None

    async def of_user(self, user_id: int) -> list[StoredKey]:
        """Return the keys of a user, the oldest first, with those that have ended."""
        return await self._where(_C.user_id == user_id)

    async def all(self) -> list[StoredKey]:
        return await self._where()

    async def end(self, key_id: str) -> bool:
        """End a key for good. False: it had ended, or never was."""
        active = (_C.id == key_id) & _C.is_active.is_(True)
        return bool(await self._transactions.change(update(API_KEYS).where(active).values(is_active=False)))

    async def touch(self, key_id: str, now_ms: int) -> None:
        """Note that a key was used."""
        await self._transactions.change(update(API_KEYS).where(_C.id == key_id).values(last_used_at=now_ms))

    async def _where(self, *conditions: Any) -> list[StoredKey]:
        query = select(*_FIELDS).where(*conditions).order_by(_C.created_at, _C.id)
        return [StoredKey(*row) for row in await self._transactions.rows(query)]
