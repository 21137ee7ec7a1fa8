"""Bars as the recorder keeps and hands them out: the question and the answer of `request.bars`.

    request.bars   BarsQuery as JSON   ->   a header, then `count` bars, oldest first

    offset  size  field
    0       8     as_of_us: the answer holds every change up to this version
    8       8     last_id: the newest trade that the running bar holds; 0: not known
    16      4     count
    20      4     state, the bits of `AnswerState`
    24      80*n  bars, the fields of BAR

A bar's `version` says when it last changed, in µs. Versions rise strictly over all changes that one
recorder makes, also across its restarts, so "everything after version v" misses nothing.
"""

import struct
from enum import IntFlag
from typing import Annotated, Any, Final, NamedTuple, TypeAlias

import msgspec
import numpy as np

from protocol.errors import BadLength, BadMessage
from protocol.intervals import MINUTES

BAR: Final = np.dtype(
    [
        ("open_ms", "<i8"),
        ("version", "<u8"),
        ("open", "<f8"),
        ("high", "<f8"),
        ("low", "<f8"),
        ("close", "<f8"),
        ("volume", "<f8"),
        ("quote_volume", "<f8"),
        ("taker_buy", "<f8"),
        ("trades", "<u4"),
        ("revision", "<u2"),
        ("flags", "<u2"),  # CandleFlag: FINAL, and REST or REBUILT where it is not from live trades
    ]
)
Bars: TypeAlias = np.ndarray[Any, np.dtype[np.void]]
HEADER: Final = struct.Struct("<QQII")
MAX_BARS: Final = 10_000
"""Of one answer: 800 kB, which is below what a NATS server takes unless told otherwise."""

Ms = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]


class Series(NamedTuple):
    """The bars of one symbol in one interval."""

    venue: str
    native: str
    interval: int
    """Minutes, `intervals.py`."""


class AnswerState(IntFlag):
    MORE = 1
    """The window has older bars than the answer: ask again, up to the first one's opening."""
    BEGINNING = 2
    """There is nothing before the first bar of the answer; an empty answer: nothing at all before `to_ms`."""


class BarsQuery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The bars that open in [from_ms, to_ms), and at least `countback` bars that open before `to_ms`."""

    venue: str
    native: str
    interval: int
    from_ms: Ms = 0
    to_ms: Ms = 2**53
    countback: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    changed_after_us: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Not 0: only those whose version is higher, and nothing is fetched from the venue for it."""

    @property
    def series(self) -> Series:
        return Series(self.venue, self.native, self.interval)


class BarsAnswer(NamedTuple):
    as_of_us: int
    last_id: int
    state: AnswerState
    bars: Bars


_query_decoder: Final = msgspec.json.Decoder(BarsQuery)


def no_bars() -> Bars:
    return np.zeros(0, BAR)


def format_query(query: BarsQuery) -> bytes:
    return msgspec.json.encode(query)


def parse_query(text: bytes) -> BarsQuery:
    """Read a question. Raises BadMessage, never anything else."""
    try:
        query = _query_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadMessage(str(error)) from None
    if query.interval not in MINUTES.values():
        raise BadMessage(f"no interval has {query.interval} minutes")
    return query


def encode_answer(answer: BarsAnswer) -> bytes:
    header = HEADER.pack(answer.as_of_us, answer.last_id, len(answer.bars), answer.state)
    return header + answer.bars.tobytes()


def decode_answer(payload: bytes) -> BarsAnswer:
    """View an answer; its bars are read-only. Raises BadLength, never anything else."""
    if len(payload) < HEADER.size:
        raise BadLength(HEADER.size, len(payload))
    as_of_us, last_id, count, state = HEADER.unpack_from(payload)
    expected = HEADER.size + count * BAR.itemsize
    if len(payload) != expected:
        raise BadLength(expected, len(payload))
    return BarsAnswer(as_of_us, last_id, AnswerState(state), np.frombuffer(payload, BAR, count, HEADER.size))
