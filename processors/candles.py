"""The candle processor: bars of every interval out of one venue's trades, checked against the venue's own.

The rules of this file:

A minute
- It opens with its first trade, wherever trades of earlier ones still are. Trades count into the minute in
  which they were made; their order is that of their ids: the lowest opens, the highest closes.
- It is final when the venue's final bar of it has come, or, without one, 5 s after it ended. Minutes become
  final in order, so the venue's bar of a later one ends all before it.
- The venue's bar wins, always: the flag REST says so, and late trades change nothing (they are in it). A
  minute that became final without it is doubted, and the venue is asked.
- Without trades it is flat: all four prices are the close before it. That is only said where we listen: not
  before our first trade, and not where the ids around it say that trades are missing. There it stays unknown.
- After 3 h of silence minutes are not made any more, nor asked for. When the symbol is heard again, it begins
  anew there, and what lies between is doubted.
- If the ids begin anew (a lower id, made more than 5 s after the newest trade), the order goes on with them.

A correction
- A late trade of a minute that is final and not the venue's word rebuilds it: REBUILT. So does the venue's
  bar if it differs: REST. Flat bars after it follow its close.
- The revision of a bar rises by 1 when its numbers change after it was final, up to 65,535, and only then: a
  venue's bar that states the same sets the flag. Numbers are the same within 1e-9 of their size.
- Longer bars follow every change of the minutes in them (longer_bars.py). One is REST if all of its minutes
  are, and REBUILT if one is.
- Corrections reach back 3 h from the newest final minute. Trades that come later than that, and those of
  minutes that were not built here, change nothing: their minute, or hour, is doubted once.

Agreement
- Where ours was whole and the venue's bar differs from it, the difference is counted. Whole is a minute all
  of whose ids came, and the one before and the one after; the first minute is not. That is known, and looked
  at, when the next minute has had its 5 s too. A venue may round the amounts of each trade to 8 decimals.

Pure: the same trade never comes twice, that is the caller's business; `now_ms` is the venue's clock as well
as it is known.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from processors.bars.bar_row import BarRow
from processors.bars.longer_bars import LongerBars
from processors.bars.minutes import Minutes
from protocol.bars import Bars
from protocol.events import CandleFlag, Trade
from protocol.intervals import open_of
from protocol.market import Bar

CHILDREN: Final = {
    **dict.fromkeys((3, 5, 15, 30, 60), 1),
    **dict.fromkeys((120, 240, 360, 480, 720, 1_440), 60),
    **dict.fromkeys((4_320, 10_080, 43_200), 1_440),
}
"""Interval -> that of the bars which it is put together from; shorter ones come first."""


class Changed(NamedTuple):
    """A bar that is not what it was at the last `take`."""

    native: str
    interval: int
    row: BarRow
    """In the field order of BAR; its version is 0."""


class Doubt(NamedTuple):
    """The venue should be asked for the 1m bars that open in [from_ms, to_ms)."""

    native: str
    from_ms: int
    to_ms: int


class CandleProcessor:
    """One venue. Its methods raise KeyError for a symbol that was not added."""

    def __init__(self, venue: str) -> None:
        self.venue = venue
        self._symbols: dict[str, _Symbol] = {}
        self._moved: dict[str, _Symbol] = {}
        """Those of which something may have changed since the last `take`."""

    @property
    def differences(self) -> int:
        """How many of the venue's final bars differed from ours, where ours was whole."""
        return sum(symbol.minutes.differences for symbol in self._symbols.values())

    def add_symbol(self, native: str) -> None:
        """Know a symbol from now on."""
        self._symbols.setdefault(native, _Symbol(native))

    def has_symbol(self, native: str) -> bool:
        return native in self._symbols

    def seed(self, native: str, interval: int, bars: Bars, from_ms: int | None = None) -> None:
        """Learn what is known already of 1m, 1h or 1d: everything that opens from `from_ms` on, up to the
        last of these bars, oldest first. A bar of that time that is not among them does not exist.

        Without `from_ms` nothing is said about what came before the first bar. Say it: else the month in
        which a symbol was listed lacks its beginning for ever. What is known better stays.
        """
        rows = [BarRow(*bar) for bar in bars.tolist()]
        if from_ms is None:
            if not rows:
                return
            from_ms = rows[0].open_ms
        self._move(native).seed(interval, rows, from_ms)

    def on_trades(self, native: str, trades: Sequence[Trade]) -> None:
        """Take in trades that were not here before."""
        self._move(native).minutes.on_trades(trades)

    def on_gap(self, native: str, from_us: int, to_us: int) -> None:
        """Note that trades between these moments are missing for good; 0: about now."""
        self._symbols[native].minutes.on_gap(from_us, to_us)

    def on_venue_bar(self, bar: Bar) -> bool:
        """Take in a final 1m bar of the venue. False: it is of no use here, because it opens before what is
        kept, is not final or is longer; who asked for it writes it down."""
        symbol = self._move(bar.native)
        return bar.final and bar.interval == 1 and symbol.minutes.on_venue_bar(bar)

    def on_time(self, now_ms: int) -> list[Doubt]:
        """End the minutes that are over; return what to ask the venue for, each only once."""
        doubts = []
        for native, symbol in self._symbols.items():
            if symbol.minutes.is_due(now_ms):
                self._moved[native] = symbol
                doubts += [Doubt(native, *span) for span in symbol.minutes.on_time(now_ms)]
        return doubts

    def take(self, *, minutes_only: bool = False) -> list[Changed]:
        """Return what changed since the last call, each bar once: final ones first, then running ones.

        `minutes_only` leaves running bars that are longer than a minute for a later call, where no minute
        has ended or was corrected: they are most of the work.
        """
        finals: list[Changed] = []
        running: list[Changed] = []
        moved, self._moved = self._moved, {}
        for native, symbol in moved.items():
            if not symbol.refresh(minutes_only):
                self._moved[native] = symbol
            finals += symbol.take_finals()
            running += symbol.take_running()
        return finals + running

    def running(self, native: str, interval: int) -> BarRow | None:
        """Return the newest state of the running bar; None before its first trade."""
        symbol = self._symbols[native]
        symbol.refresh()
        rows = symbol.running[interval]
        return rows[-1] if rows else None

    def last_id(self, native: str) -> int:
        """Return the newest trade that the running bars hold; 0 before the first."""
        return self._symbols[native].minutes.last_id

    def _move(self, native: str) -> "_Symbol":
        symbol = self._moved[native] = self._symbols[native]
        return symbol


