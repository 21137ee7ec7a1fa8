"""What the terminal view shows, as a state: items of a stream in, a rich picture out.

Pure: the caller tells the time. A price is green or red for a moment after it rose or fell; a row
that was not heard of for a while is dim. SIMULATED is said before anything else in the header, and
in the row as well where not every row is.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Final, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from clients.stats import StreamStats, age_at
from clients.updates import Connected, Disconnected, Item, Refused, StreamPrice, StreamQuote
from protocol.control import AutoUnsubscribe, SymbolEntry
from protocol.symbols import full_name

FLASH_S: Final = 0.4
STALE_S: Final = 5.0
RATE_WINDOW_S: Final = 3.0
AGES_A_ROW: Final = 256
HEADER_LINES: Final = 6
"""Lines of the picture that are not rows."""


class Column(NamedTuple):
    title: str
    from_width: int
    """Shown in terminals at least so wide."""
    from_version: int = 1


COLUMNS: Final = (
    Column("symbol", 0),
    Column("price  ", 0),
    Column("bid", 64, from_version=2),
    Column("ask", 64, from_version=2),
    Column("24 h volume", 48),
    Column("updates/s", 80),
    Column("p50", 104, from_version=2),
    Column("p99", 104, from_version=2),
    Column("age", 92),
)


class Rate:
    """How fast a counter grows, over the last seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def per_second(self, total: int, now_s: float) -> float:
        self._samples.append((now_s, total))
        while now_s - self._samples[0][0] > RATE_WINDOW_S:
            self._samples.popleft()
        since_s, before = self._samples[0]
        return (total - before) / (now_s - since_s) if now_s > since_s else 0.0


@dataclass(slots=True)
class Row:
    """One symbol."""

    entry: SymbolEntry
    price: StreamPrice | None = None
    quote: StreamQuote | None = None
    direction: int = 0
    """1 after a rise, -1 after a fall."""
    moved_s: float = float("-inf")
    heard_s: float = 0.0
    updates: int = 0
    rate: Rate = field(default_factory=Rate)
    ages_us: deque[int] = field(default_factory=lambda: deque(maxlen=AGES_A_ROW))

    def on_update(self, update: StreamPrice | StreamQuote, now_s: float) -> None:
        known = self.price if isinstance(update, StreamPrice) else self.quote
        if known is not None and update.age_us is not None:  # the first one is as old as the last change
            self.ages_us.append(update.age_us)
        self.entry, self.heard_s = update.entry, now_s
        self.updates += 1
        if isinstance(update, StreamQuote):
            self.quote = update
            return
        if self.price is not None and update.price != self.price.price:
            self.direction = 1 if update.price > self.price.price else -1
            self.moved_s = now_s
        self.price = update


class Board:
    """Everything in the picture."""

    def __init__(
        self, url: str, symbols: Sequence[str], version: int, *, has_market_watch: bool = False
    ) -> None:
        self.failure = ""
        """Why the stream is over, when it is."""
        self.refused: dict[str, None] = {}
        self._url = url
        self._version = version
        self._has_market_watch = has_market_watch
        """Symbols may come that nobody has named."""
        self._place = {name.upper(): number for number, name in enumerate(symbols)}
        self._rows: dict[int, Row] = {}
        self._connected = False
        self._heard_s: float | None = None
        self._lost: Disconnected | None = None
        self._retry_s = 0.0
        self._frames, self._bytes = Rate(), Rate()

    def on_item(self, item: Item, now_s: float) -> None:
        match item:
            case StreamPrice() | StreamQuote():
                self._heard_s = now_s
                self._rows.setdefault(item.entry.id, Row(item.entry)).on_update(item, now_s)
            case Connected():
                self._connected, self._heard_s = True, None
                self.refused.clear()  # this connection says it again
            case Disconnected(retry_ms=retry_ms):
                self._connected, self._lost, self._retry_s = False, item, now_s + retry_ms / 1000
            case AutoUnsubscribe(data=change):
                self._forget(change.symbol)
            case Refused(message=message, symbols=symbols):
                self.refused.update(dict.fromkeys(symbols or [message]))

    def _forget(self, symbol: str) -> None:
        """Show no more what has left the market watch, unless the user has named it."""
        self._rows = {
            symbol_id: row
            for symbol_id, row in self._rows.items()
            if full_name(symbol) != row.entry.name.upper() or self._order(row) < len(self._place)
        }

    @property
    def all_refused(self) -> bool:
        """Nothing ever came, and nothing will."""
        return (
            not self._rows
            and not self._has_market_watch
            and bool(self._place)
            and self._place.keys() <= {name.upper() for name in self.refused}
        )

    def state(self, now_s: float) -> tuple[str, str]:
        """Say how the stream is, and in which colour."""
        if self.failure:
            return self.failure, "red"
        if not self._connected:
            return self._away(now_s)
        if self._heard_s is None:
            return "connected, nothing heard yet", "yellow"
        silent_s = now_s - self._heard_s
        return ("live", "green") if silent_s < STALE_S else (f"stale, silent for {silent_s:.0f} s", "yellow")

    def render(self, stats: StreamStats, now_s: float, width: int, height: int) -> RenderableType:
        """Draw the picture into so many columns and lines."""
        rows = sorted(self._rows.values(), key=self._order)
        fitting = max(height - HEADER_LINES - bool(self.refused), 1)
        parts: list[RenderableType] = [self._headline(now_s), self._numbers(stats, now_s), Text()]
        if rows:
            parts.append(_table(rows[:fitting], self._version, now_s, width))
        if len(rows) > fitting:
            parts.append(_note(f"{len(rows) - fitting} more in a taller window", "dim"))
        if self.refused:
            parts.append(_note(f"not served: {', '.join(self.refused)}", "red"))
        return Group(*parts)

    def _away(self, now_s: float) -> tuple[str, str]:
        if self._lost is None:
            return "connecting", "yellow"
        wait_s = ceil(self._retry_s - now_s)
        when = f"reconnecting in {wait_s} s" if wait_s > 0 else "reconnecting"
        return f"{when}: {self._lost.reason or self._lost.code}", "red"

    def _order(self, row: Row) -> int:
        """Rows stand in the order in which the user named them."""
        by_symbol = self._place.get(row.entry.symbol.upper(), len(self._place))
        return self._place.get(row.entry.name.upper(), by_symbol)

    def _headline(self, now_s: float) -> Text:
        state, colour = self.state(now_s)
        line = Text(no_wrap=True, overflow="ellipsis").append(" tickgate  ", style="bold")
        if any(row.entry.simulated for row in self._rows.values()):
            line.append(" SIMULATED ", style="bold black on yellow").append("  ")
        line.append(f"● {state}", style=colour)
        return line.append(f"   {self._url} v{self._version}", style="dim")

    def _numbers(self, stats: StreamStats, now_s: float) -> Text:
        numbers = [
            f"{self._frames.per_second(stats.frames, now_s):,.0f} messages/s",
            f"{self._bytes.per_second(stats.bytes, now_s) / 1000:,.1f} kB/s",
        ]
        if stats.ages_us:
            p50, p99 = milliseconds(stats.age_us(0.5)), milliseconds(stats.age_us(0.99))
            numbers.append(f"latency p50 {p50}, p99 {p99}")
        for count, what in ((stats.reconnects, "reconnects"), (stats.bad_frames, "bad frames")):
            if count:
                numbers.append(f"{what} {count:,}")
        return _note(" · ".join(numbers), "dim")


