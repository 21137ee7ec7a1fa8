"""What the codecs are measured on: batches of prices as the simulated exchange gives them.

A batch is one moment of so many symbols: the last price, and the volume of the day before it. In JSON it is
`[{"symbol":"BTCUSDT","price":104740.15,"volume":27487.08238},…]` without a space.

Left out are symbols that are not ASCII (one of them would make a JSON text two bytes a character in V8, and
that is not what is compared here), and coins of which millions trade at once for fractions of a cent: no
COMPACT record reaches so far, they come as PRICE.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypedDict

import msgspec

from gateway.sim.market.bars import Bar, History
from gateway.sim.market.symbols import Board, Instrument
from gateway.sim.market.trades import Market, MarketOptions
from protocol.compact import MAX_PRICE_STEP, MAX_VOLUME_STEP
from protocol.events import Base, PriceUpdate

BATCHES: Final = 32
"""So many different ones in turn, so that no cache of a parser answers."""
STEP_US: Final = 500_000
GENESIS_MS: Final = 1_790_000_000_000
FIRST_US: Final = (GENESIS_MS + 600_000) * 1000
SEED: Final = 7
RATE: Final = 10.0
SPARE: Final = 8
"""How many more symbols are drawn than needed, for those that are left out."""


class NamedPrice(TypedDict):
    """A record in JSON."""

    symbol: str
    price: float
    volume: float


@dataclass(frozen=True)
class Sample:
    names: list[str]
    """By symbol id, which begins at 1: that of id 1 is the first."""
    bases: list[Base]
    """What COMPACT records count from: the first batch."""
    batches: list[list[PriceUpdate]]

    @cached_property
    def objects(self) -> list[list[NamedPrice]]:
        """The same as JSON has them."""
        return [[self._named(one) for one in batch] for batch in self.batches]

    @cached_property
    def texts(self) -> list[bytes]:
        return [msgspec.json.encode(batch) for batch in self.objects]

    def _named(self, one: PriceUpdate) -> NamedPrice:
        return {"symbol": self.names[one.symbol_id - 1], "price": one.price, "volume": one.volume}


@dataclass(frozen=True, slots=True)
class _Course:
    """One symbol over the moments of all batches."""

    instrument: Instrument
    days: list[Bar]

    @property
    def is_wanted(self) -> bool:
        first = self.days[0]
        price_step = max(abs(day.close - first.close) for day in self.days)
        volume_step = max(abs(day.volume - first.volume) for day in self.days)
        is_reached = price_step <= MAX_PRICE_STEP and volume_step <= MAX_VOLUME_STEP
        return is_reached and self.instrument.symbol.isascii()

    def base(self, symbol_id: int) -> Base:
        first, one = self.days[0], self.instrument
        return Base(symbol_id, one.tick_decimals, one.lot_decimals, 0, first.close, first.volume)

    def at(self, index: int, symbol_id: int) -> PriceUpdate:
        day, one = self.days[index], self.instrument
        # One division of two whole numbers: the very float that the decimal text on the wire is.
        return PriceUpdate(symbol_id, day.close / 10**one.tick_decimals, day.volume / 10**one.lot_decimals)


def time_us(index: int) -> int:
    """Return the moment of a batch."""
    return FIRST_US + index * STEP_US


def draw_sample(records: int) -> Sample:
    """Draw the batches. They are always the same."""
    courses = [course for course in _courses(records + SPARE) if course.is_wanted][:records]
    return Sample(
        [course.instrument.symbol for course in courses],
        [course.base(index + 1) for index, course in enumerate(courses)],
        [[course.at(moment, index + 1) for index, course in enumerate(courses)] for moment in range(BATCHES)],
    )


def _courses(symbols: int) -> Iterator[_Course]:
    market = Market(MarketOptions(seed=SEED, rate=RATE, genesis_ms=GENESIS_MS, symbols=symbols))
    for one in market.instruments:
        if one.board is Board.SPOT:
            history = History(market, one)
            yield _Course(one, [history.day(time_us(moment)) for moment in range(BATCHES)])
