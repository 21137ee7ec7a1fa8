"""Binance's market events: the fields that are used, and what they mean in our words.

The names are the venue's; the tag of a message is its `e`. Docs:
https://github.com/binance/binance-spot-api-docs/blob/master/web-socket-streams.md#detailed-stream-information

- A time of 10^14 or more is in microseconds (as milliseconds: the year 5138), below it in milliseconds.
- `st` is the universe of a futures message (1 USD-M, 2 COIN-M). Since 2026-06-30 both hosts may send
  both, so what is not our own is dropped, or it would count twice.
- COIN-M counts contracts of so many dollars; quantities leave here in base units.
- Price and amount both zero say that nothing is there; a zero price of an amount is a mistake.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

from gateway.exchanges.errors import BadPayload
from protocol.intervals import MINUTES
from protocol.market import AggTrade, Bar, BookTop, DayTicker, RawTrade, Shutdown


@dataclass(frozen=True, slots=True)
class Market:
    """What tells the three markets apart in their events."""

    universe: int = 0
    """Its `st`; 0 where there is only one."""
    in_contracts: bool = False
    """Quantities are contracts of `contract_usd` dollars, not base units."""


Native: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
MICROSECONDS: Final = 10**14
"""A time from here on is in microseconds."""
_new: Final = tuple.__new__
LARGEST: Final = 1e30
"""No market states more than this."""
Number: TypeAlias = Annotated[float, Meta(ge=0.0, le=LARGEST)]
"""Neither negative nor infinite; NaN fails the comparisons too."""
Whole: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Id: TypeAlias = Annotated[int, Meta(ge=-1, le=2**63 - 1)]
"""-1 is Binance's word for none: the first and last trade of a bar without trades."""
Time: TypeAlias = Annotated[int, Meta(gt=0, lt=2**62)]


class _AggTrade(Struct, tag_field="e", tag="aggTrade", gc=False):
    s: Native
    a: Whole
    p: Number
    q: Number
    f: Id
    l: Id  # noqa: E741  # the venue's name of the field
    T: Time
    m: bool
    E: Whole = 0
    st: int = 0

    def event(self, market: Market) -> AggTrade | None:
        if self.st and self.st != market.universe:
            return None
        quantity, first_id, last_id, traded, sent = self.q, self.f, self.l, self.T, self.E
        if not self.p:
            _check_nothing(quantity)
            return None
        if market.in_contracts:
            quantity = in_base(self.s, quantity, self.p)
        if not 0 <= last_id - first_id < 2**32:
            raise BadPayload(f"trades {first_id} to {last_id} in one")
        # One of these is made of every trade, and so in the quickest way: `time_us` written out, and
        # without the function by which a NamedTuple takes keywords.
        return _new(
            AggTrade,
            (
                self.s,
                self.a,
                self.p,
                quantity,
                self.m,  # "m": the buyer is the maker, so the taker sold.
                traded if traded >= MICROSECONDS else traded * 1_000,
                sent if sent >= MICROSECONDS else sent * 1_000,
                first_id,
                last_id,
            ),
        )


class _Trade(Struct, tag_field="e", tag="trade", gc=False):
    s: Native
    t: Whole
    p: Number
    q: Number
    T: Time
    m: bool
    E: Whole = 0
    st: int = 0

    def event(self, market: Market) -> RawTrade | None:
        if self.st and self.st != market.universe:
            return None
        quantity = self.q
        if not self.p:
            _check_nothing(quantity)
            return None
        if market.in_contracts:
            quantity = in_base(self.s, quantity, self.p)
        return RawTrade(self.s, self.t, self.p, quantity, self.m, time_us(self.T), time_us(self.E))


class _BookTop(Struct, gc=False):
    """`e` is not looked at, because spot leaves it out. It states no time either."""

    u: Whole
    s: Native
    b: Number
    B: Number
    a: Number
    A: Number
    E: Whole = 0
    st: int = 0

    def event(self, market: Market) -> BookTop | None:
        if self.st and self.st != market.universe:
            return None
        bid_size, ask_size = self.B, self.A
        # A side of the book may be empty: 0 of it at 0.
        if (bid_size and not self.b) or (ask_size and not self.a):
            raise BadPayload(f"book of {self.s}: an amount at a price of zero")
        if market.in_contracts:
            bid_size = in_base(self.s, bid_size, self.b)
            ask_size = in_base(self.s, ask_size, self.a)
        return BookTop(self.s, self.u, self.b, bid_size, self.a, ask_size, time_us(self.E))


