"""Whose a token or a key is: out of this process's memory, else the cache, else SQL.

The rules of this file:
- What SQL does not know is wrong; what is wrong is remembered for a second, and its address counted.
- What the cache knows is true until it is due to be checked, and for as long as SQL does not answer, which is
  found out once every few seconds and not by everybody.
- What was looked up while a revocation came in may be older than that, and is not kept.
- That somebody was here is written down at most once a minute; a session's end moves with it.
"""

from dataclasses import dataclass
from hmac import compare_digest
from typing import Final

import structlog
from msgspec.structs import replace

from gateway.accounts.credentials import Credentials
from gateway.accounts.errors import AccountsDown, TooManyGuesses
from gateway.accounts.guesses import Guesses
from gateway.accounts.identity import Identity
from gateway.accounts.known import Known, format_known, known_key, known_session, parse_known
from gateway.accounts.memory import Memory
from gateway.accounts.notices import Revoked
from gateway.accounts.tokens import is_token, parse_key, token_hash
from gateway.addresses import counted_as
from gateway.cache import keys
from gateway.cache.cache import Cache
from gateway.metadata.database import Database
from gateway.metadata.errors import MetadataDown
from gateway.metadata.sessions import StoredSession

AWAY_MS: Final = 6_000
"""Longer than SQL may take to answer."""
MOST_FORGOTTEN: Final = 100_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Shown:
    """What was shown, in the form in which it is looked up."""

    digest: str
    key_id: str
    """Empty: it is a session token."""
    place: str
    """Where it came from, as guesses are counted; empty: they are not."""


def shown_by(credentials: Credentials) -> Shown | None:
    """Read what was shown; None if it has the form of nothing that we give out."""
    text, place = credentials.text or "", counted_as(credentials.address)
    if is_token(text):
        return Shown(token_hash(text), "", place)
    key = parse_key(text)
    return Shown(token_hash(key.secret), key.id, place) if key else None


