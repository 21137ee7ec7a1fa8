"""What somebody shows to be let in: session tokens and API keys.

    session token   43 characters of A-Za-z0-9_-      32 random bytes
    API key         tg_<id>_<secret>                  12 hex digits, not secret; as a session token

Of both only the SHA-256 is kept, in hex: of the token, or of the key's secret. They are long and random, so a
plain digest gives nothing away. A text of another form is worth nothing, and nobody is asked about it.
"""

import re
import secrets
from hashlib import sha256
from typing import Final, NamedTuple

TOKEN_BYTES: Final = 32
KEY_ID_BYTES: Final = 6
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_KEY: Final = re.compile(r"tg_([0-9a-f]{12})_([A-Za-z0-9_-]{43})", re.ASCII)


class Key(NamedTuple):
    """An API key, taken apart."""

    id: str
    secret: str

    @property
    def text(self) -> str:
        """The whole key, as it is shown once and sent from then on."""
        return f"tg_{self.id}_{self.secret}"


def new_token() -> str:
    return secrets.token_urlsafe(TOKEN_BYTES)


def new_session_id() -> str:
    """Return a name for a session; it is no secret, and says nothing about the token."""
    return secrets.token_urlsafe(16)


def token_hash(token: str) -> str:
    """Return the form in which a session token, or a key's secret, is kept and looked up."""
    return sha256(token.encode()).hexdigest()


def is_token(text: str) -> bool:
    """Say whether a text has the form of a session token."""
    return _TOKEN.fullmatch(text) is not None


def new_key() -> Key:
    return Key(secrets.token_hex(KEY_ID_BYTES), new_token())


def parse_key(text: str) -> Key | None:
    """Take an API key apart; None if it is none."""
    match = _KEY.fullmatch(text)
    return Key(match[1], match[2]) if match else None