class _Symbol:
    """One symbol's bars of all intervals."""

    def __init__(self, native: str) -> None:
        self.native = native
        self.minutes = Minutes()
        finals = {1: self.minutes.finals}
        self._longer: dict[int, LongerBars] = {}
        for interval, child in CHILDREN.items():
            self._longer[interval] = LongerBars(interval, finals[child], child)
            finals[interval] = self._longer[interval].finals
        self._finals = finals
        self._chain = [
            (interval, child, self._longer[interval], self._longer.get(child))
            for interval, child in CHILDREN.items()
        ]
        """Each interval after the one that it is put together from."""
        self.running: dict[int, Sequence[BarRow]] = dict.fromkeys(finals, ())
        self._told = self.running.copy()
        """What `take_running` has returned last."""
        self._changed: dict[tuple[int, int], BarRow] = {}
        self._floor_ms = 0
        self._was_seeded = False

    def seed(self, interval: int, rows: Sequence[BarRow], from_ms: int) -> None:
        self._was_seeded = True
        if interval == 1:
            self.minutes.seed(rows, from_ms)
            return
        known = self._finals[interval]
        to_ms = known.frontier_ms
        if rows:
            to_ms = rows[-1].open_ms + (interval * 60_000 if rows[-1].flags & CandleFlag.FINAL else 0)
        known.seed(rows, from_ms, to_ms)
        known.frontier_ms = max(known.frontier_ms, to_ms)

    def refresh(self, minutes_only: bool = False) -> bool:
        """Let all bars follow what was heard, or the running minutes alone if nothing else is news.

        Return whether it was all.
        """
        self.minutes.refresh()
        changed, running = {1: self._take_changed(1)}, self.running
        running[1] = self.minutes.running()
        if minutes_only and not changed[1] and not self._was_seeded:
            return False
        self._was_seeded = False
        for interval, child, longer, shorter in self._chain:
            longer.roll(changed[child], running[child], shorter is None or shorter.is_whole)
            changed[interval] = self._take_changed(interval)
            running[interval] = longer.running
        if self.minutes.floor_ms != self._floor_ms:
            self._floor_ms = self.minutes.floor_ms
            self._forget()
        return True

    def _take_changed(self, interval: int) -> dict[int, bool]:
        finals = self._finals[interval]
        changed = finals.take_changed()
        for open_ms in changed:
            self._changed[interval, open_ms] = finals.rows[open_ms]
        return changed

    def _forget(self) -> None:
        """Keep the minutes that can be corrected, and of the longer bars what such a correction needs."""
        self.minutes.forget()
        for interval, longer in self._longer.items():
            parents = [one for one, child in CHILDREN.items() if child == interval]
            longer.forget(min(open_of(self._floor_ms, one) for one in [interval, *parents]))

    def take_finals(self) -> list[Changed]:
        changed, self._changed = self._changed, {}
        return [
            Changed(self.native, interval, changed[interval, open_ms])
            for interval, open_ms in sorted(changed)
        ]

    def take_running(self) -> list[Changed]:
        told, self._told = self._told, self.running.copy()
        return [
            Changed(self.native, interval, row)
            for interval, rows in self.running.items()
            for row in rows
            if row not in told[interval]
        ]
