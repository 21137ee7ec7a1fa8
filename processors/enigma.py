"""The Enigma processor: the extremes of every symbol of one venue, and where its price stands between them.

The rules of this file:
- The extremes are those of the same instrument at the same venue: from its bars ("history"), moved by
  every trade ("live"). An extreme keeps its source and its time until a price lies beyond it.
- Before the history of a symbol has come there is no level: what was lowest since we listen is not the
  lowest of all time. Trades that came before it count when it comes.
- The newest trade is the price. Late ones may move the extremes, never the price. Until one trades, the last
  close of the history is the price, as old as that bar.

Pure: values in, records out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Final, NamedTuple

from indicators.enigma import RATIOS, ladder, level
from protocol.bars import Bars
from protocol.events import Enigma, Trade

HISTORY: Final = "history"
LIVE: Final = "live"
RATIO_NAMES: Final = tuple(f"{100 * ratio:g}" for ratio in RATIOS)
"""0, 23.6, 38.2 … 100: as people call them."""
_MAX_DELAY_US: Final = 2**31 - 1


class Extreme(NamedTuple):
    price: float
    when_ms: int
    """When it was traded; of one from the history when its bar opened."""
    source: str


_NO_LOW: Final = Extreme(inf, 0, LIVE)
_NO_HIGH: Final = Extreme(-inf, 0, LIVE)


@dataclass(slots=True)
class _State:
    """Of one symbol."""

    low: Extreme = _NO_LOW
    high: Extreme = _NO_HIGH
    price: float = 0.0
    """0: none is known yet."""
    price_us: int = 0
    has_history: bool = False

    def move(self, price: float, when_ms: int, source: str) -> None:
        """Let a price move the extremes."""
        if price < self.low.price:
            self.low = Extreme(price, when_ms, source)
        if price > self.high.price:
            self.high = Extreme(price, when_ms, source)

    @property
    def is_known(self) -> bool:
        return self.has_history and self.price > 0


class EnigmaProcessor:
    """One venue. A symbol is known from the first time it is named."""

    def __init__(self, venue: str) -> None:
        self.venue = venue
        self._states: dict[str, _State] = {}
        self._moved: dict[str, _State] = {}
        """Those whose level may have changed since the last `take`."""

    def seed(self, native: str, bars: Bars) -> None:
        """Learn the whole life of a symbol, oldest first: months will do, the running one too. None at all
        says that it has just been listed."""
        state = self._move(native)
        state.has_history = True
        if not len(bars):
            return
        for name, place in (("low", bars["low"].argmin()), ("high", bars["high"].argmax())):
            state.move(float(bars[name][place]), int(bars["open_ms"][place]), HISTORY)
        last_us = int(bars["open_ms"][-1]) * 1_000
        if last_us > state.price_us:
            state.price, state.price_us = float(bars["close"][-1]), last_us

    def on_trades(self, native: str, trades: Sequence[Trade]) -> None:
        """Let trades move the price and the extremes."""
        state = self._move(native)
        prices = [trade.price for trade in trades]
        if min(prices) < state.low.price or max(prices) > state.high.price:
            for trade in trades:
                state.move(trade.price, trade.exchange_us // 1_000, LIVE)
        newest = trades[-1]
        if newest.exchange_us >= state.price_us:
            state.price, state.price_us = newest.price, newest.exchange_us

    def describe(self, native: str) -> dict[str, Any] | None:
        """Return a symbol's level and where it comes from, in people's words; None while it is not known."""
        state = self._states.get(native)
        if state is None or not state.is_known:
            return None
        low, high = state.low, state.high
        return {
            "level": level(state.price, low.price, high.price),
            "atl": low.price,
            "ath": high.price,
            "current_price": state.price,
            "fib_levels": dict(zip(RATIO_NAMES, ladder(low.price, high.price), strict=True)),
            "price_us": state.price_us,
            "atl_ms": low.when_ms,
            "ath_ms": high.when_ms,
            "atl_source": low.source,
            "ath_source": high.source,
        }

    def take(self, version_us: int, ids: Mapping[str, int]) -> list[Enigma]:
        """Return a record for each symbol whose price or extremes moved since the last call. One without an
        id, or without a history, waits for it."""
        ready = [native for native, state in self._moved.items() if state.is_known and native in ids]
        return [_record(ids[native], self._moved.pop(native), version_us) for native in ready]

    def _move(self, native: str) -> _State:
        state = self._states.get(native)
        if state is None:
            state = self._states[native] = _State()
        self._moved[native] = state
        return state


def _record(symbol_id: int, state: _State, version_us: int) -> Enigma:
    low, high = state.low.price, state.high.price
    delay_us = max(-_MAX_DELAY_US, min(version_us - state.price_us, _MAX_DELAY_US))
    return Enigma(symbol_id, 0, delay_us, level(state.price, low, high), low, high)
