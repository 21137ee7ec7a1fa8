"""The symbol registry: who has which u16 id, agreed by all processes and kept for good; and how each is now.

    symbols.<venue>.<native>   a JetStream stream with one message a symbol, whose sequence is the id:
                               appended if the symbol has none, never deleted, so that no id is used again
    state.symbols.<venue>      {"version": …, "symbols": {"BTCUSDT": [true, 0, 2, …], …}}, the newest kept:
                               how they are by now. Without it they are as their first messages say, which
                               is how a registry of an older program is read.

What a registry has lost at its end, or altogether, can be filled in from a copy that has the ids (`restore`):
what is missing in that, too, becomes a placeholder, so that no id moves.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Final

import msgspec
import structlog

from processors.bus import Bus, BusError
from protocol import subjects
from protocol.errors import BadSubject
from protocol.events import MAX_SYMBOL_ID
from protocol.symbols import Instrument, SymbolState, SymbolTable, state_of, with_state

STREAM: Final = "SYMBOLS"
STATES: Final = "SYMBOLSTATE"
STATES_BYTES: Final = 64 * 1024 * 1024
"""A message has 100 kB for 1,500 symbols."""
READ_AHEAD: Final = 64
APPEND_AHEAD: Final = 256
"""Between these, what others have registered meanwhile is read and left out."""
LOST: Final = "_lost"
"""The venue of placeholders."""

log = structlog.get_logger()


class _States(msgspec.Struct, frozen=True):
    version: int
    """Rises with every announcement of this venue's."""
    symbols: dict[str, SymbolState]


_NONE: Final = _States(0, {})
_decoder = msgspec.json.Decoder(Instrument)
_states_decoder = msgspec.json.Decoder(_States)


class IdsMoved(Exception):
    """Somebody else has registered a symbol while the registry was restored: the rest would get other ids."""

    def __init__(self, symbol_id: int) -> None:
        self.symbol_id = symbol_id
        super().__init__(f"the id {symbol_id} was given to another symbol while the registry was restored")


