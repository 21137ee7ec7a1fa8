"""The symbols that a worker carries of one venue: they follow what is wanted.

The rules of this file:
- Of all that the venue lists a worker knows its own shard. It carries what `dynamic_symbols.py` says: the
  base set, and what somebody wants. Changes that come close together are made together.
- A symbol is known to the hub and the processor before the first of its events can come, and until after the
  last was asked for. What the connections then send is their own business, within the venue's limits.
- What a predecessor carried goes on from its last ids, if it is wanted by the time that every node has
  spoken. Any other symbol that is taken up later begins with its next trade.
- What the venue does not trade any more is let go at once, whoever wants it, and is none of its connections'
  silence. If it is traded again while it is wanted it goes on from its last id: what was traded before this
  worker has heard of that is fetched.
- The clock of all this runs only while nodes can be heard: not while the bus is away, or this process stands
  still. Else everything would be let go because nobody seems to want it.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from gateway.feeds.connections.pool import ConnectionPool
from gateway.feeds.day_tickers import DayTickers
from gateway.feeds.dynamic_symbols import NODE_TTL_MS, DynamicSymbols
from gateway.feeds.hub import Hub, now_us
from gateway.feeds.trades.last_ids import LastIds
from processors.price import PriceProcessor
from protocol.symbols import Instrument

FOLLOW_EVERY_S: Final = 0.1
"""Between two changes: a storm of wishes becomes ten changes a second."""
LOOK_EVERY_S: Final = 1.0
"""How often time alone may change something."""
LONGEST_STEP_MS: Final = 2_000

log = structlog.get_logger()


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class HearingClock:
    """Counts the milliseconds in which nodes could be heard. To be looked at once a second at least."""

    def __init__(self, can_hear: Callable[[], bool], read_ms: Callable[[], int] = _monotonic_ms) -> None:
        self._can_hear = can_hear
        self._read_ms = read_ms
        self._ms = 0
        self._looked_ms = read_ms()

    def now_ms(self) -> int:
        before_ms, self._looked_ms = self._looked_ms, self._read_ms()
        if self._can_hear():
            self._ms += min(self._looked_ms - before_ms, LONGEST_STEP_MS)
        return self._ms


class Wishes:
    """Who wants what of one venue."""

    def __init__(self, symbols: DynamicSymbols, clock: HearingClock) -> None:
        self.changed = asyncio.Event()
        self._symbols = symbols
        self._clock = clock

    def on_demand(self, node: str, natives: Iterable[str]) -> None:
        """Take in what one node wants now."""
        self._symbols.on_demand(node, natives, self._clock.now_ms())
        self.changed.set()

    def begin(self, base: Iterable[str]) -> None:
        """Want a base set whatever is heard."""
        self._symbols.base = frozenset(base)

    def wanted(self) -> frozenset[str]:
        return self._symbols.wanted(self._clock.now_ms())

    @property
    def all_have_spoken(self) -> bool:
        """Whoever was there when this worker started has been heard by now."""
        return self._clock.now_ms() > NODE_TTL_MS


class CarriedSymbols:
    """One venue's share of a worker."""

    def __init__(
        self,
        wishes: Wishes,
        listed: Iterable[Instrument],
        before: LastIds,
        *,
        processor: PriceProcessor,
        hub: Hub,
        tickers: DayTickers,
        pool: ConnectionPool,
    ) -> None:
        """`listed` is all that this worker may carry; `before` is what a predecessor has left."""
        self._wishes = wishes
        self._listed = {one.native: one for one in listed}
        self._halted: dict[str, tuple[int, int]] = {}
        """Symbols that were carried when they were traded last: their last ids, and when that was said."""
        self._unclaimed = dict(before.ids)
        self._before_us = before.at_us
        self._processor = processor
        self._hub = hub
        self._tickers = tickers
        self._pool = pool
        self._carried: frozenset[str] = frozenset()

    def start(self) -> None:
        """Carry what is wanted already."""
        self._follow(self._begin)

    def know(self, listed: Iterable[Instrument]) -> None:
        """Replace what may be carried, and how it is."""
        self._listed = {one.native: one for one in listed}
        self._wishes.changed.set()

    async def run(self) -> None:
        """Follow what is wanted. Until cancelled."""
        while True:
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._wishes.changed.wait()
            except TimeoutError:
                pass
            self._wishes.changed.clear()
            if self._wishes.all_have_spoken:
                self._forget_unclaimed()
            self._follow(self._take_up)
            await asyncio.sleep(FOLLOW_EVERY_S)

    def safe_ids(self) -> dict[str, int]:
        """Return what a successor goes on from: also what was left here, while it may still be wanted."""
        halted = {native: last_id for native, (last_id, _) in self._halted.items()}
        return halted | self._unclaimed | self._hub.safe_ids()

    def _forget_unclaimed(self) -> None:
        """Keep of a predecessor's symbols only those that nobody can carry now."""
        for native, last_id in self._unclaimed.items():
            if self._is_halted(native):
                self._halted[native] = last_id, self._before_us
        self._unclaimed.clear()

    def _is_halted(self, native: str) -> bool:
        return native in self._listed and not self._listed[native].is_active

    def _follow(self, take_up: Callable[[Instrument], None]) -> None:
        wished = self._wishes.wanted()
        wanted = frozenset(one for one in wished & self._listed.keys() if self._listed[one].is_active)
        new, gone = wanted - self._carried, self._carried - wanted
        self._halted = {one: last for one, last in self._halted.items() if one in new or self._is_halted(one)}
        if not new and not gone:
            return
        self._carried = wanted
        for native in sorted(new):
            instrument = self._listed[native]
            self._processor.add_symbol(native, instrument.id, instrument.quantity_precision)
            take_up(instrument)
        self._restore(new)
        self._tickers.ask(new)
        self._pool.want(wanted)
        self._tickers.forget(gone)
        for native in gone:
            if self._is_halted(native) and (last_id := self._hub.last_id(native)):
                self._halted[native] = last_id, now_us()
            self._hub.drop_symbol(native)
            self._processor.drop_symbol(native)
        log.info(
            "feed.carries", venue=self._processor.venue, symbols=len(wanted), new=len(new), let_go=len(gone)
        )

    def _begin(self, instrument: Instrument) -> None:
        self._hub.add_symbol(instrument.native, instrument.id)

    def _take_up(self, instrument: Instrument) -> None:
        if instrument.native in self._unclaimed:
            self._begin(instrument)
        elif instrument.native in self._halted:
            self._begin(instrument)
            self._hub.resume(instrument.native, *self._halted.pop(instrument.native))
        else:
            self._hub.take_up(instrument.native, instrument.id)

    def _restore(self, new: Iterable[str]) -> None:
        """Let symbols go on where a predecessor was."""
        known = {native: self._unclaimed.pop(native) for native in new if native in self._unclaimed}
        if known:
            self._hub.restore(known, self._before_us)
