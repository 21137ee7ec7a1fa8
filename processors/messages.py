"""What a price processor publishes: records packed, frames sealed, messages of single symbols.

A batch of a shard is the frames of all that changed; what is due for one symbol is a frame of its own. While
little happens both are the same bytes, which are then sealed once.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple

from processors.trade_queue import Run
from protocol import subjects
from protocol.events import Kind, Trade, TradeFlag
from protocol.frames import LAYOUTS, seal_v2
from protocol.market import AggTrade

_TRADE: Final = LAYOUTS[Kind.TRADE].struct


class Message(NamedTuple):
    """Something to publish."""

    subject: str
    payload: bytes


def seal_each(
    kind: Kind, records: list[tuple[str, bytes]], frames: list[bytes], now_us: int
) -> list[Message]:
    """Add one frame of all records to a batch; return one message each, to its subject."""
    if len(records) == 1:
        [(subject, record)] = records
        frames.append(seal_v2(kind, record, 1, now_us))
        return [Message(subject, frames[-1])]
    frames.append(seal_v2(kind, b"".join([record for _, record in records]), len(records), now_us))
    return [Message(subject, seal_v2(kind, record, 1, now_us)) for subject, record in records]


def seal_trades(
    venue: str, runs: list[Run], gathered: Mapping[str, list[Run]], frames: list[bytes], now_us: int
) -> list[Message]:
    """Add the frames of the lossless lane to a batch; return what is due for single symbols."""
    alone: dict[str, bytes] = {}
    """Frames with a run of trades and no other: if that is all of a symbol, it is its message too."""
    for same in _by_kind(runs):
        frames.append(_seal_runs(same, now_us))
        if len(same) == 1 and same[0].kind is Kind.TRADE:
            alone[same[0].native] = frames[-1]
    return [
        Message(
            subjects.trades(venue, native),
            alone[native] if len(own) == 1 and native in alone else _seal_runs(own, now_us),
        )
        for native, own in gathered.items()
    ]


def _by_kind(runs: list[Run]) -> Iterator[list[Run]]:
    """Cut where trades and gaps follow each other."""
    if len(runs) == 1:
        yield runs  # as it is while little happens
        return
    for _, same in groupby(runs, key=attrgetter("kind")):
        yield list(same)


def _seal_runs(runs: list[Run], now_us: int) -> bytes:
    """Encode runs of one kind as one frame."""
    if len(runs) == 1:
        return seal_v2(runs[0].kind, runs[0].records, runs[0].count, now_us)
    records = b"".join([run.records for run in runs])
    return seal_v2(runs[0].kind, records, sum([run.count for run in runs]), now_us)


def trade_record(symbol_id: int, trade: AggTrade, flags: int = 0) -> Trade:
    """Say as a TRADE record what a venue said."""
    if trade.taker_sold:
        flags |= TradeFlag.TAKER_SOLD
    count = trade.last_id - trade.first_id + 1
    return Trade(symbol_id, flags, count, trade.id, trade.traded_us, trade.price, trade.quantity)


def pack_run(symbol_id: int, run: Sequence[AggTrade]) -> bytes:
    """Pack the TRADE records of one symbol, live ones."""
    pack = _TRADE.pack
    return b"".join(
        [
            # Whether the taker sold is the only flag, and bit 0.
            pack(symbol_id, sold, last_id - first_id + 1, trade_id, traded_us, price, quantity)
            for _, trade_id, price, quantity, sold, traded_us, _, first_id, last_id in run
        ]
    )
