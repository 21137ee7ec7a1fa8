"""What arrived and was not read yet.

The rules of this file:
- One place per symbol and kind. A newer update takes the place of an older unread one and counts
  its changes too, so a slow reader gets the newest prices, in the order in which symbols first
  changed, and the backlog is never longer than the watchlist.
- Events are kept in order, up to `MAX_EVENTS`. Full: the oldest event goes, and is counted.
- Trades and gaps are all kept, in order. So is every bar, in its newest state. Full, at `MAX_TRADES` of them
  together: the stream reads nothing more from its socket, prices neither, until some are read here.
"""

from collections import OrderedDict, deque
from typing import Final

from clients.updates import Event, Item, Newest, StreamCandle, StreamGap, StreamTrade

MAX_EVENTS: Final = 256
MAX_TRADES: Final = 10_000


class Backlog:
    """Updates and events in the order in which to read them."""

    def __init__(self) -> None:
        self._items: OrderedDict[object, Item] = OrderedDict()
        self._events: deque[int] = deque()
        self._event_key = 0
        self._trade_key = 0
        self.kept = 0
        """How many trades, gaps and bars wait."""
        self.conflated = 0
        """Updates that a newer one replaced before they were read."""
        self.dropped_events = 0

    def __len__(self) -> int:
        return len(self._items)

    def put(self, update: Newest) -> None:
        key = (type(update), update.entry.id)
        older = self._items.get(key)
        if older is not None:
            self.conflated += 1
            update = update._replace(changes=update.changes + older.changes)  # type: ignore[union-attr]  # this key holds updates
        self._items[key] = update

    @property
    def is_full(self) -> bool:
        return self.kept >= MAX_TRADES

    def put_trade(self, item: StreamTrade | StreamGap) -> None:
        self._trade_key += 1
        self._items[StreamTrade, self._trade_key] = item
        self.kept += 1

    def put_candle(self, candle: StreamCandle) -> None:
        key = (StreamCandle, candle.entry.id, candle.interval, candle.open_ms)
        if key in self._items:
            self.conflated += 1
        else:
            self.kept += 1
        self._items[key] = candle

    def put_event(self, event: Event) -> None:
        if len(self._events) == MAX_EVENTS:
            del self._items[self._events.popleft()]
            self.dropped_events += 1
        self._event_key += 1
        self._events.append(self._event_key)
        self._items[self._event_key] = event

    def pop(self) -> Item:
        """Take the oldest item out. Raises KeyError when empty."""
        key, item = self._items.popitem(last=False)
        if isinstance(key, int):
            self._events.popleft()  # the oldest item that is an event is the oldest event
        elif isinstance(item, StreamTrade | StreamGap | StreamCandle):
            self.kept -= 1
        return item
