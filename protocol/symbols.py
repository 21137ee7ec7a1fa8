"""Instruments, their names, their u16 ids, and what of them changes.

`BTCUSDT` means the default market (Binance spot), `BINANCE:BTCUSDT` says so in full,
`BINANCE:BTCUSDT.P` is the USD-margined perpetual, `BINANCE:BTCUSD.P` the coin-margined one.
A name is looked up in what the venues listed, never guessed from its spelling. What a venue does not trade
any more keeps its name and its id: its history stays, and it may come back.
"""

from collections.abc import Iterator
from typing import Final
from zlib import crc32

import msgspec

from protocol.errors import BadValue, UnknownSymbol
from protocol.events import MAX_SYMBOL_ID

DEFAULT_EXCHANGE: Final = "BINANCE"


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One tradable thing of one venue, as the symbol registry holds it."""

    id: int = 0
    """0 until the registry has given one."""
    symbol: str
    """`BTCUSDT`, `BTCUSDT.P`: unique within an exchange."""
    exchange: str = DEFAULT_EXCHANGE
    venue: str
    """The market that lists it: `binance`, `binance-usdm`, `binance-coinm`."""
    native: str
    """The venue's own spelling."""
    base: str = ""
    quote: str = ""
    price_precision: int
    """Digits after the point, from the tick size."""
    quantity_precision: int = 8
    simulated: bool = False
    """From a simulated exchange: to be said wherever its price is shown."""
    is_active: bool = True
    """It is traded now. Else the venue has halted it, or lists it no more."""
    ended_ms: int = 0
    """Since when it is not; 0 while it is."""
    tick_size: str = ""
    """This and the next four as exact decimals, `0.01`; empty where the venue states none."""
    min_quantity: str = ""
    """Quantities are in the venue's unit of orders: of COIN-M's futures that is contracts."""
    max_quantity: str = ""
    step_size: str = ""
    min_notional: str = ""
    """What an order must be worth, in the quote currency."""

    @property
    def name(self) -> str:
        return f"{self.exchange}:{self.symbol}"


class SymbolState(msgspec.Struct, frozen=True, array_like=True):
    """What may change of an instrument, named as there. New fields go at the end, with a default."""

    is_active: bool
    ended_ms: int
    price_precision: int
    quantity_precision: int
    tick_size: str
    min_quantity: str
    max_quantity: str
    step_size: str
    min_notional: str
    simulated: bool


def state_of(instrument: Instrument) -> SymbolState:
    """Return how an instrument is now."""
    return SymbolState(*(getattr(instrument, name) for name in SymbolState.__struct_fields__))


def with_state(instrument: Instrument, state: SymbolState) -> Instrument:
    """Return an instrument as it is in another state."""
    return msgspec.structs.replace(instrument, **msgspec.structs.asdict(state))


class SymbolTable:
    """All instruments by id, by name and by the venue's spelling."""

    def __init__(self) -> None:
        self._by_id: dict[int, Instrument] = {}
        self._by_name: dict[str, Instrument] = {}
        self._by_native: dict[tuple[str, str], Instrument] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self._by_id.values())

    def add(self, instrument: Instrument) -> None:
        """Add an instrument, or replace what was known of its id. Raises BadValue for an id out of range."""
        if not 0 < instrument.id <= MAX_SYMBOL_ID:
            raise BadValue("symbol id", instrument.id)
        self._forget(instrument.id)
        self._by_id[instrument.id] = instrument
        self._by_name[instrument.name.upper()] = instrument
        self._by_native[instrument.venue, instrument.native] = instrument

    def _forget(self, symbol_id: int) -> None:
        """Free the names of an id, unless another id has taken them over."""
        before = self._by_id.get(symbol_id)
        if before is None:
            return
        name, native = before.name.upper(), (before.venue, before.native)
        if self._by_name.get(name) is before:
            del self._by_name[name]
        if self._by_native.get(native) is before:
            del self._by_native[native]

    def by_id(self, symbol_id: int) -> Instrument | None:
        return self._by_id.get(symbol_id)

    def by_native(self, venue: str, native: str) -> Instrument | None:
        return self._by_native.get((venue, native))

    def find(self, name: str) -> Instrument:
        """Look up a name as users write it, in any case. Raises UnknownSymbol."""
        instrument = self._by_name.get(full_name(name))
        if instrument is None:
            raise UnknownSymbol(name)
        return instrument


def full_name(name: str) -> str:
    """Spell a name as users write it in the one way that is looked up."""
    wanted = name.strip().upper()
    return wanted if ":" in wanted else f"{DEFAULT_EXCHANGE}:{wanted}"


def shard_of(venue: str, native: str, shards: int) -> int:
    """Say which feed worker owns a symbol: always the same one, so that its order is never broken."""
    return crc32(f"{venue}:{native}".encode()) % shards
