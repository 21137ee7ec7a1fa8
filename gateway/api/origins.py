"""Which pages may act for the person who looks at them: those of our own host, and those that are listed.

The rules of this file:
- An origin is a scheme, a host and a port: `https://app.example.com`. A port that goes without saying is left
  out.
- A page of ours has the host that it asks, port included. Its scheme is not compared: behind a proxy ours is
  not always known.
- `null` is what browsers say of pages that could be anybody's: it is never allowed, listed or not.
- `*` in the list is for reading without cookies (`anybody`); no page acts for anyone because of it.
"""

import re
from collections.abc import Sequence
from typing import Final

ANYBODY: Final = "*"
_ORIGIN: Final = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?")
_WELL_KNOWN_PORTS: Final = {"http": "80", "https": "443"}


class Origins:
    """The origins that are allowed."""

    def __init__(self, listed: Sequence[str] = ()) -> None:
        self.anybody: Final = ANYBODY in listed
        """Pages of every origin may read, without cookies."""
        self.listed: Final = frozenset(filter(None, map(_plain, listed)))

    def allows(self, origin: str | None, host: str) -> bool:
        """Say whether a page of this origin may act for its visitor at this host.

        None, where a browser said no origin, is allowed nothing: whoever asks decides what that means.
        """
        plain = _plain(origin or "")
        if not plain:
            return False
        scheme = plain.partition("://")[0]
        is_own = scheme in _WELL_KNOWN_PORTS and plain == _plain(f"{scheme}://{host}")
        return is_own or plain in self.listed

    def lists(self, origin: str) -> bool:
        """Say whether this origin is listed by name."""
        return _plain(origin) in self.listed


def _plain(origin: str) -> str:
    """Write an origin in the one way in which two can be compared; empty: it is none."""
    match = _ORIGIN.fullmatch(origin.lower().rstrip("/"))
    if match is None:
        return ""
    scheme, host, port = match.groups()
    said = "" if port in (None, _WELL_KNOWN_PORTS.get(scheme)) else f":{port}"
    return f"{scheme}://{host}{said}"
