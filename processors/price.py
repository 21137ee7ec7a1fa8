"""The price processor: the newest value of every symbol, in batches, and every trade.

The rules of this file:
- A symbol's newest price and quote win inside a batch; the record says how many changes it stands for.
- A trade is never merged. One whose id was here before is a duplicate: counted and dropped. One that is
  late (its id was missing) goes out late, and does not move the price.
- GAP records stand between the trades, in the order in which they were told.
- A final bar of the venue goes out as it is, for the recorder: at most `MAX_WAITING_BARS` wait, the oldest
  go first; the recorder asks the venue for what it does not hear. It moves no price.
- A batch has at most 100 records; batches in a row are followed by one message a symbol with all of its
  trades in them (trade_queue.py). What waits is bounded: prices and quotes by the number of symbols,
  trades by `max_waiting_trades`; above it the oldest go unsent, are counted and told by `take_overflow`.
  The newest trades are kept beyond that (`tape`), so readers who see the jump can ask for them.

Pure: events in, encoded bus messages out; the clock is an argument.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from processors.messages import Message, pack_run, seal_each, seal_trades, trade_record
from processors.symbol_state import SymbolState
from processors.tape import CAPACITY, Range, TradeTape, capacity_of
from processors.trade_queue import Run, TradeQueue
from protocol import subjects
from protocol.batches import encode_batch
from protocol.events import Gap, GapState, Kind, TradeFlag
from protocol.frames import LAYOUTS, seal_v2
from protocol.intervals import format_interval
from protocol.market import AggTrade, Bar, BookTop, DayTicker, MarketEvent, RawTrade, format_bar

MAX_BATCH: Final = 100
MAX_WAITING_TRADES: Final = 10_000
MAX_WAITING_BARS: Final = 10_000
MAX_KEPT_TRADES: Final = 2_000_000
"""Of all symbols of a shard, for readers who missed some: 80 MB at most."""
_TRADE: Final = LAYOUTS[Kind.TRADE].struct
_GAP: Final = LAYOUTS[Kind.GAP].struct


@dataclass(slots=True)
class Counters:
    """What the processor did, for health and metrics."""

    events: int = 0
    duplicates: int = 0
    unknown_symbols: int = 0
    dropped_trades: int = 0
    batches: int = 0
    records: int = 0


@dataclass(slots=True)
class PriceProcessor:
    """One shard of one venue."""

    venue: str
    shard: int
    epoch_us: int
    max_batch: int = MAX_BATCH
    max_waiting_trades: int = MAX_WAITING_TRADES
    max_kept_trades: int = MAX_KEPT_TRADES
    """How many trades of all symbols together are kept after they were sent."""
    counters: Counters = field(default_factory=Counters)
    oldest_us: int = 0
    """When the oldest waiting change was received; 0 while nothing waits."""
    _symbols: dict[str, SymbolState] = field(default_factory=dict)
    _prices: dict[str, SymbolState] = field(default_factory=dict)
    _quotes: dict[str, SymbolState] = field(default_factory=dict)
    _trades: TradeQueue = field(init=False)
    _bars: deque[Bar] = field(default_factory=deque)
    _overflow: dict[str, Range] = field(default_factory=dict)
    _sequence: int = 0
    _tape_capacity: int = CAPACITY

    def __post_init__(self) -> None:
        self._trades = TradeQueue(self.max_waiting_trades)

    def add_symbol(self, native: str, symbol_id: int, quantity_precision: int = 8) -> None:
        """Know a symbol from now on; its events are dropped before that, and counted."""
        if native not in self._symbols:
            self._fit_tapes(len(self._symbols) + 1)
            tape = TradeTape(self._tape_capacity)
            self._symbols[native] = SymbolState(symbol_id, native, tape, 10.0**quantity_precision)

    def drop_symbol(self, native: str) -> None:
        """Know a symbol no longer. What waits of it is sent all the same."""
        if self._symbols.pop(native, None) is not None:
            self._overflow.pop(native, None)
            self._fit_tapes(len(self._symbols))

    def _fit_tapes(self, symbols: int) -> None:
        """Let the tapes of so many symbols share the room."""
        capacity = capacity_of(symbols, self.max_kept_trades)
        if capacity != self._tape_capacity:
            self._tape_capacity = capacity
            for state in self._symbols.values():
                state.tape.resize(capacity)

    def has_symbol(self, native: str) -> bool:
        return native in self._symbols

    def tape(self, native: str) -> TradeTape:
        """Return the newest trades of a symbol. Raises KeyError if it is not known."""
        return self._symbols[native].tape

    def symbol_id(self, native: str) -> int:
        """Return the id of a symbol. Raises KeyError if it is not known."""
        return self._symbols[native].id

    def states(self) -> Iterable[SymbolState]:
        """Return what is known of each symbol; to be read at once, for it goes on changing."""
        return self._symbols.values()

    @property
    def waiting(self) -> int:
        """How many records the next batches have."""
        return len(self._prices) + len(self._quotes) + len(self._trades) + len(self._bars)

    @property
    def has_room(self) -> bool:
        """Thousands of trades may come at once."""
        return self._trades.has_room

    def mark(self) -> int:
        """Return a mark behind the trades that have come so far, for `is_past`."""
        return self._trades.added

    def is_past(self, mark: int) -> bool:
        """Say whether nothing waits any more that came before a mark."""
        return self._trades.added - len(self._trades) >= mark

    def take_overflow(self) -> dict[str, Range]:
        """Return for each symbol between which ids trades went unsent since the last call."""
        overflow, self._overflow = self._overflow, {}
        return overflow

    # In

    def on_event(self, event: MarketEvent, received_us: int) -> None:
        """Take in one event of the venue."""
        self.counters.events += 1
        state = self._symbols.get(event.native)
        if state is None:
            self.counters.unknown_symbols += 1
            return
        if not self.oldest_us:
            self.oldest_us = received_us
        match event:
            case AggTrade():
                self._on_trade(state, event, received_us)
            case BookTop():
                state.take_book(event, received_us)
                self._quotes[state.native] = state
            case RawTrade():
                self._on_raw_trade(state, event, received_us)
            case DayTicker():
                self._on_day(state, event, received_us)
            case Bar():
                self._on_bar(state, event, received_us)

    def on_run(self, native: str, run: Sequence[AggTrade], received_us: int) -> None:
        """Take in trades of one symbol, each id one above the one before: as if each came for itself."""
        state = self._symbols.get(native)
        if state is None or not state.tape.goes_on_with(run[0].id):
            for trade in run:
                self.on_event(trade, received_us)
            return
        self.counters.events += len(run)
        if not self.oldest_us:
            self.oldest_us = received_us
        records = pack_run(state.id, run)
        state.tape.add_run(records, run[-1].id)
        self._enqueue(Run(Kind.TRADE, native, run[0].id, len(run), records))
        state.add_volume(run)
        self._show(state, run[-1], received_us, len(run))

    def on_recovered(self, trade: AggTrade, received_us: int) -> None:
        """Take in a trade that was fetched from the venue afterwards."""
        self.counters.events += 1
        state = self._symbols.get(trade.native)
        if state is None:
            self.counters.unknown_symbols += 1
            return
        self.oldest_us = self.oldest_us or received_us
        self._on_trade(state, trade, received_us, TradeFlag.RECOVERED)

    def glimpse(self, trade: AggTrade, received_us: int) -> None:
        """Show the price of a trade that itself comes later, because others are missing before it."""
        state = self._symbols.get(trade.native)
        if state is not None:
            self.oldest_us = self.oldest_us or received_us
            self._show(state, trade, received_us)

    def on_gap(self, native: str, gap: Gap, now_us: int) -> None:
        """Put a GAP record behind the trades that have come so far."""
        state = self._symbols.get(native)
        if state is None:
            return
        self.oldest_us = self.oldest_us or now_us
        if gap.state == GapState.LOST:
            state.tape.forget(gap.first_id, gap.last_id)
        self._enqueue(Run(Kind.GAP, native, gap.first_id, 1, _GAP.pack(*gap)))

    def begin_anew(self, native: str) -> None:
        """Forget the ids of a symbol's trades: the venue counts from a new start."""
        state = self._symbols.get(native)
        if state is not None:
            state.tape, state.priced_id = TradeTape(self._tape_capacity), 0

    def _on_trade(self, state: SymbolState, trade: AggTrade, received_us: int, flags: int = 0) -> None:
        row = trade_record(state.id, trade, flags)
        if not state.tape.accept([row]):
            self.counters.duplicates += 1
            return
        state.add_volume((trade,))
        self._enqueue(Run(Kind.TRADE, state.native, trade.id, 1, _TRADE.pack(*row)))
        self._show(state, trade, received_us)

    def _enqueue(self, run: Run) -> None:
        for oldest in self._trades.add(run):
            self.counters.dropped_trades += oldest.count
            if oldest.native in self._symbols:
                first_id, last_id = self._overflow.get(oldest.native, (oldest.first_id, oldest.last_id))
                self._overflow[oldest.native] = min(first_id, oldest.first_id), max(last_id, oldest.last_id)

    def _show(self, state: SymbolState, trade: AggTrade, received_us: int, changes: int = 1) -> None:
        """Let a trade move the price, unless a newer one has; it may stand for so many in a row."""
        if trade.id > state.priced_id:
            # Of some of them the price may have been shown already.
            state.price_changes += min(changes, trade.id - state.priced_id) - 1
            state.priced_id = trade.id
            self._take_price(state, trade.price, trade.sent_us, received_us)

    def _on_raw_trade(self, state: SymbolState, trade: RawTrade, received_us: int) -> None:
        if trade.id <= state.last_raw_id:
            self.counters.duplicates += 1
            return
        state.last_raw_id = trade.id
        if trade.sent_us >= state.price_sent_us:
            self._take_price(state, trade.price, trade.sent_us, received_us)

    def _on_day(self, state: SymbolState, day: DayTicker, received_us: int) -> None:
        state.stated_volume = day.volume
        state.stated_us = day.sent_us
        state.traded_since = 0.0
        # Once trades are heard they know the price better: a ticker may be older than the trade before it.
        # Its statement is news all the same, of the volume, and as old as the newer of the two.
        heard_trades = state.priced_id or state.last_raw_id
        price = state.price if heard_trades else day.close
        self._take_price(state, price, max(day.sent_us, state.price_sent_us), received_us)

    def _on_bar(self, state: SymbolState, bar: Bar, received_us: int) -> None:
        if bar.final:
            if len(self._bars) >= MAX_WAITING_BARS:
                self._bars.popleft()
            self._bars.append(bar)
        elif not (state.priced_id or state.last_raw_id):  # trades know the price better
            self._take_price(state, bar.close, bar.sent_us, received_us)

    def _take_price(self, state: SymbolState, price: float, sent_us: int, received_us: int) -> None:
        state.take_price(price, sent_us, received_us)
        self._prices[state.native] = state

    # Out

    def take_batch(self, now_us: int) -> list[Message]:
        """Encode the next batch, at most `max_batch` records: the wire message first, then messages of
        single symbols, then the venue's bars. Empty when nothing waits."""
        waiting = len(self._trades)
        runs = self._trades.take(self.max_batch)
        count = waiting - len(self._trades)
        prices = _take_states(self._prices, self.max_batch - count)
        quotes = _take_states(self._quotes, self.max_batch - count - len(prices))
        count += len(prices) + len(quotes)
        bars = self._take_bars() if self._bars else []
        if not count:
            self._rest()
            return bars
        frames: list[bytes] = []
        messages: list[Message] = []
        if prices:
            records = [
                (subjects.prices(self.venue, one.native), one.take_price_record(now_us)) for one in prices
            ]
            messages += seal_each(Kind.PRICE, records, frames, now_us)
        if quotes:
            records = [
                (subjects.quotes(self.venue, one.native), one.take_quote_record(now_us)) for one in quotes
            ]
            messages += seal_each(Kind.QUOTE, records, frames, now_us)
        messages += seal_trades(self.venue, runs, self._trades.take_gathered(), frames, now_us)
        batch = self._encode(frames)
        self.counters.records += count
        self._rest()
        return [batch, *messages, *bars]

    def _take_bars(self) -> list[Message]:
        """Encode the venue's bars; there are few, so they all go."""
        bars, self._bars = self._bars, deque()
        return [
            Message(subjects.bars(self.venue, bar.native, format_interval(bar.interval)), format_bar(bar))
            for bar in bars
        ]

    def _rest(self) -> None:
        if not self.waiting:
            self.oldest_us = 0

    def heartbeat(self, now_us: int) -> Message:
        """Encode an empty batch: it shows that this shard lives, and a loss before it."""
        self.oldest_us = self.oldest_us or now_us
        message = self._encode([])
        self._rest()
        return message

    def snapshot(self, now_us: int) -> bytes:
        """Encode the newest values of all symbols as a batch with the sequence of the last one sent.

        A record's change count is 1: how many changes the asker missed is not known here.
        """
        prices = [state.price_record(now_us) for state in self._symbols.values() if state.price]
        quotes = [state.quote_record(now_us) for state in self._symbols.values() if state.ask]
        frames = []
        if prices:
            frames.append(seal_v2(Kind.PRICE, b"".join(prices), len(prices), now_us))
        if quotes:
            frames.append(seal_v2(Kind.QUOTE, b"".join(quotes), len(quotes), now_us))
        return encode_batch(self.epoch_us, self._sequence, now_us, frames)

    def _encode(self, frames: list[bytes]) -> Message:
        self._sequence += 1
        self.counters.batches += 1
        payload = encode_batch(self.epoch_us, self._sequence, self.oldest_us, frames)
        return Message(subjects.wire(self.venue, self.shard), payload)


def _take_states(waiting: dict[str, SymbolState], most: int) -> list[SymbolState]:
    if len(waiting) <= most:
        taken = list(waiting.values())
        waiting.clear()
        return taken
    return [waiting.pop(native) for native in list(waiting)[:most]]