class Registry:
    """This process's copy of the registry, in `table`."""

    def __init__(self, bus: Bus) -> None:
        self.table = SymbolTable()
        self._bus = bus
        self._read_to = 0
        self._states: dict[str, _States] = {}
        """By venue. Bounded by what is registered."""
        self._states_read_to = 0
        self._lock = asyncio.Lock()
        self._on_changed: list[Callable[[], None]] = []

    async def open(self) -> None:
        """Make sure that the registry exists, and read it."""
        await self._bus.open_stream(STREAM, subjects.ALL_SYMBOLS, MAX_SYMBOL_ID)
        await self._bus.open_rolling_stream(
            STATES, subjects.ALL_SYMBOL_STATES, max_bytes=STATES_BYTES, newest_only=True
        )
        await self.refresh()

    # Reading

    async def refresh(self) -> list[Instrument]:
        """Read what was registered or has changed since the last time, and return it."""
        async with self._lock:
            fresh = {one.id: one for one in await self._read_registered()}
            fresh |= {one.id: one for one in await self._read_states()}
            return list(fresh.values())

    async def follow(self, on_changed: Callable[[], None]) -> None:
        """Take in later states as they are announced, and call this then: there may be new symbols, too.

        It is also called when some may have been missed; `refresh` reads both.
        """
        self._on_changed.append(on_changed)
        if len(self._on_changed) == 1:
            await self._bus.subscribe(subjects.ALL_SYMBOL_STATES, self._on_states)
            self._bus.on_reconnect(self._say_changed)

    async def _read_registered(self) -> list[Instrument]:
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
        fresh = [self._as_it_is(one) for one in fresh if one.venue != LOST]
        for instrument in fresh:
            self.table.add(instrument)
        return fresh

    async def _read_states(self) -> list[Instrument]:
        last = await self._bus.last_sequence(STATES)
        venues = {one.venue for one in self.table}
        if last == self._states_read_to:
            venues -= self._states.keys()
        changed: list[Instrument] = []
        for venue in sorted(venues):
            payload = await self._bus.read_last(STATES, subjects.symbol_states(venue))
            self._states.setdefault(venue, _NONE)
            changed += self._take_in(venue, payload) if payload is not None else []
        self._states_read_to = last
        return changed

    def _on_states(self, subject: str, payload: bytes) -> None:
        try:
            venue = subjects.parse_symbol_states(subject)
        except BadSubject as error:
            log.warning("symbols.unreadable", subject=subject, error=str(error))
            return
        before = self._states.get(venue)
        self._take_in(venue, payload)
        if self._states.get(venue) is not before:  # it may speak of symbols that are to be read yet
            self._say_changed()

    def _say_changed(self) -> None:
        for react in self._on_changed:
            react()

    def _take_in(self, venue: str, payload: bytes) -> list[Instrument]:
        """Apply a venue's states, unless newer ones are known, and return what has changed by them."""
        try:
            states = _states_decoder.decode(payload)
        except (msgspec.DecodeError, UnicodeError) as error:
            log.warning("symbols.unreadable", venue=venue, error=str(error))
            return []
        if states.version <= self._states.get(venue, _NONE).version:
            return []
        self._states[venue] = states
        known = [one for native in states.symbols if (one := self.table.by_native(venue, native))]
        changed = [now for one in known if (now := self._as_it_is(one)) != one]
        for instrument in changed:
            self.table.add(instrument)
        return changed

    def _as_it_is(self, instrument: Instrument) -> Instrument:
        state = self._states.get(instrument.venue, _NONE).symbols.get(instrument.native)
        return instrument if state is None else with_state(instrument, state)

    # Writing

    async def register(self, instruments: Sequence[Instrument]) -> list[Instrument]:
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

    async def announce(self, venue: str, instruments: Collection[Instrument], now_ms: int) -> None:
        """Say how the registered symbols of a venue are now. One process a venue does.

        Nothing is said while nothing has changed.
        """
        before = self._states.get(venue, _NONE)
        symbols = {one.native: state_of(one) for one in instruments}
        if symbols == before.symbols:
            return
        states = _States(max(before.version + 1, now_ms), symbols)
        payload = msgspec.json.encode(states)
        await self._bus.append(subjects.symbol_states(venue), payload)
        self._take_in(venue, payload)
        self._say_changed()  # what comes back of it from the bus is no news here

    async def restore(self, copy: Collection[Instrument]) -> int:
        """Append what a copy has beyond the last id, each under its id; return how many ids that were.

        Nothing is appended to a registry that says otherwise than the copy. Raises IdsMoved if somebody else
        registers symbols meanwhile.
        """
        await self.open()
        by_id = {one.id: one for one in copy}
        missing = range(self._read_to + 1, max(by_id, default=0) + 1)
        if not missing or any(self._contradicts(one) for one in copy if one.id <= self._read_to):
            return 0
        for symbol_id in missing:
            one = by_id.get(symbol_id) or _placeholder(symbol_id)
            subject, payload = subjects.symbols(one.venue, one.native), msgspec.json.encode(one)
            if not await self._bus.append_at(subject, payload, symbol_id):
                raise IdsMoved(symbol_id)
        await self.refresh()
        log.warning("symbols.restored", count=len(missing), upto_id=missing[-1])
        return len(missing)

    def _contradicts(self, one: Instrument) -> bool:
        known = self.table.by_id(one.id)
        return known is None or (known.venue, known.native) != (one.venue, one.native)

    async def _append(self, instrument: Instrument) -> None:
        subject = subjects.symbols(instrument.venue, instrument.native)
        await self._bus.append_first(subject, msgspec.json.encode(instrument))

    def _registered(self, instrument: Instrument) -> Instrument:
        known = self.table.by_native(instrument.venue, instrument.native)
        if known is None:
            raise BusError(f"{instrument.name} was registered and is not there")
        return known


def _placeholder(symbol_id: int) -> Instrument:
    """Take up an id that nobody remembers."""
    name = f"{LOST}{symbol_id}"
    return Instrument(symbol=name, venue=LOST, native=name, price_precision=0, is_active=False)
