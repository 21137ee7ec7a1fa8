"""What a `Stream` yields: updates, and the events between them.

Times named `*_us` are microseconds since 1970. A gateway states times in v2 only; fields that
v1 does not carry are None.
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from protocol.control import AutoSubscribe, AutoUnsubscribe, MarketWatchSubscribe, SymbolEntry
from protocol.events import Price, PriceFlag, PriceUpdate, Quote, changes_of


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


Update: TypeAlias = StreamPrice | StreamQuote


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


Event: TypeAlias = Connected | Disconnected | Refused | AutoSubscribe | AutoUnsubscribe | MarketWatchSubscribe
Item: TypeAlias = Update | Event


def from_v1(row: PriceUpdate, entry: SymbolEntry, received_us: int) -> StreamPrice:
    return StreamPrice(entry.symbol, row.price, row.volume, None, None, received_us, 1, False, entry)


def from_v2(row: Price | Quote, entry: SymbolEntry, time_us: int, received_us: int) -> Update:
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
    return StreamQuote(entry.symbol, row.bid, row.bid_size, row.ask, row.ask_size, *shared)
