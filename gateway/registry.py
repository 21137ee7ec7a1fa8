"""The symbol registry: who has which u16 id, agreed by all processes and kept for good.

A JetStream stream holds one message a symbol, and the sequence of that message is the id:
appended only if the symbol has none yet, never deleted, so an id is stable and never reused.
"""

import asyncio
from typing import Final

import msgspec
import structlog

from processors.bus import Bus, BusError
from protocol import subjects
from protocol.events import MAX_SYMBOL_ID
from protocol.symbols import Instrument, SymbolTable

STREAM: Final = "SYMBOLS"
READ_AHEAD: Final = 64
APPEND_AHEAD: Final = 256
"""Between these, what others have registered meanwhile is read and left out."""

log = structlog.get_logger()
_decoder = msgspec.json.Decoder(Instrument)


class Registry:
    """This process's copy of the registry, in `table`."""

    def __init__(self, bus: Bus) -> None:
        self.table = SymbolTable()
        self._bus = bus
        self._read_to = 0
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Make sure that the registry exists, and read it."""
        await self._bus.open_stream(STREAM, subjects.ALL_SYMBOLS, MAX_SYMBOL_ID)
        await self.refresh()

    async def refresh(self) -> list[Instrument]:
        """Read what was registered since the last time, and return it."""
        async with self._lock:
            last = await self._bus.last_sequence(STREAM)
            fresh: list[Instrument] = []
            while self._read_to < last:
                upto = min(self._read_to + READ_AHEAD, last)
                sequences = range(self._read_to + 1, upto + 1)
                messages = await asyncio.gather(*(self._bus.read_message(STREAM, one) for one in sequences))
                for sequence, message in zip(sequences, messages, strict=True):
                    if message is not None:
                        fresh.append(msgspec.structs.replace(_decoder.decode(message), id=sequence))
                self._read_to = upto
            for instrument in fresh:
                self.table.add(instrument)
            return fresh

    async def register(self, instruments: list[Instrument]) -> list[Instrument]:
        """Give an id to those that have none, and return them all as registered."""
        await self.refresh()
        before = len(self.table)
        for start in range(0, len(instruments), APPEND_AHEAD):
            part = instruments[start : start + APPEND_AHEAD]
            new = [one for one in part if self.table.by_native(one.venue, one.native) is None]
            if new:
                await asyncio.gather(*(self._append(one) for one in new))
                await self.refresh()
        if len(self.table) > before:
            log.info("symbols.registered", count=len(self.table) - before, total=len(self.table))
        return [self._registered(one) for one in instruments]

    async def _append(self, instrument: Instrument) -> None:
        subject = subjects.symbols(instrument.venue, instrument.native)
        await self._bus.append_first(subject, msgspec.json.encode(instrument))

    def _registered(self, instrument: Instrument) -> Instrument:
        known = self.table.by_native(instrument.venue, instrument.native)
        if known is None:
            raise BusError(f"{instrument.name} was registered and is not there")
        return known