class _TaggedBookTop(_BookTop, tag_field="e", tag="bookTicker", gc=False):
    """The same without a wrapper, where it names itself."""


class _MiniTicker(Struct, tag_field="e", tag="24hrMiniTicker", gc=False):
    s: Native
    c: Number
    v: Number
    q: Number
    E: Whole = 0
    st: int = 0

    def event(self, market: Market) -> DayTicker | None:
        if self.st and self.st != market.universe:
            return None
        if not self.c:
            _check_nothing(self.v)  # listed, and not traded for a day
            return None
        # COIN-M: v are contracts and q is the base asset; elsewhere v is base and q quote.
        return DayTicker(self.s, self.c, self.q if market.in_contracts else self.v, time_us(self.E))


class _KlineBody(Struct, gc=False):
    t: Time
    i: str
    f: Id
    L: Id
    o: Number
    c: Number
    h: Number
    l: Number  # noqa: E741  # the venue's name of the field
    v: Number
    q: Number
    V: Number
    Q: Number
    n: Whole
    x: bool
    st: int = 0


class _Kline(Struct, tag_field="e", tag="kline", gc=False):
    s: Native
    k: _KlineBody
    E: Whole = 0
    st: int = 0

    def event(self, market: Market) -> Bar | None:
        bar, universe = self.k, self.st or self.k.st
        if (universe and universe != market.universe) or bar.i not in MINUTES:
            return None
        if not bar.l:
            _check_nothing(bar.h)
            return None
        if not bar.l <= bar.o <= bar.h or not bar.l <= bar.c <= bar.h:
            raise BadPayload(f"bar of {self.s}: open and close are outside of low and high")
        volumes = (bar.v, bar.q, bar.V, bar.Q)
        if market.in_contracts:
            dollars = contract_usd(self.s)
            volumes = (bar.q, bar.v * dollars, bar.Q, bar.V * dollars)
        volume, quote_volume, taker_buy, taker_buy_quote = volumes
        return Bar(
            native=self.s,
            interval=MINUTES[bar.i],
            open_ms=time_us(bar.t) // 1_000,
            open=bar.o,
            high=bar.h,
            low=bar.l,
            close=bar.c,
            volume=volume,
            quote_volume=quote_volume,
            taker_buy=taker_buy,
            taker_buy_quote=taker_buy_quote,
            trades=bar.n,
            first_id=bar.f,
            last_id=bar.L,
            final=bar.x,
            sent_us=time_us(self.E),
        )


class _Shutdown(Struct, tag_field="e", tag="serverShutdown", gc=False):
    E: Whole = 0

    def event(self, market: Market) -> Shutdown:  # noqa: ARG002  # one signature for all events
        return Shutdown(time_us(self.E))


Event: TypeAlias = _AggTrade | _Trade | _TaggedBookTop | _MiniTicker | _Kline | _Shutdown
EVENTS: Final = frozenset({"aggTrade", "trade", "bookTicker", "24hrMiniTicker", "kline", "serverShutdown"})


class _Wrapped(Struct, gc=False):
    data: Event


class _WrappedBookTop(Struct, gc=False):
    data: _BookTop


bare: Final[Callable[[bytes], Event]] = msgspec.json.Decoder(Event, strict=False).decode
bare_book: Final = msgspec.json.Decoder(_BookTop, strict=False).decode
wrapped: Final = msgspec.json.Decoder(_Wrapped, strict=False).decode
wrapped_book: Final = msgspec.json.Decoder(_WrappedBookTop, strict=False).decode


def time_us(time: int) -> int:
    """Return a time of the venue, which is in milliseconds or microseconds, in microseconds."""
    return time if time >= MICROSECONDS else time * 1_000


def _check_nothing(amount: float) -> None:
    """Raise BadPayload for a price of zero that has an amount."""
    if amount:
        raise BadPayload(f"{amount:g} at a price of zero")


def in_base(native: str, contracts: float, price: float) -> float:
    """Return how much of the base asset so many COIN-M contracts are. Raises BadPayload for too much."""
    quantity = contracts * contract_usd(native) / (price or 1.0)
    if quantity > LARGEST:
        raise BadPayload(f"{contracts:g} contracts of {native} at {price:g}")
    return quantity


def contract_usd(native: str) -> float:
    """Say how many dollars one COIN-M contract is. `binance_rest` lists no instrument that differs."""
    # https://www.binance.com/en/futures/trading-rules/quarterly
    return 100.0 if native.startswith("BTCUSD_") else 10.0
