"""What a `Stream` yields: updates, and the events between them.

Times named `*_us` are microseconds since 1970. A gateway states times in v2 only, and not with compact
prices; fields that do not come are None.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from protocol.control import SymbolEntry, WatchNews
from protocol.events import (
    Candle,
    CandleFlag,
    Enigma,
    Gap,
    Price,
    PriceFlag,
    PriceUpdate,
    Quote,
    Trade,
    TradeFlag,
    changes_of,
)
from protocol.intervals import format_interval


class StreamPrice(NamedTuple):
    """The newest price of one symbol."""

    symbol: str
    price: float
    volume: float
    """Rolling 24 h volume in the base currency."""
    exchange_us: int | None
    """When the exchange stated it; when the gateway heard it, if `from_receipt`."""
    delay_us: int | None
    """How old it was when the gateway sent it."""
    received_us: int
    """When this client decoded it, by this machine's clock."""
    changes: int
    """How many changes this one stands for: more than 1 where newer ones replaced older ones."""
    from_receipt: bool
    entry: SymbolEntry
    """What the gateway says of the symbol: venue, precisions, whether it is simulated."""

    @property
    def simulated(self) -> bool:
        return self.entry.simulated

    @property
    def age_us(self) -> int | None:
        """From the exchange to this client; negative if the clocks disagree by more than that."""
        return None if self.exchange_us is None else self.received_us - self.exchange_us


class StreamQuote(NamedTuple):
    """The newest best bid and ask of one symbol. Shared fields are those of StreamPrice."""

    symbol: str
    bid: float
    bid_size: float
    ask: float
    ask_size: float
    exchange_us: int
    delay_us: int
    received_us: int
    changes: int
    from_receipt: bool
    entry: SymbolEntry

    @property
    def simulated(self) -> bool:
        return self.entry.simulated

    @property
    def age_us(self) -> int:
        return self.received_us - self.exchange_us


class StreamTrade(NamedTuple):
    """One trade. Every one comes, once, and in the order of its ids, unless a StreamGap says otherwise."""

    symbol: str
    id: int
    """The venue's own: it rises by 1."""
    price: float
    quantity: float
    taker_sold: bool
    recovered: bool
    """Asked for later, because it was not heard live."""
    count: int  # type: ignore[assignment]  # shadows tuple.count, which nobody calls on a trade
    """How many of the venue's single trades this one aggregates."""
    exchange_us: int
    """When it traded, by the venue's clock."""
    sent_us: int
    """When the gateway sent it."""
    received_us: int
    entry: SymbolEntry

    @property
    def simulated(self) -> bool:
        return self.entry.simulated


@dataclass(frozen=True, slots=True)
class StreamGap:
    """Trades of one symbol are missing, or are no longer."""

    symbol: str
    state: int
    """A `GapState`: open (they may come yet, flagged recovered), filled, lost."""
    cause: int
    """A `GapCause`; 0 where the gateway gave none."""
    first_id: int
    last_id: int
    first_us: int
    """The venue's times of the trades around it; 0 where they are not known."""
    last_us: int
    explained: bool
    """The gateway said so. Otherwise this client noticed that ids jump, and nobody had said why."""
    entry: SymbolEntry


class StreamEnigma(NamedTuple):
    """Where the price of one symbol stands between its all-time low and high. Shared fields are those of
    StreamPrice."""

    symbol: str
    level: float
    """0 at the low, 100 at the high."""
    low: float
    high: float
    exchange_us: int
    delay_us: int
    received_us: int
    changes: int
    from_receipt: bool
    entry: SymbolEntry

    @property
    def simulated(self) -> bool:
        return self.entry.simulated

    @property
    def age_us(self) -> int:
        return self.received_us - self.exchange_us


