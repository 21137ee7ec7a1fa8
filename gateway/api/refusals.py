"""Answers that say why there is none.

Handlers raise one of `REFUSALS`. What that means for a client is said here once, and written in the form of
the API that was asked: `{"error", "message"[, "parameter"]}`, or UDF's own.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Final

from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway.accounts.credentials import COOKIE
from gateway.accounts.errors import AccountError, NotLoggedIn
from gateway.api.answers import json_response
from gateway.api.params import BadParameter
from gateway.history.questions import HistoryUnavailable, WindowTooLong
from gateway.metadata.errors import DoesNotFit, MetadataDown, MetadataError, OtherSymbols, WatchlistFull
from protocol.errors import UnknownSymbol


class Refused(Exception):
    """The root of what handlers themselves refuse; the message is for whoever asked."""

    status: ClassVar[int]

    def __init__(self, error: str, message: str, retry_after_s: float = 0) -> None:
        self.error = error
        """One word for programs."""
        self.retry_after_s = retry_after_s
        super().__init__(message)


class NotAllowed(Refused):
    """Whoever asks may not have it."""

    status = 403


class NotThere(Refused):
    """What is asked for does not exist here."""

    status = 404


class TooOften(Refused):
    """It is asked for more often than this client may."""

    status = 429


class NotYet(Refused):
    """What is asked for does not exist yet."""

    status = 503


REFUSALS: Final = (
    AccountError,
    BadParameter,
    HistoryUnavailable,
    HTTPException,
    MetadataError,
    Refused,
    UnknownSymbol,
    WindowTooLong,
)
"""What a handler may raise: it becomes an answer."""
FORGET_COOKIE: Final = f"{COOKIE}=; HttpOnly; Max-Age=0; Path=/; SameSite=Lax"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that says why there is none."""

    status: int
    error: str
    message: str
    parameter: str | None = None
    retry_after_s: float = 0
    allow: str | None = None
    forgets_cookie: bool = False
    """The session cookie that came is worth nothing: the next request had better come without."""

    @property
    def headers(self) -> dict[str, str]:
        headers = {"Cache-Control": "no-store"}
        if self.retry_after_s:
            headers["Retry-After"] = str(math.ceil(self.retry_after_s))
        if self.allow:
            headers["Allow"] = self.allow
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if self.forgets_cookie:
            headers["Set-Cookie"] = FORGET_COOKIE
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
        case Refused():
            return Refusal(error.status, error.error, str(error), retry_after_s=error.retry_after_s)
        case NotLoggedIn():
            return Refusal(401, error.error, str(error), forgets_cookie=error.by_cookie)
        case AccountError():
            return Refusal(error.status, error.error, str(error), retry_after_s=error.retry_after_s)
        case MetadataError():
            return _metadata_refusal(error)
        case HistoryUnavailable():
            return Refusal(503, "history_unavailable", str(error), retry_after_s=error.retry_after_s)
        case HTTPException():
            allow = (error.headers or {}).get("Allow")
            return Refusal(error.status_code, "http_error", error.detail, allow=allow)
    raise error


def _metadata_refusal(error: MetadataError) -> Refusal:
    match error:
        case MetadataDown():  # where it is and what is wrong with it is for the log
            reason = "what is kept about users cannot be had now"
            return Refusal(503, "metadata_unavailable", reason, retry_after_s=error.retry_after_s)
        case WatchlistFull():
            return Refusal(409, "watchlist_full", str(error))
        case OtherSymbols():
            return Refusal(409, "other_symbols", str(error))
        case DoesNotFit():
            return Refusal(400, "bad_value", str(error))
    raise error


def refuse(refusal: Refusal) -> Response:
    """Answer as the API does."""
    body = {"error": refusal.error, "message": refusal.message}
    if refusal.parameter is not None:
        body["parameter"] = refusal.parameter
    return json_response(body, refusal.status, refusal.headers)
