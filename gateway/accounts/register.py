"""The register of users, sessions and keys: what is changed in it, by a command or at a user's wish.

Whatever takes something away returns who is not what they were, for everybody who may remember them. A right
that was given is no different: what is remembered does not have it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from gateway.accounts.errors import UnknownKey, UnknownName
from gateway.accounts.identity import Scope
from gateway.accounts.notices import Revoked
from gateway.accounts.passwords import Passwords, check_password_rules
from gateway.accounts.tokens import Key, new_key, token_hash
from gateway.metadata.database import Database
from gateway.metadata.errors import DoesNotFit
from gateway.metadata.keys import StoredKey
from gateway.metadata.sessions import StoredSession
from gateway.metadata.users import User, check_name

DAY_MS: Final = 86_400_000


class Register:
    """Changes the register. Everything raises MetadataDown."""

    def __init__(self, database: Database, passwords: Passwords, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._passwords = passwords
        self._now_ms = now_ms

    # Users

    async def find(self, name: str) -> User:
        """Look a user up. Raises UnknownName."""
        try:
            user = await self._database.users.find(check_name(name))
        except DoesNotFit:  # nobody can be called that, so nobody is asked
            user = None
        if user is None:
            raise UnknownName(name)
        return user

    async def add_user(self, name: str, password: str, symbols: Sequence[str] = ()) -> User:
        """Add somebody who may log in. Raises BadPassword, DoesNotFit, NameTaken."""
        check_name(name)
        check_password_rules(name, password)
        return await self._database.users.add(name, await self._passwords.hash(password), symbols)

    async def set_active(self, user: User, *, is_active: bool) -> Revoked:
        """Let somebody in again, or not any more; then their sessions end, and their keys let nobody in."""
        meant = await self._all_of(user)
        await self._database.users.set_active(user.id, is_active)
        if not is_active:
            await self._database.sessions.end_all(user.id)
        return meant

    async def set_symbols(self, user: User, patterns: Sequence[str]) -> Revoked:
        """Say which symbols somebody may see; none is all. Raises DoesNotFit."""
        await self._database.users.set_symbols(user.id, patterns)
        return await self._all_of(user)

    async def set_password(self, user: User, password: str, kept: str = "") -> Revoked:
        """Replace a password and end all sessions, but the one that is kept. Raises BadPassword."""
        check_password_rules(user.name, password)
        await self._database.users.set_password(user.id, await self._passwords.hash(password))
        return await self.end_others(user.id, kept)

    # Sessions

    async def sessions(self, user_id: int) -> list[StoredSession]:
        """List the sessions of a user that hold now, the newest first."""
        return await self._database.sessions.of_user(user_id, self._now_ms())

    async def end_others(self, user_id: int, kept: str = "") -> Revoked:
        """End the sessions of a user, but the one that is kept."""
        return await self.end([one for one in await self.sessions(user_id) if one.id != kept])

    async def end(self, sessions: Iterable[StoredSession]) -> Revoked:
        ended = [one for one in sessions if await self._database.sessions.end(one.id)]
        return Revoked(sessions=tuple(one.id for one in ended), hashes=tuple(one.token_hash for one in ended))

    # Keys

    async def add_key(self, user: User, name: str, scopes: Iterable[Scope], days: int | None = None) -> Key:
        """Make a key and return it; its secret is never to be had again. Raises DoesNotFit."""
        if not name.isprintable():
            raise DoesNotFit("the key's name", "must be of letters, digits and signs that can be seen")
        now_ms, key = self._now_ms(), new_key()
        await self._database.keys.add(
            StoredKey(
                id=key.id,
                user_id=user.id,
                secret_hash=token_hash(key.secret),
                name=name,
                scopes=tuple(sorted(scopes)),
                created_ms=now_ms,
                expires_ms=None if days is None else now_ms + days * DAY_MS,
            )
        )
        return key

    async def end_key(self, key_id: str) -> Revoked:
        """End a key for good. Raises UnknownKey."""
        key = await self._database.keys.by_id(key_id)
        if key is None:
            raise UnknownKey(key_id)
        await self._database.keys.end(key_id)
        return Revoked(keys=(key_id,), hashes=(key.secret_hash,))

    async def _all_of(self, user: User) -> Revoked:
        sessions = await self.sessions(user.id)
        keys = await self._database.keys.of_user(user.id)
        hashes = [one.token_hash for one in sessions] + [one.secret_hash for one in keys if one.is_active]
        return Revoked(user=user.id, hashes=tuple(hashes))
