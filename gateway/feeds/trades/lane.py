"""One symbol's lossless lane: which trade to deliver and which to hold back, and what to ask for. Pure.

The rules of this file:
- Trades are delivered in the order of their ids. A jump opens a gap (open_gaps.py), and what is above
  the gap's first missing id is held back; its price is shown at once, because a price needs no order.
- Held back is for HOLD_BACK_US or `hold_back_trades` at most. Then the gap is announced OPEN and the
  trades flow; what is recovered later is delivered late, and FILLED says that it was all.
- After an interruption a symbol that stays silent is asked about once (a probe), because it has no next
  trade to show the hole.
- Only if the venue confirms that its ids go backwards (id_reset.py) is all begun anew.
- A symbol that is taken up after nobody wanted it asks for nothing of the time between: its first trade is
  preceded by one lost gap, cause NOT_CARRIED, from the last id before that time (from 1 where this process
  knows of none) to the id before the first trade. Readers take of it what they have not heard.

All times are microseconds of one clock that never jumps; those of records begin in 1970.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Final, NamedTuple

from gateway.feeds.gaps import Finding, IdGaps
from gateway.feeds.trades.id_reset import ResetWatch
from gateway.feeds.trades.open_gaps import PAGE, OpenGaps
from gateway.feeds.trades.steps import Announce, Ask, BeginAnew, Deliver, Glimpse, Purpose, Step, Write
from protocol.events import Gap, GapCause, GapState
from protocol.ledger import LedgerEntry
from protocol.market import AggTrade, MarketEvent

STREAM: Final = "aggTrade"
HOLD_BACK_US: Final = 10_000_000
HOLD_BACK_TRADES: Final = 5_000
PROBE_AFTER_US: Final = 3_000_000
"""By then a lost connection is usually back, and whoever trades has been heard."""
PROBE_AGAIN_US: Final = 30_000_000


class _Held(NamedTuple):
    id: int
    trade: AggTrade
    received_us: int
    recovered: bool


class TradeLane:
    """One symbol. Bounded: `hold_back_trades` trades, and the gaps of open_gaps.py."""

    def __init__(
        self,
        venue: str,
        native: str,
        symbol_id: int,
        *,
        hold_back_trades: int = HOLD_BACK_TRADES,
        reach_us: int = 0,
    ) -> None:
        """`reach_us` is how far back the venue can be asked; 0 is without end."""
        self.native = native
        self.symbol_id = symbol_id
        self.duplicates = 0
        self.recovered = 0
        self._venue = venue
        self._hold_back_trades = hold_back_trades
        self._ids = IdGaps()
        self._gaps = OpenGaps(self._ids, reach_us)
        self._reset = ResetWatch()
        self._held: list[_Held] = []
        """By id."""
        self._newest_us = 0
        """When the newest trade that was heard of was made."""
        self._interruption: GapCause | None = None
        """What happened to the stream since its last trade."""
        self._left_id: int | None = None
        """From being taken up to the first trade: the last id before, 0 where none is known. Else None."""
        self._probe_at_us = 0
        self._asking = False
        self._is_plain = False
        """The next trade, if it is simply the next one, changes nothing but what is newest. Found out by
        `on_trade`, and taken back by whatever may change it."""

    @property
    def is_calm(self) -> bool:
        """Nothing is missing, held or to be asked."""
        return not (self._gaps or self._probe_at_us or self._asking) and self._reset.ask_at_us is None

    @property
    def open_gaps(self) -> int:
        return len(self._gaps)

    @property
    def held_back(self) -> int:
        return len(self._held)

    @property
    def lost(self) -> int:
        return self._gaps.lost

    @property
    def last_id(self) -> int:
        """The newest trade that was heard of; 0 before the first."""
        return self._ids.last_id

    @property
    def newest_us(self) -> int:
        """When that was made, by the venue's clock; 0 before the first."""
        return self._newest_us

    @property
    def safe_id(self) -> int:
        """The id up to which nothing is missing any more; 0 before the first trade."""
        if self._left_id is not None:  # what was not carried is not to be fetched by a successor
            return 0
        return self._ids.holes[0][0] - 1 if self._ids.holes else self._ids.last_id

    # What happens

    def restore(
        self, last_id: int, at_us: int, now_us: int, cause: GapCause = GapCause.WORKER_RESTARTED
    ) -> None:
        """Go on, before the first trade, where an earlier process, or this one, was at some moment."""
        self._is_plain = False
        self._ids.last_id = last_id
        self._newest_us = at_us
        self.on_boundary(cause, now_us)

    def take_up(self, last_id: int, at_us: int) -> None:
        """Go on, before the first trade, after nobody has wanted the symbol since a trade of some moment."""
        self._is_plain = False
        self._left_id = self._ids.last_id = last_id
        self._newest_us = at_us

    def on_boundary(self, cause: GapCause, now_us: int) -> None:
        """Note that the stream was interrupted."""
        self._is_plain = False
        self._interruption = cause
        is_carried = self._ids.last_id and self._left_id is None
        if is_carried and cause is not GapCause.ROTATED:  # a rotation breaks nothing
            self._probe_at_us = now_us + PROBE_AFTER_US

    def take_run(self, events: Sequence[MarketEvent], start: int) -> int:
        """Take in trades of the stream from a place on, for as long as each is simply the next one; return
        the place of the first that is not. Those before it are delivered as they are."""
        next_id, newest_us, end = self._ids.last_id + 1, self._newest_us, start
        first = events[start]
        if not self._is_plain or type(first) is not AggTrade or first.id != next_id:
            return start
        for event in events[start:] if start else events:
            if type(event) is not AggTrade or event.id != next_id:
                break
            if event.traded_us > newest_us:
                newest_us = event.traded_us
            next_id += 1
            end += 1
        self._ids.last_id, self._newest_us = next_id - 1, newest_us
        return end

    def on_trade(self, trade: AggTrade, received_us: int, now_us: int) -> list[Step]:
        """Take in a trade of the stream."""
        finding = self._ids.see(trade.id)
        if finding is Finding.KNOWN:
            self.duplicates += 1
            self._reset.on_known(trade, self._newest_us)
            self._is_plain = self._is_plain and not self._reset.is_counting
            return []
        steps = self._on_new(trade, finding, received_us, now_us)
        self._is_plain = self.is_calm  # it was expected, and is behind whatever was
        return steps

    def _on_new(self, trade: AggTrade, finding: Finding, received_us: int, now_us: int) -> list[Step]:
        before_us, cause = self._newest_us, self._interruption
        self._newest_us = max(before_us, trade.traded_us)
        self._interruption = None
        self._probe_at_us = 0
        self._reset.on_new()
        if self._left_id is not None:
            return self._come_back(self._left_id, before_us, trade, received_us, now_us)
        if finding is Finding.NEXT and not self._gaps:
            return [Deliver(trade, received_us, False)]
        steps: list[Step] = []
        if finding is Finding.JUMP:
            steps += self._open_gap(cause or GapCause.SKIPPED, before_us, trade.traded_us, now_us)
        return steps + self._take(trade, received_us, now_us)

    def on_answer(self, ask: Ask, rows: Sequence[AggTrade], now_us: int) -> list[Step]:
        """Take in what the venue answered, in the order of ids."""
        self._asking = self._is_plain = False
        if ask.purpose is Purpose.RESET:
            return self._on_newest(rows, now_us)
        if ask.purpose is Purpose.PROBE:
            return self._on_probe(rows, now_us)
        missed_to = self._ids.holes[-1][1] if self._ids.holes else 0
        recovered = self.recovered
        steps = self._recover([row for row in rows if row.id <= missed_to], now_us)
        answered_to = rows[-1].id if rows else 0
        steps += self._gaps.on_answer(ask, answered_to, self.recovered > recovered, now_us)
        return steps + self._settle(now_us)

    def on_failure(self, ask: Ask, now_us: int, *, refused: bool, reason: str) -> list[Step]:
        """Note that an answer did not come, or that the venue has none for this question."""
        self._asking = False
        if ask.purpose is Purpose.RESET:
            self._reset.on_asked(now_us)
        elif ask.purpose is Purpose.GAP:
            return self._gaps.on_failure(ask, now_us, refused, reason) + self._settle(now_us)
        elif self._probe_at_us:
            self._probe_at_us = 0 if refused else now_us + PROBE_AGAIN_US
        return []

    def on_time(self, now_us: int) -> list[Step]:
        """Do what is due by the clock: write down, announce, give up."""
        return self._gaps.on_time(now_us, HOLD_BACK_US) + self._settle(now_us)

    def give_up(self, reason: str, now_us: int) -> list[Step]:
        """Lose what is missing, and deliver what was held back for it."""
        return self._gaps.lose_all(reason) + self._settle(now_us)

    # What to do

    def due_us(self, can_ask: bool) -> int | None:
        """Say when to call `on_time` and, if a question may be put, `plan_ask`; None: nothing is due
        before something happens."""
        times = [self._gaps.due_us(HOLD_BACK_US)]
        if can_ask and not self._asking:
            times += [self._gaps.ask_at_us(), self._probe_at_us or None, self._reset.ask_at_us]
        return min((one for one in times if one is not None), default=None)

    def plan_ask(self, now_us: int) -> Ask | None:
        """Return what to ask now, taken as asked: answer, failure or `postpone` must follow."""
        if self._asking:
            return None
        ask = self._gaps.plan_ask(now_us)
        reset_us = self._reset.ask_at_us
        if ask is None and reset_us is not None and reset_us <= now_us:
            ask = Ask(Purpose.RESET, None, 1)
        elif ask is None and 0 < self._probe_at_us <= now_us:
            ask = Ask(Purpose.PROBE, self._ids.last_id + 1, PAGE)
        self._asking = ask is not None
        return ask

    def postpone(self, ask: Ask, until_us: int) -> None:
        """Take a question back: the venue has been asked enough for now."""
        self._asking = False
        if ask.purpose is Purpose.GAP:
            self._gaps.postpone(until_us)
        elif ask.purpose is Purpose.RESET:
            self._reset.postpone(until_us)
        elif self._probe_at_us:
            self._probe_at_us = until_us

    # Trades

    def _come_back(
        self, left_id: int, before_us: int, trade: AggTrade, received_us: int, now_us: int
    ) -> list[Step]:
        """Begin with the first trade since nobody wanted the symbol; tell what was traded meanwhile."""
        self._left_id = None
        first_id, last_id = left_id + 1, trade.id - 1
        steps: list[Step] = []
        if first_id <= last_id:
            self._ids.forget(first_id, last_id)
            cause, state, times = GapCause.NOT_CARRIED, GapState.LOST, (before_us, trade.traded_us)
            steps.append(Announce(Gap(self.symbol_id, state, cause, first_id, last_id, *times)))
            if left_id:  # else nobody may ever have heard of it: that is a beginning, and no evidence
                entry = self._entry(
                    f"{first_id}-{now_us}",
                    cause=cause,
                    state=state,
                    missing=last_id - left_id,
                    ids=(first_id, last_id),
                    times=(*times, now_us),
                    detail="nobody wanted the symbol",
                )
                steps.append(Write(entry))
        return [*steps, Deliver(trade, received_us, False)]

    def _take(self, trade: AggTrade, received_us: int, now_us: int) -> list[Step]:
        """Put a live trade in its place and deliver what may go."""
        steps: list[Step] = []
        insort(self._held, _Held(trade.id, trade, received_us, False))
        barrier = self._gaps.barrier()
        if barrier is not None and trade.id > barrier:
            steps.append(Glimpse(trade, received_us))
        steps += self._settle(now_us)
        while len(self._held) > self._hold_back_trades:
            steps += self._gaps.announce_first() + self._settle(now_us)
        return steps

    def _recover(self, rows: Sequence[AggTrade], now_us: int) -> list[Step]:
        """Put trades of an answer in their places and deliver what may go."""
        steps: list[Step] = []
        for row in rows:
            before_us = self._newest_us
            finding = self._ids.see(row.id)
            if finding is Finding.KNOWN:
                continue
            self._newest_us = max(before_us, row.traded_us)
            if finding is Finding.JUMP:
                cause = self._interruption or GapCause.SKIPPED
                steps += self._open_gap(cause, before_us, row.traded_us, now_us)
            insort(self._held, _Held(row.id, row, now_us, True))
            self.recovered += 1
        return steps + self._settle(now_us)

    def _settle(self, now_us: int) -> list[Step]:
        """Deliver what is held back for nothing any more, then close the gaps that are filled."""
        barrier = self._gaps.barrier()
        count = len(self._held) if barrier is None else bisect_left(self._held, barrier, key=_id_of)
        freed: list[Step] = [Deliver(one.trade, one.received_us, one.recovered) for one in self._held[:count]]
        del self._held[:count]
        return freed + self._gaps.close(now_us)

    def _open_gap(self, cause: GapCause, before_us: int, after_us: int, now_us: int) -> list[Step]:
        """Open a gap for the newest hole."""
        first_id, last_id = self._ids.holes[-1]
        return self._gaps.open(
            self._entry(
                f"{first_id}-{now_us}",
                cause=cause,
                missing=last_id - first_id + 1,
                ids=(first_id, last_id),
                times=(before_us, after_us, now_us),
            )
        )

    # Probes and resets

    def _on_probe(self, rows: Sequence[AggTrade], now_us: int) -> list[Step]:
        # A full page has more behind it, unless the stream has been heard meanwhile.
        self._probe_at_us = now_us if len(rows) >= PAGE and self._probe_at_us else 0
        before_id, before_us = self._ids.last_id, self._newest_us
        cause = self._interruption or GapCause.SKIPPED
        steps = self._recover(rows, now_us)
        fresh = [row for row in rows if row.id > before_id]
        if fresh:
            entry = self._entry(
                f"{before_id + 1}-{now_us}",
                cause=cause,
                state=GapState.FILLED,
                ids=(fresh[0].id, fresh[-1].id),
                times=(before_us, fresh[-1].traded_us, now_us),
                detail="found by asking, while the stream was silent",
            )
            steps.append(Write(entry))
        return steps

    def _on_newest(self, rows: Sequence[AggTrade], now_us: int) -> list[Step]:
        self._reset.on_asked(now_us)
        if not rows or not self._reset.is_reset(rows[-1], self._ids.last_id, self._newest_us):
            return []
        newest = rows[-1]
        reason = f"the venue's ids began anew: {self._ids.last_id} was the last, its newest is {newest.id}"
        steps = self.give_up(reason, now_us)
        entry = self._entry(
            f"reset-{now_us}",
            cause=GapCause.SKIPPED,
            state=GapState.LOST,
            times=(self._newest_us, newest.traded_us, now_us),
            detail=reason,
        )
        record = Gap(self.symbol_id, entry.state, entry.cause, 0, 0, entry.first_us, entry.last_us)
        self._ids.last_id, self._newest_us, self._left_id = 0, 0, None
        return [*steps, Write(entry), BeginAnew(), Announce(record)]

    def _entry(
        self,
        what: str,
        *,
        cause: GapCause,
        times: tuple[int, int, int],
        ids: tuple[int, int] = (0, 0),
        state: GapState = GapState.OPEN,
        missing: int = 0,
        detail: str = "",
    ) -> LedgerEntry:
        """Make an entry of the ledger; `times` are the venue's before and after it, and now."""
        return LedgerEntry(
            id=f"{self._venue}-{self.native}-{what}",
            venue=self._venue,
            native=self.native,
            symbol_id=self.symbol_id,
            stream=STREAM,
            cause=cause,
            state=state,
            missing=missing,
            first_id=ids[0],
            last_id=ids[1],
            first_us=times[0],
            last_us=times[1],
            noticed_us=times[2],
            closed_us=0 if state is GapState.OPEN else times[2],
            detail=detail,
        )


def _id_of(held: _Held) -> int:
    return held.id
