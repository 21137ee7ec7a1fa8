"""The codecs of Python: ours, json, orjson and msgspec, on the same batches.

The rules of this file:
- A frame arrives as bytes and is decoded by `decode_v1` or `decode_v2` of `protocol.frames`, CRC and amounts
  checked: an array of records, which is a table of columns and a view of the bytes. COMPACT takes
  `Bases.prices` of `protocol.compact` besides. JSON is decoded to the objects that its users get.
- `columns_us_per_batch` has every column in hand: three views of the array; of JSON three lists.
- v1 and PRICE are encoded from rows, as JSON from dicts (msgspec from its structs). From arrays, as a
  gateway does, and for COMPACT the only way: `encode_array_us_per_batch`.
- CPU time of this thread; rounds in which each has its turn; medians. The cycle collector is off meanwhile,
  which spares those that make many objects.
"""

import gc
import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
import orjson

from bench.codecs.sample import Sample, time_us
from bench.result import Row
from protocol.compact import Bases
from protocol.events import Kind, Price
from protocol.frames import (
    V1,
    Records,
    decode_v1,
    decode_v2,
    encode_records,
    encode_v1,
    encode_v2,
    seal_v1,
)

SLICE_NS: Final = 2_000_000
"""About how long each has in a round: long enough for the clock, short enough to be seldom interrupted."""
MIN_ROUNDS: Final = 5
DELAY_US: Final = 1_500
ONE_CHANGE: Final = 0x100
T = TypeVar("T")


class NamedPriceStruct(msgspec.Struct):
    """A record of JSON, as msgspec likes it best."""

    symbol: str
    price: float
    volume: float


@dataclass(frozen=True, slots=True)
class Work:
    """Something that is done with all batches, and what its figure is called."""

    row: str
    key: str
    run: Callable[[], None]


@dataclass(frozen=True)
class Frames:
    """The sample in frames."""

    v1: list[bytes]
    price: list[bytes]
    base: bytes
    compact: list[bytes]


def encode_sample(sample: Sample) -> Frames:
    """Encode all batches in every way."""
    base = encode_v2(sample.bases, time_us(0), Kind.BASE)
    bases = _bases(base)
    return Frames(
        [encode_v1(batch) for batch in sample.batches],
        [encode_v2(rows, time_us(index)) for index, rows in enumerate(price_rows(sample))],
        base,
        [_compact_frame(bases, records, time_us(index)) for index, records in enumerate(_arrays(sample))],
    )


def price_rows(sample: Sample) -> list[list[Price]]:
    """Return the batches as PRICE has them: every value of the same age, and one change."""
    return [
        [Price(one.symbol_id, ONE_CHANGE, DELAY_US, one.price, one.volume) for one in batch]
        for batch in sample.batches
    ]


def measure(sample: Sample, frames: Frames, seconds: float) -> list[Row]:
    """Measure for about so long."""
    times = _medians_us([*_ours(sample, frames), *_theirs(sample)], len(sample.batches), seconds)
    bytes_of = {
        "tickgate": frames.v1, "tickgate_v2_price": frames.price, "tickgate_v2_compact": frames.compact,
    }  # fmt: skip
    return [
        {"name": name, **figures, "bytes": round(statistics.mean(map(len, bytes_of.get(name, sample.texts))))}
        for name, figures in times.items()
    ]


# The works


def _ours(sample: Sample, frames: Frames) -> Iterator[Work]:
    prices, arrays = price_rows(sample), _arrays(sample)
    price_arrays = [decode_v2(frame).records for frame in frames.price]
    bases = _bases(frames.base)
    yield Work("tickgate", "us_per_batch", _each(decode_v1, frames.v1))
    yield Work("tickgate", "columns_us_per_batch", lambda: _v1_columns(frames.v1))
    yield Work("tickgate", "encode_us_per_batch", _each(encode_v1, sample.batches))
    yield Work("tickgate", "encode_array_us_per_batch", _each(_seal_v1, arrays))
    yield Work("tickgate_v2_price", "us_per_batch", _each(decode_v2, frames.price))
    yield Work("tickgate_v2_price", "columns_us_per_batch", lambda: _v2_columns(frames.price))
    yield Work("tickgate_v2_price", "encode_us_per_batch", _each(_encode_prices, prices))
    yield Work("tickgate_v2_price", "encode_array_us_per_batch", _each(_seal_prices, price_arrays))
    yield Work("tickgate_v2_compact", "us_per_batch", lambda: _decode_compact(bases, frames.compact))
    yield Work("tickgate_v2_compact", "encode_array_us_per_batch", lambda: _encode_compact(bases, arrays))


