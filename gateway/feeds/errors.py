"""Why an exchange cannot be reached or does not answer, in words for whoever runs the gateway."""

import socket
import ssl
from http import HTTPStatus

_MEANING = {
    403: "its firewall turned us away: too many requests, or an address that it blocks",
    404: "there is nothing at this address: is the endpoint right?",
    418: "this address is banned for asking too much; it is lifted by itself",
    429: "too many requests",
    451: "the exchange does not serve the country or network that this machine is in",
}


class VenueError(Exception):
    """Something about the exchange's side failed."""


class Unreachable(VenueError):
    """No connection came about, or it broke before an answer."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        super().__init__(f"{url}: {reason}")


class Refused(VenueError):
    """The exchange answered, with an error."""

    def __init__(self, url: str, status: int, detail: str | None = None) -> None:
        self.url = url
        self.status = status
        self.detail = detail
        super().__init__(f"{url}: HTTP {status}, {detail or _meaning(status)}")


class UnusableAnswer(VenueError):
    """The exchange answered with something that is not what its documents describe."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        super().__init__(f"{url}: the answer makes no sense: {reason}")


def _meaning(status: int) -> str:
    known = {one.value: one.phrase for one in HTTPStatus}
    return _MEANING.get(status) or known.get(status, "an unknown status")


def explain(error: BaseException) -> str:
    """Say what a failed attempt to connect means, looking behind the library's own words."""
    cause: BaseException | None = error
    while cause is not None:
        match cause:
            case BaseExceptionGroup():  # one for each address of the host
                return explain(cause.exceptions[0])
            case socket.gaierror():
                return f"the name cannot be resolved ({cause.strerror}): is there a network and a DNS server?"
            case ssl.SSLCertVerificationError():
                return f"its TLS certificate is not trusted ({cause.verify_message}): is a proxy in between?"
            case ssl.SSLError():
                return f"TLS failed ({cause.reason or cause})"
            case ConnectionRefusedError():
                return "nothing listens there (connection refused)"
            case ConnectionResetError():
                return "the connection was reset"
            case TimeoutError():
                return "no answer in time"
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__
