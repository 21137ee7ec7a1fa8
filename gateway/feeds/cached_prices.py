"""Keeps the newest price of every symbol that a worker carries in Redis, for whoever reads there.

The rules of this file:
- Once in `ROUND_S` what has changed is written, and in any case what was written `REWRITE_S` ago: a symbol
  that is carried outlives `LIFE_S`, one that is let go does not.
- The stream gets changes only, so at most one a second of a symbol.
- A round waits for Redis, and nothing else does. Rounds that would be due meanwhile, or while Redis is not
  well, are skipped and counted. After that everything is written once: Redis may have lost it.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from gateway.cache import keys
from gateway.cache.cache import Cache
from gateway.cache.rounds import Rounds
from gateway.cache.values import CachedPrice, encode_value
from processors.price import PriceProcessor
from processors.symbol_state import SymbolState
from protocol.symbols import Instrument

ROUND_S: Final = 1.0
LIFE_S: Final = 300.0
REWRITE_S: Final = 60.0
AT_ONCE: Final = 100
"""In one pipeline: putting it together holds up the worker for a millisecond or two."""
TRUE: Final = "true"
"""As JSON says it."""


class Priced(NamedTuple):
    """What is known of a symbol now."""

    instrument: Instrument
    price: CachedPrice


class Written(NamedTuple):
    """What was written of it last."""

    price: CachedPrice
    at_s: float


class Round(NamedTuple):
    """What is to be written."""

    changed: list[Priced]
    again: list[Priced]


class CachedPrices:
    """One venue's, for one worker. Bounded by the symbols that are carried."""

    def __init__(self, cache: Cache, processor: PriceProcessor, stream_length: int | None = None) -> None:
        """`stream_length` is how many entries the stream of prices keeps; None: it gets none."""
        self._cache = cache
        self._processor = processor
        self._known: dict[int, Instrument] = {}
        self._stream_length = stream_length
        self._written: dict[int, Written] = {}
        """By symbol id."""
        self._rounds = Rounds(f"prices of {processor.venue}")
        self.describe = self._rounds.describe

    def know(self, instruments: Iterable[Instrument]) -> None:
        """Call symbols by these names; of others nothing is written."""
        self._known |= {one.id: one for one in instruments}

    async def run(self) -> None:
        """Write once a second. Until cancelled."""
        due_s = time.monotonic()
        while True:
            await self.write(time.monotonic())
            due_s += ROUND_S
            if late := int((time.monotonic() - due_s) / ROUND_S):
                self._rounds.on_skipped(late)
                due_s += late * ROUND_S
            await asyncio.sleep(max(due_s - time.monotonic(), 0.0))

    async def write(self, now_s: float) -> None:
        """Write what is due, some symbols at a time: the worker has other things to do in between."""
        states = list(self._processor.states())
        carried = {one.id for one in states}
        self._written = {symbol_id: one for symbol_id, one in self._written.items() if symbol_id in carried}
        for start in range(0, len(states), AT_ONCE):
            due = plan_round(self._priced(states[start : start + AT_ONCE]), self._written, now_s)
            if not await self._put(due, now_s):
                self._written.clear()
                self._rounds.on_skipped()
                return
            await asyncio.sleep(0)

    def _priced(self, states: Iterable[SymbolState]) -> list[Priced]:
        found = ((self._known.get(one.id), one) for one in states if one.price)
        return [Priced(instrument, price_of(instrument, one)) for instrument, one in found if instrument]

    async def _put(self, due: Round, now_s: float) -> bool:
        """Write what is due, and say whether Redis is well, and so has it."""
        some = [*due.changed, *due.again]
        if self._is_well() and some:
            values = {keys.price(one.instrument): encode_value(one.price) for one in some}
            await self._cache.put(values, LIFE_S)
        if self._is_well() and due.changed and self._stream_length is not None:
            entries = [entry_of(*one) for one in due.changed]
            await self._cache.append(keys.PRICES, entries, self._stream_length)
        if not self._is_well():
            return False
        self._rounds.on_written(len(some))
        self._written |= {one.instrument.id: Written(one.price, now_s) for one in some}
        return True

    def _is_well(self) -> bool:
        return not self._cache.reason


def price_of(instrument: Instrument, state: SymbolState) -> CachedPrice:
    """Say what the price processor knows of a symbol."""
    has_quote = state.ask > 0
    return CachedPrice(
        state.price,
        state.bid if has_quote else None,
        state.ask if has_quote else None,
        round(state.stated_volume + state.traded_since, instrument.quantity_precision),
        state.price_sent_us // 1_000,
        instrument.simulated,
    )


def plan_round(priced: Iterable[Priced], written: Mapping[int, Written], now_s: float) -> Round:
    """Say what is due: what is not there as it is, and what will not be there for long."""
    due = Round([], [])
    for one in priced:
        last = written.get(one.instrument.id)
        if last is None or last.price != one.price:
            due.changed.append(one)
        elif now_s - last.at_s >= REWRITE_S:
            due.again.append(one)
    return due


def entry_of(instrument: Instrument, price: CachedPrice) -> dict[str, str]:
    """Say a price as an entry of the stream; what is not known is not in it."""
    said = {"symbol": keys.symbol_of(instrument)} | msgspec.to_builtins(price)
    return {name: TRUE if value is True else str(value) for name, value in said.items() if value is not None}