def _theirs(sample: Sample) -> Iterator[Work]:
    texts, objects = sample.texts, sample.objects
    strings = [text.decode() for text in texts]
    decoder = msgspec.json.Decoder(list[NamedPriceStruct])
    structs = [decoder.decode(text) for text in texts]
    yield Work("json", "us_per_batch", _each(json.loads, strings))
    yield Work("json", "columns_us_per_batch", lambda: _dict_columns(json.loads, strings))
    yield Work("json", "encode_us_per_batch", _each(_JSON.encode, objects))
    yield Work("orjson", "us_per_batch", _each(orjson.loads, texts))
    yield Work("orjson", "columns_us_per_batch", lambda: _dict_columns(orjson.loads, texts))
    yield Work("orjson", "encode_us_per_batch", _each(orjson.dumps, objects))
    yield Work("msgspec", "us_per_batch", _each(decoder.decode, texts))
    yield Work("msgspec", "columns_us_per_batch", lambda: _struct_columns(decoder.decode, texts))
    yield Work("msgspec", "encode_us_per_batch", _each(msgspec.json.Encoder().encode, structs))


_JSON: Final = json.JSONEncoder(separators=(",", ":"))
"""Writes the text that the others write."""


def _each(act: Callable[[T], object], batches: list[T]) -> Callable[[], None]:
    def run() -> None:
        for one in batches:
            act(one)

    return run


def _v1_columns(frames: list[bytes]) -> None:
    for frame in frames:
        records = decode_v1(frame)
        records["symbol_id"], records["price"], records["volume"]


def _v2_columns(frames: list[bytes]) -> None:
    for frame in frames:
        records = decode_v2(frame).records
        records["symbol_id"], records["price"], records["volume"]


def _decode_compact(bases: Bases, frames: list[bytes]) -> None:
    for frame in frames:
        bases.prices(decode_v2(frame).records)


def _dict_columns(loads: Callable[[Any], Any], texts: Iterable[bytes | str]) -> None:
    for text in texts:
        rows = loads(text)
        [row["symbol"] for row in rows], [row["price"] for row in rows], [row["volume"] for row in rows]


def _struct_columns(decode: Callable[[bytes], list[NamedPriceStruct]], texts: list[bytes]) -> None:
    for text in texts:
        rows = decode(text)
        [row.symbol for row in rows], [row.price for row in rows], [row.volume for row in rows]


def _encode_prices(rows: list[Price]) -> bytes:
    return encode_v2(rows, time_us(0))


def _seal_v1(records: Records) -> bytes:
    return seal_v1(records.tobytes(), len(records))


def _seal_prices(records: Records) -> bytes:
    return encode_records(Kind.PRICE, records, time_us(0))


def _encode_compact(bases: Bases, arrays: list[Records]) -> None:
    for records in arrays:
        _compact_frame(bases, records, 0)


def _compact_frame(bases: Bases, records: Records, now_us: int) -> bytes:
    amounts = np.column_stack((records["price"], records["volume"]))
    compacted = bases.compact(records["symbol_id"].astype(np.intp), amounts)
    if not compacted.fits.all():
        raise ValueError("the sample has a price that no COMPACT record reaches")
    return encode_records(Kind.COMPACT, compacted.records, now_us)


def _bases(frame: bytes) -> Bases:
    bases = Bases()
    bases.update(decode_v2(frame).records)
    return bases


def _arrays(sample: Sample) -> list[Records]:
    return [np.array(batch, V1.dtype) for batch in sample.batches]


# The clock


def _medians_us(works: list[Work], batches: int, seconds: float) -> dict[str, dict[str, float]]:
    """Return by row and key the median CPU time of a batch in microseconds."""
    with _no_collector():
        repeats = [max(1, SLICE_NS // max(_spent_ns(work, 2), 1) * 2) for work in works]
        spent: list[list[float]] = [[] for _ in works]
        deadline_s = time.monotonic() + seconds
        while len(spent[0]) < MIN_ROUNDS or time.monotonic() < deadline_s:
            for work, times, kept in zip(works, repeats, spent, strict=True):
                kept.append(_spent_ns(work, times) / (times * batches * 1000))
    figures: dict[str, dict[str, float]] = {}
    for work, kept in zip(works, spent, strict=True):
        figures.setdefault(work.row, {})[work.key] = round(statistics.median(kept), 3)
    return figures


def _spent_ns(work: Work, times: int) -> int:
    run = work.run
    before_ns = time.thread_time_ns()
    for _ in range(times):
        run()
    return time.thread_time_ns() - before_ns


@contextmanager
def _no_collector() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
