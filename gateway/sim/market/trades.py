"""The seeded market: every trade and quote as a pure function of seed, rate, genesis and its own id.

Nothing is stored. A minute of an instrument holds a fixed number of aggTrades, so ids are a closed
form of minute and index, contiguous from the listing on; the price walks from one minute's boundary
to the next over a bridge of hashed steps. History before genesis is thin (6 trades a minute), so
that years of it cost little; from genesis on a minute holds `60 * rate`.

    id of trade k of minute m    first_id(m) + k
    its time                     m + (k + jitter) * 60 s / n, microseconds, strictly rising
    its single trades            f = 2 id + bit(id), l = f(id + 1) - 1: one to three, tiled without a hole
    the book after it            bid and ask one tick apart, the trade was at one of them
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np

from gateway.sim.market.noise import F64, I64, U64, hashes, key_of, mix, random_walk, units
from gateway.sim.market.symbols import Board, Instrument, list_instruments

MINUTE_US: Final = 60_000_000
LISTED_MINUTE: Final = 26_297_280
"""2020-01-01 00:00 UTC: when everything was listed, id 1."""
HISTORY_TRADES: Final = 6
MAX_RATE: Final = 20_000.0
STEP: Final = 0.0006
"""What a price moves in a minute, as a share: about 2 % a day."""
_STEP_DEVIATION: Final = 37_837.0
"""The standard deviation of the sum of four uniform 16-bit numbers."""
_SIZE_MEAN: Final = 3.0445
"""The mean of 1 / (u + 0.05) over u of [0, 1)."""


class Trades(NamedTuple):
    """Columns of aggTrades in the order of their ids."""

    id: I64
    time_us: I64
    price: I64
    quantity: I64
    sold: Any
    """Whether the taker sold."""
    first: I64
    last: I64
    """The single trades in it."""
    mid: I64
    """The bid after it, in ticks."""


class Quotes(NamedTuple):
    """Columns of best bids and asks; the ask is a tick above the bid."""

    update_id: I64
    time_us: I64
    bid: I64
    bid_size: I64
    ask_size: I64


@dataclass(frozen=True, slots=True)
class MarketOptions:
    """What the market is a function of."""

    seed: int
    rate: float
    genesis_ms: int
    symbols: int
    quotes_per_trade: float = 1.0


class Market:
    """All instruments of the three boards and what they trade."""

    def __init__(self, options: MarketOptions) -> None:
        if not 0 < options.rate <= MAX_RATE:
            raise ValueError(f"rate must be above 0 and at most {MAX_RATE:g}, not {options.rate}")
        if not 0.1 <= options.quotes_per_trade <= 100:
            raise ValueError(f"quotes_per_trade must be 0.1 to 100, not {options.quotes_per_trade}")
        self.options = options
        self.instruments: list[Instrument] = []
        self._named: dict[tuple[Board, str], Instrument] = {}
        self._lowered: dict[tuple[Board, str], Instrument] = {}
        self._keys: dict[Instrument, int] = {}
        self._anchors: dict[Instrument, float] = {}
        self._live_trades = max(4, round(60 * options.rate))
        self._genesis = max(options.genesis_ms // 60_000, LISTED_MINUTE)
        self._genesis_id = 1 + (self._genesis - LISTED_MINUTE) * HISTORY_TRADES
        self._quotes_per_1000 = round(options.quotes_per_trade * 1000)
        for one in list_instruments(options.symbols, options.genesis_ms):
            self.add(one)
        # A minute is asked for again and again while it runs: by its tape, tickers, bars and REST.
        self.minute = lru_cache(maxsize=4 * len(self.instruments))(self._minute)
        self.quotes = lru_cache(maxsize=3 * len(self.instruments))(self._quotes)

    def add(self, one: Instrument) -> None:
        """Let an instrument trade: from 2020 on, like all of them."""
        self.instruments.append(one)
        self._named[one.board, one.symbol] = one
        self._lowered[one.board, one.symbol.lower()] = one
        self._keys[one] = key_of(self.options.seed, one.board.value, one.symbol)
        self._anchors[one] = self._walk(one, np.array([self._genesis]))[0]

    def remove(self, one: Instrument) -> None:
        """Know an instrument no more; `add` brings it back as it was."""
        self.instruments.remove(one)
        del self._named[one.board, one.symbol]
        del self._lowered[one.board, one.symbol.lower()]

    def find(self, board: Board, symbol: str) -> Instrument | None:
        return self._named.get((board, symbol))

    def find_lower(self, board: Board, symbol: str) -> Instrument | None:
        """Find what a stream names."""
        return self._lowered.get((board, symbol))

    def on_board(self, board: Board) -> list[Instrument]:
        return [one for one in self.instruments if one.board is board]

    # Ids

    def trades_in(self, minute: int) -> int:
        """Say how many aggTrades a minute holds."""
        return self._live_trades if minute >= self._genesis else HISTORY_TRADES

    def first_id(self, minute: int) -> int:
        """Return the id of the first aggTrade of a minute."""
        if minute <= self._genesis:
            return 1 + (minute - LISTED_MINUTE) * HISTORY_TRADES
        return self._genesis_id + (minute - self._genesis) * self._live_trades

    def minute_of(self, trade_id: int) -> int:
        """Return the minute in which an aggTrade happens."""
        if trade_id < self._genesis_id:
            return LISTED_MINUTE + (trade_id - 1) // HISTORY_TRADES
        return self._genesis + (trade_id - self._genesis_id) // self._live_trades

    def aggregate_of(self, one: Instrument, single_id: int) -> int:
        """Return the id of the aggTrade that holds a single trade."""
        half = single_id // 2
        first = 2 * half + int(_raw_bit(hashes(self._keys[one], np.array([half])))[0])
        return half if first <= single_id else half - 1

    # Trades and quotes

    def trades(self, one: Instrument, start: int, stop: int) -> Trades:
        """Return the trades of the minutes start (included) to stop (excluded)."""
        start = max(start, LISTED_MINUTE)
        if start < self._genesis < stop:
            parts = self.trades(one, start, self._genesis), self.trades(one, self._genesis, stop)
            return Trades(*(np.concatenate(pair) for pair in zip(*parts, strict=True)))
        return self._segment(one, start, max(start, stop))

    def by_ids(self, one: Instrument, first_id: int, stop_id: int) -> Trades:
        """Return the trades of an id and the following, up to another (excluded)."""
        first_id = max(first_id, 1)
        if stop_id <= first_id:
            return Trades(*(column[:0] for column in self.minute(one, LISTED_MINUTE)))
        start, last = self.minute_of(first_id), self.minute_of(stop_id - 1)
        trades = self.minute(one, start) if start == last else self.trades(one, start, last + 1)
        skipped = first_id - self.first_id(start)
        return Trades(*(column[skipped : skipped + stop_id - first_id] for column in trades))

    def id_at(self, one: Instrument, time_us: int) -> int:
        """Return the id of the first trade that happens at a moment or after it."""
        minute = max(time_us // MINUTE_US, LISTED_MINUTE)
        before = np.searchsorted(self.minute(one, minute).time_us, time_us, side="left")
        return self.first_id(minute) + int(before)

    def top(self, one: Instrument, now_us: int) -> Quotes:
        """Return the best bid and ask of a moment: columns of one row."""
        minute = max(now_us // MINUTE_US, LISTED_MINUTE + 1)
        while True:
            quotes = self.quotes(one, minute)
            at = int(np.searchsorted(quotes.time_us, now_us, side="right"))
            if at:
                return Quotes(*(column[at - 1 : at] for column in quotes))
            minute -= 1

    # Inside

    def _minute(self, one: Instrument, minute: int) -> Trades:
        return self.trades(one, minute, minute + 1)

    def _quotes(self, one: Instrument, minute: int) -> Quotes:
        """Make the changes of the book's top in a minute."""
        trades = self.minute(one, minute)
        per_1000, first_id = self._quotes_per_1000, self.first_id(minute)
        start, stop = first_id * per_1000 // 1000, (first_id + len(trades.id)) * per_1000 // 1000
        serial = np.arange(start, stop, dtype=np.int64)
        # Quote s belongs to the first trade a with (a + 1) * per_1000 // 1000 > s.
        trade_id = -((-(serial + 1) * 1000) // per_1000) - 1
        at = trade_id - first_id
        nth = serial - trade_id * per_1000 // 1000
        siblings = (trade_id + 1) * per_1000 // 1000 - trade_id * per_1000 // 1000
        slot_end = minute * MINUTE_US + (at + 1) * MINUTE_US // len(trades.id)
        drawn = hashes(self._keys[one] ^ 1, serial)
        typical = self._mean_lots(one, np.array([minute]))[0] * 4 + 1
        return Quotes(
            update_id=serial * 3 + (drawn % np.uint64(3)).astype(np.int64),
            time_us=trades.time_us[at] + (slot_end - trades.time_us[at]) * nth // np.maximum(siblings, 1),
            bid=trades.mid[at],
            bid_size=1 + (_piece(drawn, 8) * typical / 65_536).astype(np.int64),
            ask_size=1 + (_piece(drawn, 32) * typical / 65_536).astype(np.int64),
        )

    def _segment(self, one: Instrument, start: int, stop: int) -> Trades:
        """Make the trades of minutes that all hold the same number."""
        minutes = np.arange(start, stop + 1, dtype=np.int64)
        count, each = stop - start, self.trades_in(start)
        first_id = self.first_id(start)
        ids = np.arange(first_id, first_id + count * each + 1, dtype=np.int64)
        drawn = hashes(self._keys[one], ids)
        first = 2 * ids + _raw_bit(drawn)  # one more than asked: where the last one's single trades end
        ids, drawn = ids[:-1], drawn[:-1]
        singles = np.diff(first)
        steps = _steps(drawn)
        mid = self._mid(one, minutes, steps.reshape(count, each))
        leaning = 128 - 40 * np.sign(steps)  # takers buy more often into a rising price
        sold = (drawn >> np.uint64(16) & np.uint64(0xFF)).astype(np.int64) < leaning
        size = np.repeat(self._mean_lots(one, minutes[:-1]), each) / (_piece(drawn, 24) / 65_536 + 0.05)
        return Trades(
            id=ids,
            time_us=_times(minutes[:-1], each, drawn),
            price=mid + ~sold,
            quantity=singles + (size / _SIZE_MEAN).astype(np.int64),
            sold=sold,
            first=first[:-1],
            last=first[1:] - 1,
            mid=mid,
        )

    def _mid(self, one: Instrument, minutes: I64, steps: I64) -> I64:
        """Walk from each minute's boundary to the next: a straight line plus a bridge of the steps."""
        ticks = one.price * 10**one.tick_decimals
        edges = ticks * np.exp(self._walk(one, minutes) - self._anchors[one])
        each = steps.shape[1]
        way = np.arange(1, each + 1) / each
        walked = np.cumsum(steps, axis=1)
        bridge = (walked - walked[:, -1:] * way) * (STEP / _STEP_DEVIATION / each**0.5)
        path = edges[:-1, None] * (1.0 + bridge) + np.diff(edges)[:, None] * way
        mid: I64 = np.maximum(np.rint(path), 1).astype(np.int64).ravel()
        return mid

    def _walk(self, one: Instrument, minutes: I64) -> F64:
        """The logarithm of the coin's price, the same on every board."""
        return random_walk(key_of(self.options.seed, one.base), minutes, STEP)

    def _mean_lots(self, one: Instrument, minutes: I64) -> F64:
        """Lots a trade: the minute's volume, whatever the number of trades it is cut into."""
        lot_worth = one.contract_size if one.inverse else one.price / 10**one.lot_decimals
        busy = 0.4 + 1.2 * units(hashes(self._keys[one] ^ 2, minutes))
        daily = 1.0 + 0.5 * np.cos((minutes % 1440 - 900) * (2 * np.pi / 1440))  # busiest at 15:00 UTC
        trades = np.where(minutes >= self._genesis, self._live_trades, HISTORY_TRADES)
        mean: F64 = one.turnover / lot_worth * busy * daily / trades
        return mean


def _raw_bit(drawn: U64) -> I64:
    return (drawn >> np.uint64(40) & np.uint64(1)).astype(np.int64)


def _piece(drawn: U64, shift: int) -> I64:
    """Cut 16 bits out of hashes."""
    return (drawn >> np.uint64(shift) & np.uint64(0xFFFF)).astype(np.int64)


def _steps(drawn: U64) -> I64:
    """Near-normal integer steps of mean 0: the sum of the four 16-bit pieces of a second hash."""
    again = mix(drawn)
    return _piece(again, 0) + _piece(again, 16) + _piece(again, 32) + _piece(again, 48) - 131_070


def _times(minutes: I64, each: int, drawn: U64) -> I64:
    slots = np.arange(each, dtype=np.int64) * MINUTE_US // each
    room = MINUTE_US // each * 9 // 10  # the rest keeps times strictly rising
    return (minutes[:, None] * MINUTE_US + slots).ravel() + (_piece(drawn, 0) * room >> 16)
