"""Answers that say why there is none.

Handlers raise one of `REFUSALS`. What that means for a client is said here once, and written in the form of
the API that was asked: `{"error", "message"[, "parameter"]}`, or UDF's own.
"""

import math
from dataclasses import dataclass
from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway.api.answers import json_response
from gateway.api.params import BadParameter
from gateway.history.questions import HistoryUnavailable, WindowTooLong
from protocol.errors import UnknownSymbol


class NotThere(Exception):
    """What is asked for does not exist here; the message says what."""

    status = 404

    def __init__(self, error: str, message: str) -> None:
        self.error = error
        super().__init__(message)


class NotAllowed(NotThere):
    """Whoever asks may not have it; or, logged in, could (401)."""

    status = 403


class NotYet(NotThere):
    """What is asked for does not exist yet."""

    status = 503


REFUSALS: Final = (BadParameter, HistoryUnavailable, HTTPException, NotThere, UnknownSymbol, WindowTooLong)
"""What a handler may raise: it becomes an answer."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that says why there is none."""

    status: int
    error: str
    message: str
    parameter: str | None = None
    retry_after_s: float = 0
    allow: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        headers = {"Cache-Control": "no-store"}
        if self.retry_after_s:
            headers["Retry-After"] = str(math.ceil(self.retry_after_s))
        if self.allow:
            headers["Allow"] = self.allow
        return headers


def refusal_of(error: Exception) -> Refusal:
    """Say how one of `REFUSALS` is answered."""
    match error:
        case BadParameter():
            return Refusal(400, "bad_parameter", str(error), parameter=error.name)
        case WindowTooLong():
            return Refusal(400, "window_too_long", str(error), parameter="from")
        case UnknownSymbol():
            return Refusal(404, "unknown_symbol", str(error))
        case NotThere():
            return Refusal(error.status, error.error, str(error))
        case HistoryUnavailable():
            return Refusal(503, "history_unavailable", str(error), retry_after_s=error.retry_after_s)
        case HTTPException():
            allow = (error.headers or {}).get("Allow")
            return Refusal(error.status_code, "http_error", error.detail, allow=allow)
    raise error


def refuse(refusal: Refusal) -> Response:
    """Answer as the API does."""
    body = {"error": refusal.error, "message": refusal.message}
    if refusal.parameter is not None:
        body["parameter"] = refusal.parameter
    return json_response(body, refusal.status, refusal.headers)
