"""The frames that a client sends, RFC 6455 section 5, parsed as they come in.

    byte 0    FIN (1 bit), RSV1-3 (3 bits, always 0), opcode (4 bits)
    byte 1    MASK (1 bit, always 1), length (7 bits)
    0, 2, 8   a longer length: of 2 bytes if the 7 bits say 126, of 8 if they say 127
    4         the masking key
    …         the payload, each byte XORed with its byte of the key

The rules of this file:
- Data comes cut at any place; what is not a whole frame yet waits. A frame is refused as soon as its header
  says so: at most one frame of the largest size waits.
- A message may come in fragments, with control frames between them, but not with another message or a CLOSE.
- TEXT is UTF-8: 1007. A message is at most `max_bytes` long: 1009. All else that is wrong: 1002.
- After a mistake, and after a CLOSE, nothing is looked at any more.

Pure: bytes in, what they say out.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

from websockets.utils import apply_mask

from protocol.errors import CloseCode


class Opcode(IntEnum):
    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


OPCODES: Final = frozenset(Opcode)
FIN: Final = 0x80
RESERVED: Final = 0x70
MASK: Final = 0x80
KEY_BYTES: Final = 4
CONTROL: Final = 0x8
"""The bit of an opcode that says so."""
MAX_CONTROL_BYTES: Final = 125
PROTOCOL_ERROR: Final = 1002
NO_CODE: Final = 1005
"""What a CLOSE without a code is taken for."""
_CODES: Final = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})
"""Registered, and allowed in a frame. From 3000 to 4999 everything is."""


class Incoming(NamedTuple):
    """A whole message, or a control frame."""

    opcode: Opcode
    """Never CONTINUATION."""
    payload: bytes
    code: int = 0
    """Of a CLOSE."""


class BadFrame(Exception):
    """The client does not keep to the protocol."""

    def __init__(self, close_code: int, reason: str) -> None:
        self.close_code = close_code
        self.reason = reason
        super().__init__(reason)


class _Header(NamedTuple):
    opcode: Opcode
    fin: bool
    key: bytes
    start: int
    """Where the payload begins, and where it ends."""
    end: int


class FrameReader:
    """One client's."""

    __slots__ = ("_held", "_max_bytes", "_message", "_opcode")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held: bytearray | None = None
        """The beginning of a frame."""
        self._opcode: Opcode | None = None
        """Of the message of which fragments have come."""
        self._message: bytearray | None = None
        """What they have brought; None: nothing."""

    def read(self, data: bytes) -> Iterator[Incoming]:
        """Yield what is complete now. Raises BadFrame, never anything else; read nothing after that."""
        source: bytes | bytearray = data
        if self._held is not None:
            self._held += data
            source = self._held
        at = 0
        while (header := self._header(source, at)) and header.end <= len(source):
            payload = bytes(apply_mask(source[header.start : header.end], header.key))
            at = header.end
            incoming = self._on_frame(header, payload)
            if incoming is not None:
                yield incoming
        self._held = bytearray(source[at:]) if at < len(source) else None

    def _header(self, data: bytes | bytearray, at: int) -> _Header | None:
        """Read the header that begins here; None if it is not whole."""
        if len(data) < at + 2:
            return None
        first, second = data[at], data[at + 1]
        opcode = first & 0x0F
        if opcode not in OPCODES:
            raise _wrong("invalid opcode")
        if not second & MASK:
            raise _wrong("not masked")
        length, start = second & 0x7F, at + 2
        if length > MAX_CONTROL_BYTES:
            start += 2 if length == 126 else 8
            if len(data) < start:
                return None
            length = int.from_bytes(data[at + 2 : start], "big")
        self._check(opcode, first, length)
        key = bytes(data[start : start + KEY_BYTES])
        start += KEY_BYTES
        return _Header(Opcode(opcode), bool(first & FIN), key, start, start + length)

    def _check(self, opcode: int, first: int, length: int) -> None:
        """Refuse what may not come, before its payload does."""
        is_control = opcode & CONTROL
        if length > (MAX_CONTROL_BYTES if is_control else self._room):
            if is_control:
                raise _wrong("control frame too long")
            raise BadFrame(CloseCode.MESSAGE_TOO_BIG, f"more than {self._max_bytes} bytes")
        if first & RESERVED:
            raise _wrong("a reserved bit is set")
        if is_control and not first & FIN:
            raise _wrong("fragmented control frame")
        if not is_control and (opcode == Opcode.CONTINUATION) is (self._opcode is None):
            raise _wrong("a message inside a message" if opcode else "a continuation of nothing")

    @property
    def _room(self) -> int:
        """How long the rest of a message may be."""
        return self._max_bytes - len(self._message or b"")

    def _on_frame(self, header: _Header, payload: bytes) -> Incoming | None:
        if header.opcode & CONTROL:
            return self._on_control(header.opcode, payload)
        if header.opcode is not Opcode.CONTINUATION:
            self._opcode = header.opcode
        if self._message is not None:
            self._message += payload
        elif not header.fin and payload:
            self._message = bytearray(payload)
        return self._take_message(payload) if header.fin else None

    def _take_message(self, last: bytes) -> Incoming:
        assert self._opcode is not None  # its first fragment has said it
        opcode, payload = self._opcode, last if self._message is None else bytes(self._message)
        self._opcode = self._message = None
        if opcode is Opcode.TEXT:
            _check_text(payload)
        return Incoming(opcode, payload)

    def _on_control(self, opcode: Opcode, payload: bytes) -> Incoming:
        if opcode is not Opcode.CLOSE:
            return Incoming(opcode, payload)
        code = _close_code(payload)
        if self._opcode is not None:
            raise _wrong("a message was not finished")
        return Incoming(opcode, payload, code)


def _close_code(payload: bytes) -> int:
    """Return the code of a CLOSE."""
    if not payload:
        return NO_CODE
    if len(payload) == 1:
        raise _wrong("close frame too short")
    _check_text(payload[2:])
    code = int.from_bytes(payload[:2], "big")
    if code not in _CODES and not 3000 <= code <= 4999:
        raise _wrong("invalid close code")
    return code


def _check_text(payload: bytes) -> None:
    if payload.isascii():
        return
    try:
        payload.decode()
    except UnicodeDecodeError as error:
        raise BadFrame(CloseCode.INVALID_TEXT, f"no UTF-8 at byte {error.start}") from None


def _wrong(reason: str) -> BadFrame:
    return BadFrame(PROTOCOL_ERROR, reason)
