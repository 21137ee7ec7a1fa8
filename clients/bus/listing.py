"""Which symbols there are: the registry's streams, read as far as a name needs it.

    symbols.<venue>.<native>   JSON of `Instrument`, one a symbol; the sequence in its stream is its id
    state.symbols.<venue>      how a venue's symbols are by now, in the order of `SymbolState`

Later states are heard as they come; later symbols are read when somebody asks for one that is not known.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from nats.aio.msg import Msg

from clients.bus.connection import Bus
from clients.bus.reader import Place, ReaderGone, Stored, find_stream, open_reader
from protocol import subjects
from protocol.control import SymbolEntry, dictionary
from protocol.errors import UnknownSymbol
from protocol.symbols import Instrument, SymbolState, SymbolTable, with_state

RETRY_S: Final = 0.25
READ_TIMEOUT_S: Final = 10.0


class _States(msgspec.Struct, frozen=True):
    version: int
    symbols: dict[str, SymbolState]


_instrument_decoder: Final = msgspec.json.Decoder(Instrument)
_states_decoder: Final = msgspec.json.Decoder(_States)


class Listing:
    """The symbols of all venues that this program has read of."""

    def __init__(self, bus: Bus, listed_within_s: float) -> None:
        self.table = SymbolTable()
        self._bus = bus
        self._listed_within_s = listed_within_s
        self._read_to = 0
        self._states_read_to = 0
        self._states: dict[str, _States] = {}
        """By venue: the newest. Bounded by what is registered."""
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Hear of later states."""
        async with self._bus.subscribed([subjects.ALL_SYMBOL_STATES], self._on_states):
            yield

    async def find(self, names: Iterable[str]) -> list[Instrument]:
        """Look names up as users write them. Raises UnknownSymbol for what is not listed, nor soon."""
        wanted = list(dict.fromkeys(names))
        give_up_s = time.monotonic() + self._listed_within_s
        while True:
            try:
                return [self.table.find(name) for name in wanted]
            except UnknownSymbol:
                if time.monotonic() > give_up_s:
                    raise
            before = len(self.table)
            await self.refresh()
            if len(self.table) == before:
                await asyncio.sleep(RETRY_S)

    async def refresh(self) -> None:
        """Read what was registered since the last time."""
        async with self._lock:
            for one in await self._read(subjects.ALL_SYMBOLS, self._read_to):
                instrument = msgspec.structs.replace(_instrument_decoder.decode(one.payload), id=one.sequence)
                self._read_to = one.sequence
                self.table.add(self._as_it_is(instrument))
            for one in await self._read(subjects.ALL_SYMBOL_STATES, self._states_read_to):
                self._states_read_to = one.sequence
                self._take_in(one.subject, one.payload)

    def entry(self, symbol_id: int) -> SymbolEntry | None:
        """Say of a symbol what a gateway's dictionary says."""
        one = self.table.by_id(symbol_id)
        return dictionary([one]).symbols[0] if one else None

    async def _read(self, subject: str, after: int) -> list[Stored]:
        """Return what a stream has behind a place; nothing while it cannot be read."""
        found: list[Stored] = []
        try:
            stream, ends = await find_stream(self._bus, subject)
            if ends.last > after:
                reading = open_reader(self._bus, stream, [subject], Place(after))
                async with asyncio.timeout(READ_TIMEOUT_S), reading as reader:
                    while reader.pending:
                        found += await reader.take()
        except (ReaderGone, TimeoutError):
            pass  # what was read stays, and the rest is read the next time
        return found

    def _on_states(self, message: Msg) -> None:
        self._take_in(message.subject, message.data)

    def _take_in(self, subject: str, payload: bytes) -> None:
        """Apply a venue's states, unless newer ones are known."""
        venue, states = subjects.parse_symbol_states(subject), _states_decoder.decode(payload)
        known = self._states.get(venue)
        if known is not None and states.version <= known.version:
            return
        self._states[venue] = states
        for native in states.symbols:
            if one := self.table.by_native(venue, native):
                self.table.add(self._as_it_is(one))

    def _as_it_is(self, instrument: Instrument) -> Instrument:
        states = self._states.get(instrument.venue)
        state = states.symbols.get(instrument.native) if states else None
        return instrument if state is None else with_state(instrument, state)
