"""What a client sends is understood as RFC 6455 has it, and as the `websockets` library does."""

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.frames import Frame
from websockets.frames import Opcode as LibraryOpcode
from websockets.protocol import Protocol, Side

from gateway.ws.frames_in import BadFrame, FrameReader, Incoming, Opcode

MAX_BYTES = 1_000
CODES = (0, 999, 1000, 1003, 1004, 1005, 1006, 1012, 1014, 1015, 1016, 2999, 3000, 4508, 4999, 5000, 65_535)


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, key: bytes = b"\1\2\3\4", first: int = 0
) -> bytes:
    """A client's frame; `first` are further bits of its first byte."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    masked = bytes(one ^ two for one, two in zip(payload, itertools.cycle(key)))
    return bytes([(0x80 if fin else 0) | opcode | first]) + length + key + masked


def read(*pieces: bytes, reader: FrameReader | None = None) -> tuple[list[Incoming], int | None]:
    """Read a stream that comes in pieces: what it says, and the code of the mistake that ends it."""
    reader, said = reader or FrameReader(MAX_BYTES), []
    try:
        for piece in pieces:
            for incoming in reader.read(piece):
                said.append(incoming)
                if incoming.opcode is Opcode.CLOSE:
                    return said, None
    except BadFrame as error:
        return said, error.close_code
    return said, None


def test_a_text_is_unmasked():
    assert read(frame(1, b"hello")) == ([Incoming(Opcode.TEXT, b"hello")], None)


def test_fragments_are_one_message_and_control_frames_may_stand_between_them():
    stream = [
        frame(2, b"ab", fin=False),
        frame(9, b"p"),
        frame(0, b"", fin=False),
        frame(10),
        frame(0, b"cd"),
    ]
    said = [Incoming(Opcode.PING, b"p"), Incoming(Opcode.PONG, b""), Incoming(Opcode.BINARY, b"abcd")]
    assert read(*stream) == (said, None)


def test_a_character_may_be_cut_by_fragments():
    assert read(frame(1, b"\xe5\xb8", fin=False), frame(0, b"\x81")) == (
        [Incoming(Opcode.TEXT, "币".encode())],
        None,
    )


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (frame(1, b"\xff"), 1007),
        (frame(1, b"\xe5\xb8"), 1007),
        (frame(8, b"\x03\xe8\xff"), 1007),
        (frame(3), 1002),
        (frame(11), 1002),
        (frame(1, b"a", first=0x40), 1002),
        (frame(1, b"a", first=0x20), 1002),
        (frame(1, b"a", first=0x10), 1002),
        (b"\x81\x01a", 1002),
        (frame(9, b"a" * 126), 1002),
        (frame(9, b"a", fin=False), 1002),
        (frame(0, b"a"), 1002),
        (frame(1, b"a", fin=False) + frame(1, b"b"), 1002),
        (frame(1, b"a", fin=False) + frame(8), 1002),
        (frame(8, b"\x03"), 1002),
        (frame(1, b"a" * 1_001), 1009),
        (frame(1, b"a" * 999, fin=False) + frame(0, b"bc"), 1009),
        (b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff", 1009),
    ],
)
def test_a_mistake_ends_the_stream_with_its_code(stream: bytes, code: int):
    assert read(stream + frame(1, b"not read any more")) == ([], code)


def test_a_mistake_is_seen_in_the_header_already():
    assert read(frame(1, b"a" * 1_001)[:4]) == ([], 1009)
    assert read(frame(9, b"a" * 126)[:4]) == ([], 1002)
    assert read(frame(1, b"abc", first=0x40)[:2]) == ([], 1002)
    assert read(b"\x81\x05") == ([], 1002)


def test_the_longest_message_is_read_with_a_ping_inside():
    stream = frame(1, b"a" * 999, fin=False) + frame(9, b"p" * 125) + frame(0, b"a")
    assert read(stream)[0][1:] == [Incoming(Opcode.TEXT, b"a" * 1_000)]


@pytest.mark.parametrize("code", CODES)
def test_a_close_says_its_code(code: int):
    payload = code.to_bytes(2, "big") + "再见".encode()
    is_allowed = code in (1000, 1003, 1012, 1014) or 3000 <= code <= 4999
    due = ([Incoming(Opcode.CLOSE, payload, code)], None) if is_allowed else ([], 1002)
    assert read(frame(8, payload)) == due


def test_a_close_without_a_code_is_1005():
    assert read(frame(8)) == ([Incoming(Opcode.CLOSE, b"", 1005)], None)


def test_empty_fragments_take_no_room():
    reader = FrameReader(MAX_BYTES)
    assert read(frame(1, b"", fin=False), *[frame(0, b"", fin=False)] * 1_000, reader=reader) == ([], None)
    assert reader._message is None
    assert read(frame(0, b"end"), reader=reader) == ([Incoming(Opcode.TEXT, b"end")], None)


# Beside the library

payloads = st.one_of(
    st.binary(max_size=8),
    st.text(max_size=8).map(str.encode),
    st.sampled_from([b"a" * 125, b"a" * 126, b"\xc3", b"a" * 600]),
    st.sampled_from(CODES).map(lambda code: code.to_bytes(2, "big") + b"bye"),
)
good = st.one_of(
    st.builds(frame, st.sampled_from([1, 2, 9, 10]), payloads),
    st.builds(
        lambda opcode, parts: _fragments(opcode, parts),
        st.sampled_from([1, 2]),
        st.lists(payloads, min_size=2, max_size=4),
    ),
)
anything = st.builds(
    frame,
    st.sampled_from([0, 1, 2, 3, 8, 8, 9, 10, 15]),
    payloads,
    fin=st.booleans(),
    key=st.binary(min_size=4, max_size=4),
    first=st.sampled_from([0, 0, 0, 0x10, 0x40]),
)


def _fragments(opcode: int, parts: list[bytes]) -> bytes:
    middle = b"".join(frame(0, part, fin=False) for part in parts[1:-1])
    return frame(opcode, parts[0], fin=False) + middle + frame(0, parts[-1])


def by_the_library(stream: bytes) -> tuple[list[Incoming], int | None]:
    """What the library makes of a stream; it knows neither of UTF-8 in messages nor of our limit here."""
    protocol = Protocol(Side.SERVER, max_size=None)
    protocol.receive_data(stream)
    said = list(_messages(one for one in protocol.events_received() if isinstance(one, Frame)))
    is_over = protocol.parser_exc is not None
    return said, protocol.close_sent.code if is_over and protocol.close_sent else None


def _messages(frames: Iterable[Frame]) -> Iterable[Incoming]:
    parts: list[bytes] = []
    first = LibraryOpcode.CONT
    for one in frames:
        if one.opcode in (LibraryOpcode.TEXT, LibraryOpcode.BINARY, LibraryOpcode.CONT):
            first = first if one.opcode is LibraryOpcode.CONT else one.opcode
            parts.append(bytes(one.data))
            if one.fin:
                yield Incoming(Opcode(first), b"".join(parts))
                parts = []
        else:
            payload = bytes(one.data)
            is_close = one.opcode is LibraryOpcode.CLOSE
            code = (int.from_bytes(payload[:2], "big") if payload else 1005) if is_close else 0
            yield Incoming(Opcode(one.opcode), payload, code)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


def is_text(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(
    st.lists(good, max_size=6), st.lists(anything, max_size=3), st.lists(st.integers(0, 10_000), max_size=12)
)
@example([], [frame(8, b"\x03\xe8"), frame(1, b"late")], [3])
def test_it_says_what_the_library_says_wherever_the_stream_is_cut(
    good_ones: list[bytes], wild: list[bytes], places: list[int]
):
    stream = b"".join(good_ones + wild)
    said, code = read(*cut(stream, places), reader=FrameReader(1 << 30))
    due, due_code = by_the_library(stream)
    if code == 1007 and (said, code) != (due, due_code):  # the library leaves this to whoever reads the text
        assert said == due[: len(said)]
        assert due[len(said)].opcode is Opcode.TEXT
        assert not is_text(due[len(said)].payload)
        return
    assert (said, code) == (due, due_code)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=8))
def test_garbage_is_a_mistake_or_waits_and_nothing_else(garbage: bytes, places: list[int]):
    said, code = read(*cut(garbage, places))
    assert code in (None, 1002, 1007, 1009)
    assert sum(len(one.payload) for one in said) <= len(garbage)
