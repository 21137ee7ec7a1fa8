"""What a request shows of who it is.

    Authorization: Bearer <session token or API key>     programs
    X-Session-Token: <the same>                          programs
    Cookie: session_token=<session token>                browsers, which send it without being asked to

The first of them that is there counts. Any other scheme of Authorization is not for us: a proxy before the
gateway may have asked for a password of its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

COOKIE: Final = "session_token"
HEADER: Final = "X-Session-Token"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A session token or an API key, as it was shown; nothing about it has been checked."""

    text: str | None = field(default=None, repr=False)
    """None: nothing was shown."""
    is_cookie: bool = False
    """A browser may have sent it at the wish of another site's page."""
    address: str = ""
    """Where it came from, for those who count wrong ones."""


def read_credentials(headers: Iterable[tuple[str, str]], address: str = "") -> Credentials:
    """Find what a request shows, among all its headers by name and value."""
    shown: dict[str, str] = {}
    for name, value in headers:
        shown.setdefault(name.lower(), value.strip())
    scheme, _, bearer = shown.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return Credentials(bearer.strip(), address=address)
    if (token := shown.get(HEADER.lower())) is not None:
        return Credentials(token, address=address)
    cookie = _read_cookie(shown.get("cookie", ""))
    return Credentials(cookie, is_cookie=cookie is not None, address=address)


def _read_cookie(header: str) -> str | None:
    """Return the token; None if there is none, or an empty one, which is how some clients forget it."""
    for pair in header.split(";"):
        name, _, value = pair.partition("=")
        if name.strip() == COOKIE:
            return value.strip().strip('"') or None
    return None
