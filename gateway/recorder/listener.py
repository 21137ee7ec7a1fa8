"""What the recorder hears: trades and gaps of `wire.>`, the venues' own final bars of `bars.>`.

The rules of this file:
- A symbol is recorded from the first trade or bar that is heard of it. One whose id the registry copy does
  not know makes it read on; its trades until then are before the beginning.
- Trades go on at once, in whatever order they come: a bar needs no order. What is missing is asked for
  (`holes.py`).
- Batches that were missed, a restarted worker and a lost connection to the bus are reasons to ask for what
  came after the last trade.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from gateway.recorder.heard import HeardTrades
from gateway.recorder.holes import Holes
from gateway.recorder.recording import Recording
from gateway.registry import Registry
from processors.bus import Bus, BusError
from protocol import subjects
from protocol.batches import Batch, SequenceCheck, decode_batch
from protocol.errors import ProtocolError
from protocol.events import Gap, GapCause, Kind, Trade
from protocol.market import parse_bar

RETRY_S: Final = 0.5

log = structlog.get_logger()


class Listener:
    """All venues that are recorded. Bounded by the symbols that the registry can hold."""

    def __init__(
        self,
        bus: Bus,
        registry: Registry,
        recordings: Mapping[str, Recording],
        holes: Holes,
        on_symbol: Callable[[Recording, str], None],
    ) -> None:
        """`on_symbol` is called when a symbol is heard of for the first time, or again after a while."""
        self.batches = 0
        self.bad_messages = 0
        self.missed_batches = 0
        self.heard: dict[int, HeardTrades] = {}
        self._bus = bus
        self._registry = registry
        self._recordings = recordings
        self._holes = holes
        self._on_symbol = on_symbol
        self._epochs: dict[str, int] = {}
        self._checks: dict[str, SequenceCheck] = {}
        self._registry_is_old = asyncio.Event()

    async def start(self) -> None:
        """Subscribe; from here on it hears."""
        await self._bus.subscribe(subjects.ALL_WIRE, self._on_wire)
        await self._bus.subscribe(subjects.ALL_BARS, self._on_bar)
        await self._bus.subscribe(subjects.ALL_SYMBOLS, self._on_listed)
        await self._registry.follow(self._registry_is_old.set)
        self._bus.on_reconnect(self._on_reconnect)

    async def run(self) -> None:
        """Read the registry on when there is more in it. Until cancelled."""
        while True:
            await self._registry_is_old.wait()
            self._registry_is_old.clear()
            try:
                await self._registry.refresh()
            except BusError as error:
                log.warning("recorder.registry_not_read", error=str(error))
                self._registry_is_old.set()
            await asyncio.sleep(RETRY_S)  # ids that nobody has registered are not asked for in a circle

    def _on_wire(self, subject: str, payload: bytes) -> None:
        try:
            venue, _ = subjects.parse_wire(subject)
            batch = decode_batch(payload)
        except ProtocolError as error:
            self._on_bad(subject, error)
            return
        recording = self._recordings.get(venue)
        if recording is None:
            return
        self.batches += 1
        missed = self._checks.setdefault(subject, SequenceCheck()).missed(batch)
        self._take_in(recording, subject, batch)
        if missed:
            self.missed_batches += missed
            log.info("recorder.batches_missed", subject=subject, missed=missed)
        if missed or self._is_restart(subject, batch):
            self._ask_newest(subject)

    def _is_restart(self, subject: str, batch: Batch) -> bool:
        """Say whether another worker speaks now; then the holes that the last one spoke of are ours."""
        if self._epochs.setdefault(subject, batch.epoch_us) == batch.epoch_us:
            return False
        self._epochs[subject] = batch.epoch_us
        for heard in self.heard.values():
            if heard.source == subject:
                heard.take_over()
        return True

    def _take_in(self, recording: Recording, subject: str, batch: Batch) -> None:
        for frame in batch.frames:
            if frame.kind is Kind.TRADE:
                groups: dict[int, list[Trade]] = {}
                for row in frame.rows():
                    groups.setdefault(row.symbol_id, []).append(row)
                for symbol_id, trades in groups.items():
                    heard = self._symbol(recording, symbol_id)
                    if heard is not None:
                        heard.source = subject
                        self._on_trades(recording, heard, trades)
            elif frame.kind is Kind.GAP:
                for gap in frame.rows():
                    self._on_gap(recording, gap)

    def _on_trades(self, recording: Recording, heard: HeardTrades, trades: list[Trade]) -> None:
        is_first = not heard.last_id
        new = heard.on_trades(trades)
        if new:
            recording.on_trades(heard.native, new)
        if is_first:
            self._holes.on_beginning(recording, heard, new[0])
        elif heard.missing():
            self._holes.on_hole(recording, heard)

    def _on_gap(self, recording: Recording, gap: Gap) -> None:
        heard = self._symbol(recording, gap.symbol_id)
        if heard is None:
            return
        if gap.cause == GapCause.NOT_CARRIED:
            self._on_symbol(recording, heard.native)  # its past has become longer
        lost = heard.on_gap(gap)
        if lost is not None:
            recording.on_gap(heard.native, lost.from_us, lost.to_us)

    def _symbol(self, recording: Recording, symbol_id: int) -> HeardTrades | None:
        heard = self.heard.get(symbol_id)
        if heard is None:
            instrument = self._registry.table.by_id(symbol_id)
            if instrument is None or instrument.venue != recording.venue:
                self._registry_is_old.set()
                return None
            heard = self.heard[symbol_id] = HeardTrades(symbol_id, instrument.native)
            self._record(recording, instrument.native, symbol_id)
        return heard

    def _record(self, recording: Recording, native: str, symbol_id: int) -> None:
        if not recording.has_symbol(native):
            recording.add_symbol(native, symbol_id)
            self._on_symbol(recording, native)

    def _on_bar(self, subject: str, payload: bytes) -> None:
        try:
            venue, native, _ = subjects.parse_bars(subject)
            bar = parse_bar(payload)
        except ProtocolError as error:
            self._on_bad(subject, error)
            return
        recording = self._recordings.get(venue)
        instrument = self._registry.table.by_native(venue, native)
        if recording is None or bar.native != native or bar.interval != 1 or not bar.final:
            return
        if instrument is None:
            self._registry_is_old.set()
            return
        self._record(recording, native, instrument.id)
        recording.on_venue_bar(bar)

    def _on_listed(self, _subject: str, _payload: bytes) -> None:
        self._registry_is_old.set()

    def _on_bad(self, subject: str, error: ProtocolError) -> None:
        self.bad_messages += 1
        log.warning("recorder.bad_message", subject=subject, error=str(error))

    def _ask_newest(self, subject: str | None) -> None:
        """Ask for what came last: of the symbols of one subject, or of all."""
        for heard in self.heard.values():
            if subject in (None, heard.source) and heard.last_id:
                instrument = self._registry.table.by_id(heard.symbol_id)
                if instrument is not None:
                    self._holes.on_doubt(self._recordings[instrument.venue], heard)

    def _on_reconnect(self) -> None:
        """While the server was away anything may have been missed."""
        self._registry_is_old.set()
        self._ask_newest(None)
