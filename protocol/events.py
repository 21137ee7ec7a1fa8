"""The records of the wire, one class a kind, in the field order of `SPEC.md`.

Times named `*_us` are microseconds, `*_ms` milliseconds, both since 1970 in UTC.
Prices and volumes are in the instrument's quote and base units.
"""

from enum import IntEnum, IntFlag
from typing import Final, NamedTuple

MAX_SYMBOL_ID: Final = 65_535
"""Ids are u16. Id 0 is never given out, so 65,535 symbols have one."""


class Kind(IntEnum):
    """What the records of a v2 frame are."""

    PRICE = 1
    QUOTE = 2
    TRADE = 3
    CANDLE = 4
    ENIGMA = 5
    GAP = 6
    BASE = 7
    COMPACT = 8


class PriceFlag(IntFlag):
    """Low byte of `flags` in PRICE and QUOTE; the high byte counts the changes it stands for."""

    RECEIPT_TIME = 1
    """The venue stated no time: `delay_us` counts from our receipt."""


class TradeFlag(IntFlag):
    TAKER_SOLD = 1
    RECOVERED = 2
    """Filled in later from the venue's REST, not heard live."""


class CandleFlag(IntFlag):
    FINAL = 1
    REST = 2
    REBUILT = 4
    """Neither REST nor REBUILT: built from live trades."""


class GapState(IntEnum):
    OPEN = 0
    """Missing, and being asked for."""
    FILLED = 1
    """All of it has come, flagged RECOVERED; or nothing was missing at all."""
    LOST = 2
    """It cannot be had any more."""


class GapCause(IntEnum):
    """Why a stream was interrupted, or may have been."""

    SKIPPED = 1
    """Ids jumped on a connection that lived."""
    CONNECTION_LOST = 2
    ROTATED = 3
    """We replaced the connection on purpose: before its limit of age, or as the venue announced."""
    MUTE = 4
    """The connection stood and delivered nothing."""
    WORKER_RESTARTED = 5
    BUS = 6
    """Batches were lost between a feed worker and a gateway."""
    OVERFLOW = 7
    """More waited than a queue holds."""
    OUT_OF_REACH = 8
    """A client asked to resume from before what can still be had."""
    NOT_CARRIED = 9
    """Traded while nobody wanted the symbol, so that no feed worker listened."""


class PriceUpdate(NamedTuple):
    """A v1 record."""

    symbol_id: int
    price: float
    volume: float


class Price(NamedTuple):
    symbol_id: int
    flags: int
    delay_us: int
    """The frame's `time_us` minus the moment the venue sent this value; negative if its clock is ahead."""
    price: float
    volume: float
    """Rolling 24 h base volume as the venue last stated it, plus what has traded since."""


class Base(NamedTuple):
    """What the COMPACT records of one symbol count from, until the next one of it."""

    symbol_id: int
    price_digits: int
    volume_digits: int
    pad: int
    price: int
    """In units of 10^-price_digits."""
    volume: int
    """In units of 10^-volume_digits."""


class Compact(NamedTuple):
    """The newest price of one symbol, as differences from its BASE (`compact.py`)."""

    symbol_id: int
    price: int
    volume: int


class Quote(NamedTuple):
    symbol_id: int
    flags: int
    delay_us: int
    bid: float
    bid_size: float
    ask: float
    ask_size: float


class Trade(NamedTuple):
    symbol_id: int
    flags: int
    count: int  # type: ignore[assignment]  # shadows tuple.count, which nobody calls on a trade
    """How many of the venue's single trades this one aggregates."""
    id: int
    """The venue's id: contiguous per symbol."""
    exchange_us: int
    """When it traded, by the venue's clock."""
    price: float
    quantity: float


class Candle(NamedTuple):
    symbol_id: int
    interval: int
    """Its length in minutes, `intervals.py`."""
    flags: int
    revision: int
    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int
    pad: int
    taker_buy: float
    """The part of `volume` that takers bought."""


class SeriesKey(NamedTuple):
    """The candles of one symbol in one interval."""

    symbol_id: int
    interval: int
    """In minutes."""


class Enigma(NamedTuple):
    symbol_id: int
    flags: int
    delay_us: int
    level: float
    """0 at the all-time low, 100 at the all-time high."""
    low: float
    high: float


class Gap(NamedTuple):
    symbol_id: int
    state: int
    cause: int
    first_id: int
    """The first and last missing trade ids; both 0 where the stream has no ids."""
    last_id: int
    first_us: int
    last_us: int


def changes_of(flags: int) -> int:
    """Read from the flags of a PRICE or QUOTE how many changes it stands for (255: that or more)."""
    return flags >> 8


def with_changes(flags: int, changes: int) -> int:
    """Put into the high byte of the flags how many changes a record stands for."""
    return (flags & 0xFF) | (min(changes, 255) << 8)
