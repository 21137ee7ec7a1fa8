"""Everything that can be wrong with what a peer sent.

One tree: catch `ProtocolError` and nothing that the wire can do escapes. Each class that
ends a conversation knows the WebSocket close code to end it with.
"""

from enum import IntEnum


class CloseCode(IntEnum):
    """Why the server closed a stream. 44xx: retrying the same will fail the same. 45xx: reconnect."""

    GOING_AWAY = 1001
    UNSUPPORTED_DATA = 1003
    INVALID_TEXT = 1007
    MESSAGE_TOO_BIG = 1009
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_MESSAGE = 4400
    NOT_LOGGED_IN = 4401
    LOGGED_OUT = 4403
    TOO_MANY_MESSAGES = 4429
    TOO_MANY_CONNECTIONS = 4430
    NO_PONG = 4504
    TOO_SLOW = 4508

    @property
    def may_reconnect(self) -> bool:
        """Say whether the same client may come back and expect to be served."""
        return self in _RECONNECT


_RECONNECT = frozenset(
    {
        CloseCode.GOING_AWAY,
        CloseCode.SERVICE_RESTART,
        CloseCode.TRY_AGAIN_LATER,
        CloseCode.NO_PONG,
        CloseCode.TOO_SLOW,
    }
)


class ProtocolError(Exception):
    """What arrived is not what `SPEC.md` describes."""

    close_code = CloseCode.BAD_MESSAGE


class BadLength(ProtocolError):
    """A frame is shorter or longer than its header says."""

    def __init__(self, expected: int, actual: int) -> None:
        self.expected = expected
        self.actual = actual
        super().__init__(f"frame has {actual} bytes, not the {expected} that it should")


class BadChecksum(ProtocolError):
    """The CRC-32 in the frame header does not match the frame body."""

    def __init__(self, expected: int, actual: int) -> None:
        self.expected = expected
        self.actual = actual
        super().__init__(f"frame CRC is {actual:#010x}, header says {expected:#010x}")


class BadVersion(ProtocolError):
    """A v2 frame carries another version number."""

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__(f"frame version is {version}, this reader knows 2")


class UnknownKind(ProtocolError):
    """A v2 frame carries a kind of record that this reader does not know."""

    def __init__(self, kind: int) -> None:
        self.kind = kind
        super().__init__(f"frame kind {kind} is not known")


class TooManyRecords(ProtocolError):
    """More records than a frame's 16-bit count can say."""

    def __init__(self, count: int, limit: int) -> None:
        self.count = count
        self.limit = limit
        super().__init__(f"{count} records do not fit a frame of at most {limit}")


class BadValue(ProtocolError):
    """A number that no market can state: NaN, infinite or negative, or an id out of range."""

    def __init__(self, field: str, value: object) -> None:
        self.field = field
        self.value = value
        super().__init__(f"{field} cannot be {value!r}")


class BadMessage(ProtocolError):
    """A text message is not JSON, or not one of the messages of `control.py`."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class BadText(BadMessage):
    """A string in a text message is not UTF-8."""

    close_code = CloseCode.INVALID_TEXT


class TooManyMessages(ProtocolError):
    """A client sends control messages faster than the stated rate."""

    close_code = CloseCode.TOO_MANY_MESSAGES

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        super().__init__(f"more than {per_second:g} messages a second")


class UnknownSymbol(ProtocolError):
    """A symbol that no venue here has ever listed."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        super().__init__(f"{symbol!r} is not listed")


class UnknownSymbolId(ProtocolError):
    """A record uses a symbol id that no dictionary message has introduced."""

    def __init__(self, symbol_id: int) -> None:
        self.symbol_id = symbol_id
        super().__init__(f"symbol id {symbol_id} was never introduced")


class UnknownBase(ProtocolError):
    """A COMPACT record counts from a BASE that has not come."""

    def __init__(self, symbol_id: int) -> None:
        self.symbol_id = symbol_id
        super().__init__(f"no BASE has come for symbol id {symbol_id}")


class UnknownInterval(ProtocolError):
    """An interval that no candle has."""

    def __init__(self, interval: object) -> None:
        self.interval = interval
        super().__init__(f"unknown interval {interval!r}")


class BadSubject(ProtocolError):
    """A bus subject that `subjects.py` did not build."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        super().__init__(f"not one of our subjects: {subject!r}")