def _note(text: str, style: str) -> Text:
    return Text(f" {text}", style=style, no_wrap=True, overflow="ellipsis")


def _table(rows: Sequence[Row], version: int, now_s: float, width: int) -> Table:
    mixed = len({row.entry.simulated for row in rows}) > 1
    shown = [n for n, one in enumerate(COLUMNS) if width >= one.from_width and version >= one.from_version]
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for n in shown:
        table.add_column(COLUMNS[n].title, justify="right" if n else "left", no_wrap=True)
    for row in rows:
        cells = _cells(row, now_s)
        if mixed and row.entry.simulated:
            cells[0].append(" SIMULATED", style="not bold yellow")
        table.add_row(*[cells[n] for n in shown], style="dim" if now_s - row.heard_s > STALE_S else "")
    return table


def _cells(row: Row, now_s: float) -> list[Text]:
    """Write all cells of a row, in the order of COLUMNS."""
    price, quote = row.price, row.quote
    return [
        Text(row.entry.symbol, style="bold"),
        _price(row, price.price, now_s) if price else Text("–  ", style="dim"),
        Text(_money(row, quote.bid) if quote else "–"),
        Text(_money(row, quote.ask) if quote else "–"),
        Text(compact(price.volume) if price else "–"),
        Text(f"{row.rate.per_second(row.updates, now_s):,.1f}"),
        Text(milliseconds(age_at(row.ages_us, 0.5))),
        Text(milliseconds(age_at(row.ages_us, 0.99))),
        _age(row, now_s),
    ]


def _price(row: Row, price: float, now_s: float) -> Text:
    colour = {1: "green", -1: "red", 0: ""}[row.direction]
    arrow = {1: " ▲", -1: " ▼", 0: "  "}[row.direction]
    moving = now_s - row.moved_s < FLASH_S
    text = Text(_money(row, price), style=f"bold {colour}" if moving else "")
    return text.append(arrow, style=colour if moving else f"dim {colour}")


def _age(row: Row, now_s: float) -> Text:
    """How old the newest value is by now: its age when it came, and the time since."""
    newest_us = min(update.age_us or 0 for update in (row.price, row.quote) if update)
    age_s = now_s - row.heard_s + max(newest_us, 0) / 1e6
    return Text("now" if age_s < 1.0 else f"{age_s:,.0f} s")


def _money(row: Row, amount: float) -> str:
    return f"{amount:,.{row.entry.price_precision}f}"


def milliseconds(age_us: int | None) -> str:
    return "–" if age_us is None else f"{age_us / 1000:,.1f} ms"


def compact(amount: float) -> str:
    """Write a volume so that it can be read at a glance: 1.23 M."""
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if amount >= factor:
            return f"{amount / factor:,.2f} {letter}"
    return f"{amount:,.2f}  "
