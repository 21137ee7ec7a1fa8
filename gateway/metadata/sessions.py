"""Sessions: one for each login, until it ends or expires."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Update, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.metadata.errors import UnknownUser
from gateway.metadata.tables import ADDRESS_LENGTH, AGENT_LENGTH, USER_SESSIONS
from gateway.metadata.transactions import Transactions


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A row of `user_sessions`."""

    id: str
    """The session's name in messages and keys; no secret."""
    token_hash: str
    """SHA-256 of the token, in hex."""
    user_id: int
    address: str
    """From where they logged in."""
    agent: str
    """With which program; cut at 500 characters."""
    created_ms: int
    last_activity_ms: int
    expires_ms: int
    is_active: bool = True
    """False: ended before it expired."""


_C: Final = USER_SESSIONS.c
_FIELDS: Final = (
    _C.session_id, _C.session_token, _C.user_id, _C.ip_address, _C.user_agent,
    _C.created_at, _C.last_activity, _C.expires_at, _C.is_active,
)  # fmt: skip
"""In the order of `StoredSession`."""


class Sessions:
    """All that is done with the table."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def add(self, session: StoredSession) -> None:
        """Keep a new session. Raises UnknownUser."""
        row = {
            "session_id": session.id,
            "session_token": session.token_hash,
            "user_id": session.user_id,
            "ip_address": session.address[:ADDRESS_LENGTH],
            "user_agent": session.agent[:AGENT_LENGTH],
            "created_at": session.created_ms,
            "last_activity": session.last_activity_ms,
            "expires_at": session.expires_ms,
            "is_active": session.is_active,
        }
        try:
            await self._transactions.change(insert(USER_SESSIONS).values(row))
        except IntegrityError:  # two ids or tokens of so many random bytes are never equal
            raise UnknownUser(session.user_id) from None

    async def by_token(self, token_hash: str) -> StoredSession | None:
        """Look a session up; whether it is active and not expired is the caller's to see."""
        row = await self._transactions.row(select(*_FIELDS).where(_C.session_token == token_hash))
        return StoredSession(*row) if row else None

    async def touch(self, session_id: str, now_ms: int, expires_ms: int) -> bool:
        """Note that a session is in use, and until when it holds now. False: it has ended."""
        values = {"last_activity": now_ms, "expires_at": expires_ms}
        return bool(await self._transactions.change(_active(session_id).values(values)))

    async def end(self, session_id: str) -> bool:
        """End a session. False: it had ended, or never was."""
        return bool(await self._transactions.change(_active(session_id).values(is_active=False)))

    async def end_all(self, user_id: int, but: str | None = None) -> list[str]:
        """End the sessions of a user, except one, and return which those were."""
        condition = (_C.user_id == user_id) & _C.is_active.is_(True)
        if but is not None:
            condition &= _C.session_id != but

        async def work(connection: AsyncConnection) -> list[str]:
            rows = await connection.execute(select(_C.session_id).where(condition).with_for_update())
            ids = [row.session_id for row in rows]
            await connection.execute(
                update(USER_SESSIONS).where(_C.session_id.in_(ids)).values(is_active=False)
            )
            return ids

        return await self._transactions.write(work)

    async def of_user(self, user_id: int, now_ms: int) -> list[StoredSession]:
        """Return the sessions of a user that hold now, the newest first."""
        holds = (_C.user_id == user_id) & _C.is_active.is_(True) & (_C.expires_at > now_ms)
        rows = await self._transactions.rows(select(*_FIELDS).where(holds).order_by(_C.id.desc()))
        return [StoredSession(*row) for row in rows]

    async def forget_expired(self, before_ms: int) -> int:
        """Delete the sessions that expired before this time, and return how many."""
        return await self._transactions.change(delete(USER_SESSIONS).where(_C.expires_at < before_ms))


def _active(session_id: str) -> Update:
    return update(USER_SESSIONS).where((_C.session_id == session_id) & _C.is_active.is_(True))
