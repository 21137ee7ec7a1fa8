"""What pages of other origins may read: Cross-Origin Resource Sharing.

The rules of this file:
- A listed origin may do what the rules say, with cookies if they say so.
- If `*` is listed, every other origin may do the same without cookies.
- What lies in an open area may be read by every origin, without cookies, listed or not.
- To all others nothing is granted. Their requests are answered even so: it is the browser that keeps the
  answer from the page. Only the question in advance (preflight) is refused, with 403.
- Every answer says it, also one that is an error: a page that may read learns what was wrong.
- An answer whose grant is not the same for every origin says so to caches (`Vary: Origin`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.answers import json_response
from gateway.api.origins import ANYBODY, Origins

MAX_AGE_S: Final = 7_200
"""How long a browser remembers what it was granted: Chromium's longest."""
KEPT_GRANTS: Final = 256
"""Full: the one that was not used for longest is made again when it is."""


@dataclass(frozen=True, slots=True)
class CorsRules:
    """What an allowed page may do."""

    methods: tuple[str, ...] = ("GET", "POST", "PUT", "DELETE", "OPTIONS")
    headers: tuple[str, ...] = ("Content-Type", "Authorization", "If-None-Match")
    """Which it may send."""
    exposed: tuple[str, ...] = ("ETag", "Retry-After")
    """Which it may read."""
    credentials: bool = False
    """Its requests carry cookies."""


@dataclass(frozen=True, slots=True)
class OpenArea:
    """Paths that pages of every origin may read."""

    root: str
    exposed: tuple[str, ...]

    def covers(self, path: str) -> bool:
        return path == self.root or path.startswith(f"{self.root}/")


class Grant:
    """What a page may do, made once for all its requests."""

    def __init__(self, reader: str, rules: CorsRules, *, varies: bool) -> None:
        """`reader` is an origin, or `*`; empty: no other origin may read."""
        self.reader: Final = reader
        self.rules: Final = rules
        headers = {"Access-Control-Allow-Origin": reader} if reader else {}
        if reader and rules.exposed:
            headers["Access-Control-Expose-Headers"] = ", ".join(rules.exposed)
        if reader and rules.credentials:
            headers["Access-Control-Allow-Credentials"] = "true"
        if varies:
            headers["Vary"] = "Origin"
        self.headers: Final = Headers(headers).raw
        """What every answer says of it."""

    def preflight_headers(self) -> dict[str, str]:
        return {
            "Access-Control-Allow-Methods": ", ".join(self.rules.methods),
            "Access-Control-Allow-Headers": ", ".join(self.rules.headers),
            "Access-Control-Max-Age": str(MAX_AGE_S),
        }


class Cors:
    """Says with every answer of an application who may read it."""

    def __init__(
        self, app: ASGIApp, origins: Origins, rules: CorsRules, areas: Sequence[OpenArea] = ()
    ) -> None:
        self._app = app
        self._origins = origins
        self._rules = rules
        self._areas = tuple(areas)
        self._grant_of = lru_cache(KEPT_GRANTS)(self._decide)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"), "")
        area = next((one for one in self._areas if one.covers(scope["path"])), None)
        grant = self._grant_of(origin, area)

        async def send_granted(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *grant.headers]
            await send(message)

        if scope["method"] == "OPTIONS" and origin:
            await _answer_preflight(grant)(scope, receive, send_granted)
        else:
            await self._app(scope, receive, send_granted if grant.headers else send)

    def _decide(self, origin: str, area: OpenArea | None) -> Grant:
        """Decide what a page of this origin may do; empty: the request says no origin."""
        is_open, rules = self._origins.anybody or area is not None, self._rules
        same_for_all = not self._origins.listed or (is_open and not rules.credentials)
        if self._origins.lists(origin):
            reader = ANYBODY if same_for_all else origin
        else:
            reader = ANYBODY if is_open else ""
            rules = replace(rules, credentials=False)
            if not self._origins.anybody:
                rules = replace(rules, methods=("GET", "HEAD"), headers=("*",))
        if area is not None:
            rules = replace(rules, exposed=tuple(dict.fromkeys(rules.exposed + area.exposed)))
        return Grant(reader, rules, varies=not same_for_all)


def _answer_preflight(grant: Grant) -> Response:
    """Answer what a browser asks before it sends what a plain form could not."""
    if grant.reader:
        return Response(status_code=204, headers=grant.preflight_headers())
    message = "pages of this origin may not use this API; server.cors.allowed_origins lists those that may"
    return json_response({"error": "origin_not_allowed", "message": message}, 403)
