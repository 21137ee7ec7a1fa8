"""Why a stream is over for good.

`CloseCode.may_reconnect` says which of the gateway's close codes allow to come back; of codes that
this client does not know, 44xx do not.
"""

from protocol.errors import CloseCode


class StreamError(Exception):
    """The gateway will not serve this stream, however often it is asked."""


class StreamClosed(StreamError):
    """The gateway closed the stream with a code that forbids to come back with the same."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"the gateway closed the stream: {code} {reason}".rstrip())


class StreamRefused(StreamError):
    """The upgrade was refused: no such path, not allowed, or not the asked version."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        super().__init__(f"{url} does not serve this stream: {reason}")


class NotConnected(Exception):
    """There is no connection at this moment: nothing was said, and nothing will be later."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(f"there is no connection to {url} now")


def may_come_back(code: int) -> bool:
    """Say whether a client may reconnect after this close code."""
    if code in CloseCode.__members__.values():
        return CloseCode(code).may_reconnect
    return not 4400 <= code < 4500