class Lookup:
    """Finds identities by what they show."""

    def __init__(
        self, database: Database, cache: Cache, session_life_s: float, session_longest_s: float
    ) -> None:
        self._database = database
        self._cache = cache
        self._life_ms = round(session_life_s * 1_000)
        self._longest_ms = round(session_longest_s * 1_000)
        self._memory = Memory()
        self._guesses = Guesses()
        self._revocations = 0
        """So many have been heard of."""
        self._forgotten: dict[str, None] = {}
        """Digests that the cache still has to forget, and is not asked for. Full, at `MOST_FORGOTTEN`: of the
        first of them the cache may say what was true until that is due to be checked."""
        self._away_until_ms = 0
        """SQL did not answer, and is not asked again before then."""

    async def find(self, shown: Shown, now_ms: int) -> Identity | None:
        """Return whose it is; None if nobody's. Raises AccountsDown, TooManyGuesses."""
        remembered = self._memory.get(shown.digest, now_ms)
        if remembered is not None:
            return remembered.identity
        heard = self._revocations
        known = await self._known(shown, now_ms)
        identity = known.identity(shown.digest) if known else None
        if heard == self._revocations:
            self._memory.put(shown.digest, identity, now_ms)
        return identity

    async def keep(self, digest: str, known: Known, now_ms: int) -> None:
        """Let all gateways know a session or a key."""
        await self._cache.put({keys.session(digest): format_known(known)}, known.life_s(now_ms))

    def forget(self, revoked: Revoked) -> None:
        """Know nothing any more of those who are meant; the cache forgets them in `flush`."""
        self._revocations += 1
        self._forgotten |= dict.fromkeys([*self._memory.forget(revoked), *revoked.hashes])
        while len(self._forgotten) > MOST_FORGOTTEN:
            del self._forgotten[next(iter(self._forgotten))]

    async def flush(self) -> None:
        """Let the cache forget what is to be forgotten."""
        digests = list(self._forgotten)
        if digests:
            await self._cache.forget(*map(keys.session, digests))
        for digest in digests:
            self._forgotten.pop(digest, None)

    def ends_ms(self, created_ms: int, now_ms: int) -> int:
        """Say when a session ends that is used now."""
        return min(now_ms + self._life_ms, created_ms + self._longest_ms)

    async def _known(self, shown: Shown, now_ms: int) -> Known | None:
        cached = await self._cached(shown, now_ms)
        if cached is None:
            return await self._ask_of_stranger(shown, now_ms)
        if not cached.is_due(now_ms):
            return cached
        try:
            return await self._ask(shown, now_ms)
        except AccountsDown:
            return cached

    async def _cached(self, shown: Shown, now_ms: int) -> Known | None:
        cached = parse_known(await self._cache.get(keys.session(shown.digest)))
        if cached is None or shown.digest in self._forgotten:
            return None
        return cached if cached.key_id == shown.key_id and not cached.is_over(now_ms) else None

    async def _ask_of_stranger(self, shown: Shown, now_ms: int) -> Known | None:
        """Ask about what is not known here: it may be a guess, and counts as one until it turns out right."""
        if shown.place and (wait_s := self._guesses.wait_s(shown.place, now_ms)):
            raise TooManyGuesses(wait_s)
        self._guesses.count(shown.place, now_ms)
        known = await self._ask(shown, now_ms)
        if known is not None:
            self._guesses.count(shown.place, now_ms, -1)
        return known

    async def _ask(self, shown: Shown, now_ms: int) -> Known | None:
        """Ask SQL, and let the cache know what it says. Raises AccountsDown."""
        heard = self._revocations
        known = await self._ask_if_there(shown, now_ms)
        if known is None:
            await self._cache.forget(keys.session(shown.digest))
        elif heard == self._revocations:
            await self.keep(shown.digest, known, now_ms)
        return known

    async def _ask_if_there(self, shown: Shown, now_ms: int) -> Known | None:
        if now_ms < self._away_until_ms:
            raise AccountsDown((self._away_until_ms - now_ms) / 1_000)
        if self._away_until_ms:
            self._away_until_ms = now_ms + AWAY_MS  # this one tries; the others do not wait with it
        try:
            known = await (self._ask_key(shown, now_ms) if shown.key_id else self._ask_session(shown, now_ms))
        except MetadataDown as error:
            log.warning("accounts.unavailable", reason=str(error))
            self._away_until_ms = now_ms + AWAY_MS
            raise AccountsDown(error.retry_after_s) from error
        self._away_until_ms = 0
        return known

    async def _ask_session(self, shown: Shown, now_ms: int) -> Known | None:
        session = await self._database.sessions.by_token(shown.digest)
        if session is None or not session.is_active or session.expires_ms <= now_ms:
            return None
        user = await self._database.users.by_id(session.user_id)
        if user is None or not user.is_active:
            return None
        known = known_session(session, user, now_ms)
        return await self._noted(session, known, now_ms) if known.is_to_note(now_ms) else known

    async def _noted(self, session: StoredSession, known: Known, now_ms: int) -> Known | None:
        ends_ms = self.ends_ms(session.created_ms, now_ms)
        if not await self._database.sessions.touch(session.id, now_ms, ends_ms):
            return None  # it was ended at this moment
        return replace(known, expires_at=ends_ms, noted_ms=now_ms)

    async def _ask_key(self, shown: Shown, now_ms: int) -> Known | None:
        key = await self._database.keys.by_id(shown.key_id)
        if key is None or not key.is_active or not compare_digest(key.secret_hash, shown.digest):
            return None
        if key.expires_ms is not None and key.expires_ms <= now_ms:
            return None
        user = await self._database.users.by_id(key.user_id)
        if user is None or not user.is_active:
            return None
        known = known_key(key, user, now_ms)
        if known.is_to_note(now_ms):
            await self._database.keys.touch(key.id, now_ms)
            known = replace(known, noted_ms=now_ms)
        return known
