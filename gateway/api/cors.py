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
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.answers import json_response
from gateway.api.origins import ANYBODY, Origins

MAX_AGE_S: Final = 7_200
"""How long a browser remembers what it was granted: Chromium's longest."""


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


@dataclass(frozen=True, slots=True)
class Grant:
    """What the page that sends one request may do."""

    origin: str
    """Who may read the answer: an origin, or `*`; empty: no other origin."""
    rules: CorsRules
    varies: bool
    """Another origin would be granted something else."""

    def answer_headers(self) -> dict[str, str]:
        headers = {"Access-Control-Allow-Origin": self.origin}
        if self.rules.exposed:
            headers["Access-Control-Expose-Headers"] = ", ".join(self.rules.exposed)
        if self.rules.credentials:
            headers["Access-Control-Allow-Credentials"] = "true"
        return headers if self.origin else {}

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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = Headers(scope=scope).get("origin", "")
        grant = self.grant(origin, scope["path"])

        async def send_granted(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(grant.answer_headers())
                if grant.varies:
                    headers.add_vary_header("Origin")
            await send(message)

        if scope["method"] == "OPTIONS" and origin:
            await _answer_preflight(grant)(scope, receive, send_granted)
        else:
            await self._app(scope, receive, send_granted if grant.origin or grant.varies else send)

    def grant(self, origin: str, path: str) -> Grant:
        """Decide what a page of this origin may do at this path; empty: the request says no origin."""
        area = next((one for one in self._areas if one.covers(path)), None)
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
        return Grant(reader, rules, not same_for_all)


def _answer_preflight(grant: Grant) -> Response:
    """Answer what a browser asks before it sends what a plain form could not."""
    if grant.origin:
        return Response(status_code=204, headers=grant.preflight_headers())
    message = "pages of this origin may not use this API; server.cors.allowed_origins lists those that may"
    return json_response({"error": "origin_not_allowed", "message": message}, 403)
