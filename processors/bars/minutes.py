"""One symbol's 1m bars, from its trades, the clock and the venue's word. The rules: see candles.py."""

from collections.abc import Sequence
from typing import Final

from processors.bars.bar_row import BarRow, flat_after, is_same, word_of
from processors.bars.doubts import Doubts
from processors.bars.final_bars import FinalBars
from processors.bars.minute import Minute
from processors.bars.ordinals import Ordinals
from processors.bars.spans import Span
from protocol.events import CandleFlag, Trade
from protocol.intervals import open_of
from protocol.market import Bar

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
GRACE_MS: Final = 5_000
"""How long the venue has to say its word after a minute has ended."""
KEPT_MS: Final = 3 * HOUR_MS
"""How far back from the newest final minute bars can be corrected here, at least."""
SILENCE_MS: Final = 3 * HOUR_MS
"""How long minutes are made, and asked for, of which nothing is heard."""
ROUNDING: Final = 1e-8
"""A trade's amounts in a venue's bar may be rounded by this: COIN-M states base amounts to 8 decimals."""
_OURS: Final = int(CandleFlag.FINAL)
_REBUILT: Final = int(CandleFlag.FINAL | CandleFlag.REBUILT)


class Minutes:
    """Bounded by `forget`, which is for whoever has taken the changes."""

    def __init__(self) -> None:
        self.finals = FinalBars()
        self.differences = 0
        self._running: dict[int, Minute] = {}
        """From the frontier on."""
        self._ended: dict[int, Minute] = {}
        """Before it: those not compared with the venue yet, and those on which the venue is silent."""
        self._stale: set[int] = set()
        """Those of `_ended` that late trades have changed."""
        self._settled_ms = 0
        """What opens before has had its grace. Never beyond the frontier."""
        self._heard_ms = 0
        """The minute of our first trade; 0: there was none yet."""
        self._sign_ms = 0
        """The newest minute of which anything was heard."""
        self._partial_to_ms = 0
        """Up to this minute trades are missing."""
        self._compared = -1
        """The last ordinal of the minutes that have been compared."""
        self._ordinals = Ordinals()
        self._doubts = Doubts()

    @property
    def last_id(self) -> int:
        return self._ordinals.last_id

    @property
    def floor_ms(self) -> int:
        """What opens before is not kept. Hours are kept whole."""
        return open_of(self.finals.frontier_ms - KEPT_MS, 60)

    def running(self) -> list[BarRow]:
        """Return the bars that are not final, oldest first."""
        rows = [self._running[open_ms].row() for open_ms in sorted(self._running)]
        return [row for row in rows if row is not None]

    def is_due(self, now_ms: int) -> bool:
        """Say whether `on_time` has something to do."""
        return bool(self._doubts) or self._can_settle(now_ms)

    # Trades

    def on_trades(self, trades: Sequence[Trade]) -> None:
        minute: Minute | None = None
        for trade in trades:
            made_us = trade.exchange_us
            ordinal = self._ordinals.place(trade.id, made_us)
            open_ms = made_us // 60_000_000 * MINUTE_MS
            if minute is None or minute.open_ms != open_ms:
                minute = self._minute_of(open_ms)
            if minute is not None:
                minute.add(trade, ordinal)

    def _minute_of(self, open_ms: int) -> Minute | None:
        """Return where the trades of a minute belong; None if they change nothing."""
        minute = self._running.get(open_ms)
        if minute is not None:
            return minute
        if open_ms >= self.finals.frontier_ms:
            return self._begin(open_ms)
        minute = self._ended.get(open_ms)
        if minute is not None:
            self._stale.add(open_ms)
        elif not self._is_venues(open_ms):
            self._doubts.add_bar(open_ms, 1 if open_ms >= self.floor_ms else 60)
        return minute

    def _begin(self, open_ms: int) -> Minute:
        self._wake(open_ms)
        self._heard_ms = self._heard_ms or open_ms
        minute = self._running[open_ms] = Minute(open_ms)
        minute.is_partial = open_ms <= self._partial_to_ms
        return minute

    def on_gap(self, from_us: int, to_us: int) -> None:
        """Note that trades between these moments are missing for good; 0: about now."""
        first_ms = (from_us or self._ordinals.newest_us) // 1_000 - MINUTE_MS
        last_ms = (to_us or self._ordinals.newest_us) // 1_000
        for minute in (*self._ended.values(), *self._running.values()):
            if first_ms < minute.open_ms <= last_ms:
                minute.is_partial, minute.is_whole = True, False
        self._partial_to_ms = max(self._partial_to_ms, last_ms)

    # The venue's word

    def on_venue_bar(self, bar: Bar) -> bool:
        """Take in a final bar; False: what opens so early is not kept."""
        open_ms, word = bar.open_ms, word_of(bar)
        if open_ms < self.floor_ms:
            return False
        if open_ms >= self.finals.frontier_ms:
            self._end_with(word)
        else:
            self._correct(word)
            if open_ms + MINUTE_MS < self._settled_ms:  # the moment to compare has passed
                self._compare_with_venue(open_ms)
        return True

    def seed(self, rows: Sequence[BarRow], from_ms: int) -> None:
        """Learn what is known from `from_ms` up to the last of these bars; in silence where it is past."""
        finals = [row for row in rows if row.flags & CandleFlag.FINAL]
        if not self.finals.frontier_ms and finals:
            self._wake(finals[-1].open_ms + MINUTE_MS)
        for row in rows:
            if row.open_ms >= self.finals.frontier_ms:
                if row.flags & CandleFlag.FINAL:
                    self._end_with(row._replace(version=0))
                    del self._ended[row.open_ms]  # late trades are in it, whoever made it
                else:
                    self._stand_on(row)
        known_to_ms = _end_of(rows) if rows else self.finals.frontier_ms
        self.finals.seed(finals, from_ms, min(known_to_ms, self.finals.frontier_ms))

    def _stand_on(self, row: BarRow) -> None:
        self._wake(row.open_ms)
        minute = self._running.get(row.open_ms)
        if minute is None:
            minute = self._running[row.open_ms] = Minute(row.open_ms)
        minute.begin_with(row)

    # The end of a minute

    def on_time(self, now_ms: int) -> list[Span]:
        """End what has had its grace; return what the venue should be asked for."""
        while self._can_settle(now_ms):
            self._settle(self._settled_ms)
        return self._doubts.take()

    def _can_settle(self, now_ms: int) -> bool:
        has_had_grace = 0 < self._settled_ms <= now_ms - MINUTE_MS - GRACE_MS
        return has_had_grace and self._settled_ms <= self._sign_ms + SILENCE_MS

    def _settle(self, open_ms: int) -> None:
        if open_ms == self.finals.frontier_ms:
            self._end_with_ours()
        if not self._is_venues(open_ms):
            self._doubts.add_bar(open_ms, 1)
        self._compare(open_ms - MINUTE_MS)
        self._settled_ms = open_ms + MINUTE_MS

    def _end_with(self, row: BarRow) -> None:
        self._wake(row.open_ms)
        while self.finals.frontier_ms < row.open_ms:
            self._end_with_ours()
        self._end(row.open_ms, row)

    def _end_with_ours(self) -> None:
        open_ms = self.finals.frontier_ms
        minute = self._running.get(open_ms)
        self._end(open_ms, minute.row(_OURS) if minute else self._silent(open_ms))

    def _end(self, open_ms: int, row: BarRow | None) -> None:
        self._ended[open_ms] = self._running.pop(open_ms, Minute(open_ms))
        self.finals.frontier_ms = open_ms + MINUTE_MS
        if row is not None:
            self.finals.put(row, open_ms + MINUTE_MS)

    def _silent(self, open_ms: int) -> BarRow | None:
        """Return the flat bar of a minute of which no trade came; None if that may be our fault."""
        before = self.finals.rows.get(open_ms - MINUTE_MS)
        if before is None or not 0 < self._heard_ms < open_ms:
            return None
        last = max([self._compared, *(minute.last for minute in self._ended.values())])
        first = min((minute.first for minute in self._running.values()), default=last + 1)
        return flat_after(before, open_ms, _OURS) if first == last + 1 else None

    def _wake(self, open_ms: int) -> None:
        """See a sign of life. The first one is where we begin; after a long silence we begin again."""
        if not self.finals.frontier_ms:
            self.finals.frontier_ms = self._settled_ms = open_ms
        elif open_ms > self.finals.frontier_ms + SILENCE_MS:
            self._doubts.add(self.finals.frontier_ms, open_ms)
            for running_ms in sorted(one for one in self._running if one < open_ms):
                self.finals.frontier_ms = running_ms
                self._end_with_ours()
            self.finals.frontier_ms = self._settled_ms = open_ms
        self._sign_ms = max(self._sign_ms, open_ms)

    def forget(self) -> None:
        """Drop what opens before the floor."""
        self.finals.forget(self.floor_ms)
        for open_ms in [one for one in self._ended if one < self.floor_ms]:
            del self._ended[open_ms]
        self._doubts.forget(self.finals.frontier_ms)

    # Corrections

    def refresh(self) -> None:
        """Rebuild the final bars that late trades have changed, and the flat ones that follow them."""
        while self._stale:
            open_ms = min(self._stale)
            self._stale.remove(open_ms)
            minute = self._ended.get(open_ms)
            if minute is None or self._is_venues(open_ms):
                continue
            before = self.finals.rows.get(open_ms - MINUTE_MS)
            row = minute.row(_REBUILT) or (before and flat_after(before, open_ms, _REBUILT))
            if row:
                self._correct(row)

    def _correct(self, row: BarRow) -> None:
        """Put a better bar, or one that was not known, before the frontier."""
        known = self.finals.rows.get(row.open_ms)
        self.finals.put(row, row.open_ms + MINUTE_MS)
        next_ms = row.open_ms + MINUTE_MS
        if known and known.close != row.close and next_ms in self.finals.rows:
            follower = self._ended.get(next_ms)
            if follower and follower.is_empty:
                self._stale.add(next_ms)

    # Ours and the venue's

    def _compare(self, open_ms: int) -> None:
        """Say whether a minute was whole, now that the next one has had its grace too, and compare."""
        minute = self._ended.get(open_ms)
        if minute is None:
            return
        minute.is_whole = self._was_whole(minute)
        self._compared = max(self._compared, minute.last)
        if self._is_venues(open_ms):
            self._compare_with_venue(open_ms)

    def _was_whole(self, minute: Minute) -> bool:
        following = [*self._running.values()]
        if minute.open_ms + MINUTE_MS in self._ended:
            following.append(self._ended[minute.open_ms + MINUTE_MS])
        return (
            minute.is_dense
            and minute.open_ms > self._heard_ms
            and minute.first == self._compared + 1
            and min((one.first for one in following), default=-1) == minute.last + 1
        )

    def _compare_with_venue(self, open_ms: int) -> None:
        """The minute is not needed any more: late trades change nothing."""
        minute = self._ended.pop(open_ms, None)
        ours = minute.row() if minute and minute.is_whole else None
        if ours and not is_same(ours, self.finals.rows[open_ms], ROUNDING * ours.trades):
            self.differences += 1

    def _is_venues(self, open_ms: int) -> bool:
        row = self.finals.rows.get(open_ms)
        return row is not None and row.is_venues


def _end_of(rows: Sequence[BarRow]) -> int:
    """Return up to when these bars say something."""
    return rows[-1].open_ms + (MINUTE_MS if rows[-1].flags & CandleFlag.FINAL else 0)
