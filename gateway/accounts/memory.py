"""What this process remembers for a moment of who showed what, so that not every request asks the cache.

A revocation is heard of at once; `KNOWN_MS` is for when it was not.
"""

from collections import OrderedDict
from typing import Final, NamedTuple

from gateway.accounts.identity import Identity
from gateway.accounts.notices import Revoked

KNOWN_MS: Final = 5_000
UNKNOWN_MS: Final = 1_000
MOST: Final = 20_000


class Remembered(NamedTuple):
    identity: Identity | None
    """None: nobody was given what has this digest."""
    until_ms: int


class Memory:
    """Identities by the digest of what they showed. Full: the one that was not asked for longest goes."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._held: OrderedDict[str, Remembered] = OrderedDict()

    def get(self, digest: str, now_ms: int) -> Remembered | None:
        """Return what is remembered; None: nothing is."""
        found = self._held.get(digest)
        if found is None or found.until_ms <= now_ms:
            return None
        self._held.move_to_end(digest)
        return found

    def put(self, digest: str, identity: Identity | None, now_ms: int) -> None:
        until_ms = now_ms + (UNKNOWN_MS if identity is None else KNOWN_MS)
        if identity is not None and identity.expires_ms:
            until_ms = min(until_ms, identity.expires_ms)
        self._held[digest] = Remembered(identity, until_ms)
        self._held.move_to_end(digest)
        if len(self._held) > self._most:
            self._held.popitem(last=False)

    def forget(self, revoked: Revoked) -> list[str]:
        """Forget all who are meant; return the digests of what they showed."""
        gone = [
            digest
            for digest, (one, _) in self._held.items()
            if one and revoked.means(one.user_id, one.session_id, one.key_id)
        ]
        for digest in gone:
            del self._held[digest]
        return gone
