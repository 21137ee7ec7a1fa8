"""A recorder at the wire, and a client's chart: what tests of the candle streams are made of.

The recorder knows the truth: the newest state of every bar, with its version. It publishes what changed, or
loses it, and answers `request.bars`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np

from processors.bus import Bus, BusAddress, SlowEndpoint, Unavailable, connect
from processors.shell import now_us
from protocol import subjects
from protocol.bars import BAR, MAX_BARS, AnswerState, BarsAnswer, encode_answer, parse_query
from protocol.batches import encode_batch
from protocol.events import Candle, CandleFlag, Enigma, Kind, SeriesKey
from protocol.frames import Frame, encode_v2

MINUTE_MS = 60_000
START_MS = 1_780_000_020_000


@dataclass
class WireRecorder:
    bus: Bus
    venue: str
    ids: dict[str, int]
    version: int = field(default_factory=now_us)
    epoch_us: int = 1
    sequence: int = 0
    truth: dict[SeriesKey, dict[int, tuple[int, Candle]]] = field(default_factory=dict)
    asked: int = 0
    is_away: bool = False
    was_asked: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Not set: an answer is made, but comes late."""
    _dirty: dict[tuple[SeriesKey, int], None] = field(default_factory=dict)

    def change(
        self,
        symbol: str,
        minute: int,
        close: float,
        *,
        interval: int = 1,
        final: bool = False,
        revision: int = 0,
    ) -> Candle:
        """Let a bar change, counted in minutes from the start."""
        flags = (CandleFlag.FINAL if final else 0) | (CandleFlag.REBUILT if revision else 0)
        open_ms = START_MS + minute * MINUTE_MS
        row = Candle(
            self.ids[symbol], interval, flags, revision, open_ms, 1.0, 9.0, 0.5, close, 2.0, 3, 0, 1.0
        )
        self.version += 1_000
        key = SeriesKey(row.symbol_id, interval)
        self.truth.setdefault(key, {})[open_ms] = (self.version, row)
        self._dirty[key, open_ms] = None
        return row

    async def publish(self, *, loses: bool = False, enigma: Iterable[Enigma] = ()) -> int:
        """Publish a batch of what changed, perhaps nothing, and return its version."""
        self.version += 1_000
        rows = [self.truth[key][open_ms][1] for key, open_ms in self._dirty]
        self._dirty.clear()
        self.sequence += 1
        frames = [encode_v2(rows, self.version, Kind.CANDLE)]
        if enigma:
            frames.append(encode_v2(list(enigma), self.version, Kind.ENIGMA))
        if not loses:
            batch = encode_batch(self.epoch_us, self.sequence, self.version, frames)
            await self.bus.publish(subjects.recorded(self.venue), batch)
        return self.version

    def bars(self, key: SeriesKey) -> dict[int, Candle]:
        return {open_ms: row for open_ms, (_, row) in self.truth[key].items()}

    def restart(self) -> None:
        self.epoch_us += 1
        self.sequence = 0

    async def answer(self, _subject: str, payload: bytes) -> bytes:
        query = parse_query(payload)
        if self.is_away:
            raise Unavailable("the recorder is away")
        self.asked += 1
        self.was_asked.set()
        instrument = SeriesKey(self.ids[query.native], query.interval)
        bars = sorted(self.truth.get(instrument, {}).items())
        if query.changed_after_us:
            bars = [one for one in bars if one[1][0] > query.changed_after_us]
        else:
            bars = bars[-query.countback :]
        state = AnswerState.MORE if len(bars) > MAX_BARS else AnswerState(0)
        answer = BarsAnswer(
            self.version, 0, state, np.array([as_bar(*one) for _, one in bars[-MAX_BARS:]], BAR)
        )
        encoded = encode_answer(answer)
        await self.gate.wait()
        return encoded


def as_bar(version: int, row: Candle) -> tuple[float, ...]:
    return (
        row.open_ms, version, row.open, row.high, row.low, row.close, row.volume, 0.0, row.taker_buy,
        row.trades, row.revision, row.flags,
    )  # fmt: skip


@asynccontextmanager
async def recording(rig, nats_url: str) -> AsyncIterator[WireRecorder]:
    """Play the recorder of a rig's venue, heard by its gateway."""
    async with asyncio.TaskGroup() as tasks, connect(BusAddress([nats_url]), "recorder") as bus:
        recorder = WireRecorder(bus, rig.venue, rig.ids)
        recorder.gate.set()
        endpoint = SlowEndpoint("bars", subjects.REQUEST_BARS, recorder.answer)
        await bus.serve("test-recorder", "1.0.0", "a recorder", [], {}, [endpoint], tasks)
        yield recorder
        recorder.gate.set()


class Chart:
    """What a client makes of the frames of one connection after the other."""

    def __init__(self, *, may_repeat: bool = False) -> None:
        self._may_repeat = may_repeat
        self.bars: dict[tuple[SeriesKey, int], Candle] = {}
        self.version: int | None = None
        self._last: dict[tuple[SeriesKey, int], Candle] = {}

    def on_connected(self) -> None:
        self._last.clear()

    def on_frame(self, frame: Frame) -> list[Candle]:
        assert frame.kind is Kind.CANDLE
        rows = frame.rows()
        for row in rows:
            place = (SeriesKey(row.symbol_id, row.interval), row.open_ms)
            before = self._last.get(place)
            assert self._may_repeat or before != row, "a bar came twice in the same state"
            if before is not None:
                assert row.revision >= before.revision, "a bar went back"
                assert row.flags & CandleFlag.FINAL or not before.flags & CandleFlag.FINAL, "a bar went back"
            self._last[place] = self.bars[place] = row
        if frame.time_us:
            self.version = frame.time_us
        return rows

    def series(self, key: SeriesKey) -> dict[int, Candle]:
        return {open_ms: row for (one, open_ms), row in self.bars.items() if one == key}