class StreamCandle(NamedTuple):
    """The newest state of one bar. It stands for all before it: a bar is told from others by symbol, interval
    and opening."""

    symbol: str
    interval: str
    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int
    taker_buy: float
    """The part of `volume` that takers bought."""
    final: bool
    revision: int
    """How often it was corrected after it had been final."""
    source: str
    """"live" (from single trades), "rest" (the venue's own bar) or "rebuilt" (corrected from trades that came
    late)."""
    version_us: int
    """What the frame stated: after the last one of a connection, what to resume from."""
    received_us: int
    entry: SymbolEntry
    sequence: int = 0
    """Where it is kept on the bus: what a service goes on after. 0 from a gateway."""

    @property
    def simulated(self) -> bool:
        return self.entry.simulated


Newest: TypeAlias = StreamPrice | StreamQuote | StreamEnigma
"""Of these the newest value counts."""
Update: TypeAlias = Newest | StreamTrade | StreamCandle


@dataclass(frozen=True, slots=True)
class Connected:
    """The stream is open, and everything was asked for again."""

    url: str
    away_ms: int
    """How long nothing could arrive since the last connection; 0 for the first one."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The stream is down, or could not be opened. What changes until `Connected` is not seen."""

    code: int
    """The close code; 1006 where there was none."""
    reason: str
    retry_ms: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The gateway does not serve a part of what was asked. The stream goes on with the rest."""

    code: str
    message: str
    symbols: list[str]
    intervals: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Overrun:
    """This program was too slow for the bus: so many messages came and could not be kept."""

    messages: int


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What the bus kept under these numbers is there no more, and may be missing: load it from elsewhere.

    Both 0: it has lost all it had, and numbers anew.
    """

    first: int
    last: int


Event: TypeAlias = Connected | Disconnected | Refused | Overrun | Forgotten | WatchNews
Item: TypeAlias = Update | StreamGap | Event


def from_v1(row: PriceUpdate, entry: SymbolEntry, received_us: int) -> StreamPrice:
    return StreamPrice(entry.symbol, row.price, row.volume, None, None, received_us, 1, False, entry)


def from_v2(row: Price | Quote | Enigma, entry: SymbolEntry, time_us: int, received_us: int) -> Newest:
    """Join a v2 record with what its frame and the dictionary say."""
    shared = (
        time_us - row.delay_us,
        row.delay_us,
        received_us,
        max(changes_of(row.flags), 1),
        bool(row.flags & PriceFlag.RECEIPT_TIME),
        entry,
    )
    if isinstance(row, Price):
        return StreamPrice(entry.symbol, row.price, row.volume, *shared)
    if isinstance(row, Enigma):
        return StreamEnigma(entry.symbol, row.level, row.low, row.high, *shared)
    return StreamQuote(entry.symbol, row.bid, row.bid_size, row.ask, row.ask_size, *shared)


def from_trade(row: Trade, entry: SymbolEntry, time_us: int, received_us: int) -> StreamTrade:
    return StreamTrade(
        entry.symbol,
        row.id,
        row.price,
        row.quantity,
        bool(row.flags & TradeFlag.TAKER_SOLD),
        bool(row.flags & TradeFlag.RECOVERED),
        row.count,
        row.exchange_us,
        time_us,
        received_us,
        entry,
    )


def from_gap(row: Gap, entry: SymbolEntry, *, explained: bool = True) -> StreamGap:
    numbers = (row.state, row.cause, row.first_id, row.last_id, row.first_us, row.last_us)
    return StreamGap(entry.symbol, *numbers, explained, entry)


def from_candle(
    row: Candle, entry: SymbolEntry, version_us: int, received_us: int, sequence: int = 0
) -> StreamCandle:
    if row.flags & CandleFlag.REBUILT:
        source = "rebuilt"
    else:
        source = "rest" if row.flags & CandleFlag.REST else "live"
    return StreamCandle(
        entry.symbol,
        format_interval(row.interval),
        row.open_ms,
        row.open,
        row.high,
        row.low,
        row.close,
        row.volume,
        row.trades,
        row.taker_buy,
        bool(row.flags & CandleFlag.FINAL),
        row.revision,
        source,
        version_us,
        received_us,
        entry,
        sequence,
    )
