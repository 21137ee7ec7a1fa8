"""What changes a store, as values that can be kept in order, grouped and written to disk.

A store has four calls that change it and may wait their turn; here each is an operation, and a
store says only how it applies one. (`drop_ticks` is none: asked again later, it does the same.)
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

import msgspec
import numpy as np

from gateway.store.history import Change, HistoryStore, Span
from protocol.bars import BAR, Bars, Series
from protocol.events import Trade


class KeepBars(msgspec.Struct, frozen=True, array_like=True, tag=1):
    changes: Sequence[Change]


class KeepTicks(msgspec.Struct, frozen=True, array_like=True, tag=2):
    venue: str
    native: str
    trades: Sequence[Trade]


class Cover(msgspec.Struct, frozen=True, array_like=True, tag=3):
    series: Series
    span: Span


class Uncover(msgspec.Struct, frozen=True, array_like=True, tag=4):
    series: Series
    span: Span


Operation: TypeAlias = KeepBars | KeepTicks | Cover | Uncover


def _to_plain(value: Any) -> bytes:
    bars: Bars = value
    return bars.tobytes()


def _from_plain(_: type, value: bytes) -> Bars:
    return np.frombuffer(value, BAR)


_encoder: Final = msgspec.msgpack.Encoder(enc_hook=_to_plain)
_decoder: Final = msgspec.msgpack.Decoder(Operation, dec_hook=_from_plain)


def encode_operation(operation: Operation) -> bytes:
    return _encoder.encode(operation)


def decode_operation(payload: bytes) -> Operation:
    """Read one that we wrote; its bars are read-only."""
    operation: Operation = _decoder.decode(payload)
    return operation


class OperatedStore(HistoryStore, ABC):
    """A store of which every change is an operation. Use with `async with`."""

    @abstractmethod
    async def __aenter__(self) -> Self: ...

    @abstractmethod
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @abstractmethod
    async def apply(self, operation: Operation) -> None:
        """Keep what an operation says. Raises StoreDown."""

    async def write(self, changes: Sequence[Change]) -> None:
        changes = [change for change in changes if len(change.bars)]
        if changes:
            await self.apply(KeepBars(changes))

    async def cover(self, series: Series, span: Span) -> None:
        await self.apply(Cover(series, span))

    async def uncover(self, series: Series, span: Span) -> None:
        await self.apply(Uncover(series, span))

    async def write_ticks(self, venue: str, native: str, trades: Sequence[Trade]) -> None:
        if trades:
            await self.apply(KeepTicks(venue, native, trades))


def newest(bars: Bars) -> Bars:
    """Return one bar an opening, the one with the highest version, by opening."""
    order = np.lexsort((bars["version"], bars["open_ms"]))
    openings = bars["open_ms"][order]
    is_last = np.ones(len(openings), np.bool_)
    is_last[:-1] = openings[1:] != openings[:-1]
    return bars[order[is_last]]
