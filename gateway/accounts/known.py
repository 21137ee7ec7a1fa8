"""What is known of a session or a key whose secret somebody holds.

The same record is kept in this process and in the cache, there as the JSON of `session:<hash>`. It is true as
of `checked_ms`, when SQL said so. After `CHECK_EVERY_MS` it is asked again, which also ends what was revoked
without our hearing of it; while SQL does not answer, what was known stays true.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from gateway.accounts.identity import EVERYTHING, Identity, Scope, SymbolRule
from gateway.metadata.keys import StoredKey
from gateway.metadata.sessions import StoredSession
from gateway.metadata.users import User

CHECK_EVERY_MS: Final = 30_000
NOTE_EVERY_MS: Final = 60_000
"""How often it is written down at most that somebody was here, and that they may stay so much longer."""
KEY_LIFE_MS: Final = 24 * 3_600_000
"""How long a cache knows a key that does not expire."""
KEY_SCOPES: Final = (Scope.READ, Scope.WATCH, Scope.OPERATE)
"""What a key may be given; a session may do everything."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """One session or one key, and whose it is."""

    user_id: int
    expires_at: int
    """When it ends if it is not used, in ms; 0: never."""
    user: str
    session_id: str = ""
    key_id: str = ""
    scopes: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    noted_ms: int
    """The last use that SQL knows of."""
    checked_ms: int

    def is_over(self, now_ms: int) -> bool:
        return 0 < self.expires_at <= now_ms

    def is_due(self, now_ms: int) -> bool:
        """Say whether SQL should be asked again."""
        return now_ms - self.checked_ms >= CHECK_EVERY_MS

    def is_to_note(self, now_ms: int) -> bool:
        return now_ms - self.noted_ms >= NOTE_EVERY_MS

    def life_s(self, now_ms: int) -> float:
        """Say for how long a cache may keep this."""
        return ((self.expires_at or now_ms + KEY_LIFE_MS) - now_ms) / 1_000

    def identity(self, digest: str) -> Identity:
        """Return who shows the secret of this digest."""
        return Identity(
            user=self.user,
            user_id=self.user_id,
            session_id=self.session_id,
            key_id=self.key_id,
            scopes=EVERYTHING
            if self.session_id
            else frozenset(one for one in KEY_SCOPES if one in self.scopes),
            rule=SymbolRule(self.symbols),
            expires_ms=self.expires_at,
            digest=digest,
        )


def known_session(session: StoredSession, user: User, now_ms: int) -> Known:
    return Known(
        user_id=user.id,
        user=user.name,
        symbols=tuple(user.symbols),
        session_id=session.id,
        expires_at=session.expires_ms,
        noted_ms=session.last_activity_ms,
        checked_ms=now_ms,
    )


def known_key(key: StoredKey, user: User, now_ms: int) -> Known:
    return Known(
        user_id=user.id,
        user=user.name,
        symbols=tuple(user.symbols),
        key_id=key.id,
        scopes=tuple(key.scopes),
        expires_at=key.expires_ms or 0,
        noted_ms=key.last_used_ms or 0,
        checked_ms=now_ms,
    )


def parse_known(text: bytes | None) -> Known | None:
    """Read what a cache holds; None if that is nothing of ours."""
    if text is None:
        return None
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return None


format_known: Final[Callable[[Known], bytes]] = msgspec.json.encode
_decoder: Final = msgspec.json.Decoder(Known)
