"""What is answered to whoever sends something that is no request, or too much of it, or too slowly.

The answers are made once and written straight to the connection, which ends with them.
"""

from http import HTTPStatus
from typing import Final

import msgspec

AGAIN_S: Final = 5
"""When to come again, where there is no better guess."""


class Rejection:
    """One reason, and its answer."""

    def __init__(self, status: HTTPStatus, error: str, message: str) -> None:
        self.error: Final = error
        self.answer: Final = _encode(status, {"error": error, "message": message})


class Rejected(Exception):
    """What comes in is not served."""

    def __init__(self, rejection: Rejection) -> None:
        self.rejection = rejection
        super().__init__(rejection.error)


def _encode(status: HTTPStatus, body: dict[str, str]) -> bytes:
    content = msgspec.json.encode(body)
    head = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        head.append(f"Retry-After: {AGAIN_S}")
    return "\r\n".join([*head, "", ""]).encode() + content


MALFORMED: Final = Rejection(HTTPStatus.BAD_REQUEST, "malformed_request", "this is no HTTP/1.1 request")
BAD_HOST: Final = Rejection(
    HTTPStatus.BAD_REQUEST, "bad_host", "a request names one host, in one Host header"
)
BAD_PATH: Final = Rejection(HTTPStatus.BAD_REQUEST, "bad_path", "no path has a NUL in it")
TOO_MANY_AT_ONCE: Final = Rejection(
    HTTPStatus.BAD_REQUEST, "too_many_at_once", "wait for an answer before you send more requests"
)
TOO_SLOW: Final = Rejection(
    HTTPStatus.REQUEST_TIMEOUT, "request_timeout", "the request did not come to its end in time"
)
HEAD_TOO_LONG: Final = Rejection(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_long", "the head of the request is too long"
)
BODY_TOO_LONG: Final = Rejection(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_long", "the body of the request is too long"
)
TOO_MANY_CONNECTIONS: Final = Rejection(
    HTTPStatus.SERVICE_UNAVAILABLE, "too_many_connections", "too many connections are open"
)
