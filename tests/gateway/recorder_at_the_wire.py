"""Plays the recorder at the wire: answers questions over real arrays, and announces what changes."""

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field

import msgspec
import numpy as np

from processors.bus import Bus, NoAnswer, SlowEndpoint, Unavailable
from protocol import subjects
from protocol.bars import BAR, AnswerState, Bars, BarsAnswer, BarsQuery, encode_answer, no_bars, parse_query
from protocol.batches import encode_batch
from protocol.events import Candle, CandleFlag, Kind
from protocol.frames import encode_v2

MINUTE_MS = 60_000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def minutes_ago(minutes: int, interval: int = 1) -> int:
    """When the bar opened that was running so many minutes ago."""
    length_ms = interval * MINUTE_MS
    return (now_ms() - minutes * MINUTE_MS) // length_ms * length_ms


def make_bars(first_ms: int, count: int, interval: int = 1, *, running: bool = False, seed: int = 1) -> Bars:
    """A random walk on a grid of 0.01; the last one is running if asked."""
    rng = np.random.default_rng(seed)
    bars = np.zeros(count, BAR)
    bars["open_ms"] = first_ms + np.arange(count) * interval * MINUTE_MS
    bars["version"] = np.arange(1, count + 1)
    closes = 100_000 + np.cumsum(rng.integers(-50, 51, count))
    opens = np.concatenate([[100_000], closes[:-1]])
    bars["open"], bars["close"] = opens / 100, closes / 100
    bars["high"] = (np.maximum(opens, closes) + rng.integers(0, 20, count)) / 100
    bars["low"] = (np.minimum(opens, closes) - rng.integers(0, 20, count)) / 100
    bars["volume"] = rng.integers(1, 10_000, count) / 1000
    bars["trades"] = rng.integers(1, 100, count)
    bars["flags"] = CandleFlag.FINAL
    if running and count:
        bars["flags"][-1] = 0
    return bars


async def subscribed(bus: Bus) -> None:
    """Wait until the server knows what this connection has subscribed to: it reads in order."""
    with contextlib.suppress(NoAnswer):
        await bus.request("nobody.answers.this")


@dataclass
class WireRecorder:
    """One venue. What it holds is `series`; a test may change it in silence, or by `announce`."""

    bus: Bus
    venue: str
    ids: dict[str, int]
    series: dict[tuple[str, int], Bars] = field(default_factory=dict)
    enigma: dict[str, dict] = field(default_factory=dict)
    asked: list[BarsQuery] = field(default_factory=list)
    version: int = field(default_factory=lambda: time.time_ns() // 1000)
    last_id: int = 0
    page: int = 10_000
    refuses: int = 0
    """So many questions are refused before one is answered; -1: all."""
    raw: bytes | None = None
    """Sent instead of an answer."""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Answers wait until it is set."""
    epoch_us: int = field(default_factory=lambda: time.time_ns() // 1000)
    sequence: int = 0

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        self.gate.set()
        slow = [
            SlowEndpoint("bars", subjects.REQUEST_BARS, self._answer),
            SlowEndpoint("enigma", subjects.REQUEST_ENIGMA, self._answer_enigma),
        ]
        await self.bus.serve("test-recorder", "1.0.0", "a recorder", [], {}, slow, tasks)
        await subscribed(self.bus)

    async def beat(self) -> None:
        """Be heard twice a second, until cancelled."""
        while True:
            await self.publish([])
            await asyncio.sleep(0.5)

    def hold(self, native: str, interval: int, bars: Bars) -> None:
        self.series[native, interval] = bars

    async def announce(self, native: str, interval: int, open_ms: int, **values: float) -> None:
        """Change a bar, or add one, and say so."""
        await self.publish([self.change(native, interval, open_ms, **values)])

    def change(self, native: str, interval: int, open_ms: int, **values: float) -> Candle:
        """Change a bar, or add one; return the record that says so."""
        self.version += 1
        bars = self.series.get((native, interval), no_bars()).copy()
        if open_ms not in bars["open_ms"]:
            row = np.zeros(1, BAR)
            row["open_ms"] = open_ms
            bars = np.sort(np.concatenate([bars, row]), order="open_ms")
        place = int(np.searchsorted(bars["open_ms"], open_ms))
        for name, value in values.items():
            bars[name][place] = value
        bars["version"][place] = self.version
        self.hold(native, interval, bars)
        one = bars[place]
        return Candle(
            self.ids[native], interval, int(one["flags"]), int(one["revision"]), open_ms, float(one["open"]),
            float(one["high"]), float(one["low"]), float(one["close"]), float(one["volume"]),
            int(one["trades"]), 0, float(one["taker_buy"]),
        )  # fmt: skip

    async def publish(self, candles: list[Candle], *, lost: bool = False) -> None:
        """Send a batch up to the newest version; a lost one is only counted."""
        self.sequence += 1
        if not lost:
            frame = encode_v2(candles, self.version, Kind.CANDLE)
            batch = encode_batch(self.epoch_us, self.sequence, self.version, [frame])
            await self.bus.publish(subjects.recorded(self.venue), batch)

    def begin_anew(self) -> None:
        self.epoch_us, self.sequence = self.epoch_us + 1, 0

    async def _answer(self, _subject: str, payload: bytes) -> bytes:
        query = parse_query(payload)
        self.asked.append(query)
        await self.gate.wait()
        if self.refuses:
            self.refuses -= 1
            raise Unavailable("being fetched, ask again")
        return self.raw or encode_answer(self.answer(query))

    def answer(self, query: BarsQuery) -> BarsAnswer:
        bars = self.series.get((query.native, query.interval), no_bars())
        end, start = np.searchsorted(bars["open_ms"], [query.to_ms, query.from_ms]).tolist()
        wanted = max(end - start, min(query.countback, end))
        answer = bars[end - min(wanted, self.page) : end]
        state = AnswerState.MORE if wanted > self.page else AnswerState(0)
        if wanted <= self.page and (end - wanted == 0):
            state |= AnswerState.BEGINNING
        return BarsAnswer(self.version, self.last_id, state, answer)

    async def _answer_enigma(self, _subject: str, payload: bytes) -> bytes:
        known = self.enigma.get(json.loads(payload)["native"])
        if known is None:
            raise Unavailable("the extremes of this symbol are not known yet")
        return msgspec.json.encode(known)
