"""The gaps of one symbol that are open: what of them is missing, told, asked for, given up. Pure.

The rules of this file:
- A missing trade may only be late: for REORDER_US nobody is asked, and if it comes by then, there was no gap.
- One question covers all that is missing from an id on, up to a page: its price is the same.
- The venue's answer holds every id of a range or says, twice, that it has some no more: those are LOST.
  No answer at all says nothing: it is asked again, later and later, for as long as the venue's reach.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.feeds.gaps import IdGaps, Range, size
from gateway.feeds.trades.steps import Announce, Ask, Purpose, Step, Write
from protocol.events import Gap, GapState
from protocol.ledger import LedgerEntry

REORDER_US: Final = 150_000
FIRST_RETRY_US: Final = 500_000
LONGEST_RETRY_US: Final = 30_000_000
LAG_US: Final = 60_000_000
"""REST may be so far behind the stream; after that, what it does not have it will not have."""
PAGE: Final = 1_000
MOST_REPAIRED: Final = 100_000
"""Of one gap's trades, the newest: a hundred pages, a fifteenth of what spot answers in a minute."""
MOST_GAPS: Final = 100
"""Open at a time; above it the oldest is given up."""
DENIALS: Final = 2


@dataclass(slots=True)
class OpenGap:
    entry: LedgerEntry
    is_written: bool = False
    is_announced: bool = False
    """Told to the readers; nothing is held back for it any more."""
    denials: int = 0
    lost: int = 0

    @property
    def range(self) -> Range:
        return self.entry.first_id, self.entry.last_id


class OpenGaps:
    """Bounded: MOST_GAPS gaps."""

    def __init__(self, ids: IdGaps, reach_us: int) -> None:
        """`ids` knows what is missing; `reach_us` is how far back the venue can be asked, 0 without end."""
        self.lost = 0
        self._ids = ids
        self._reach_us = reach_us
        self._gaps: list[OpenGap] = []
        """In the order of their ids."""
        self._not_before_us = 0
        self._tries = 0
        """Since the last that brought something."""

    def __len__(self) -> int:
        return len(self._gaps)

    def barrier(self) -> int | None:
        """Return the first missing id for which trades are held back."""
        for gap in self._gaps:
            if not gap.is_announced and (missing := self._ids.missing(*gap.range)):
                return missing[0][0]
        return None

    # What happens

    def open(self, entry: LedgerEntry) -> list[Step]:
        """Take in a new gap, above all others."""
        self._gaps.append(OpenGap(entry))
        steps: list[Step] = []
        if entry.missing > MOST_REPAIRED:
            too_many = (entry.first_id, entry.last_id - MOST_REPAIRED)
            steps += self._lose(self._gaps[-1], [too_many], f"more than {MOST_REPAIRED} missed")
        if len(self._gaps) > MOST_GAPS:
            oldest = self._gaps[0]
            reason = f"more than {MOST_GAPS} gaps at a time"
            steps += self._lose(oldest, self._ids.missing(*oldest.range), reason)
        return steps

    def on_time(self, now_us: int, hold_back_us: int) -> list[Step]:
        """Do what is due by the clock: write down, announce, give up."""
        steps: list[Step] = []
        for gap in self._gaps:
            age_us = now_us - gap.entry.noticed_us
            if self._reach_us and now_us - gap.entry.last_us > self._reach_us:
                missing = self._ids.missing(*gap.range)
                steps += self._lose(gap, missing, "older than the venue can be asked for")
            elif age_us >= hold_back_us:
                steps += self._announce(gap)
            elif age_us >= REORDER_US:
                steps += self._write(gap)
        return steps

    def announce_first(self) -> list[Step]:
        """Hold nothing back for the oldest gap for which something is."""
        return self._announce(next(gap for gap in self._gaps if not gap.is_announced))

    def on_answer(self, ask: Ask, answered_to: int, brought: bool, now_us: int) -> list[Step]:
        """See what an answer leaves missing: `answered_to` is its last id, 0 if it was empty."""
        steps: list[Step] = []
        first_id, last_id = ask.first_id or 0, (ask.first_id or 0) + ask.limit - 1
        was_denied = False
        for gap in self._gaps:
            missing = self._ids.missing(max(first_id, gap.range[0]), min(last_id, gap.range[1]))
            denied = [one for one in missing if one[1] <= answered_to]
            if denied:
                was_denied = True
                gap.denials += 1
                if gap.denials >= DENIALS:
                    gap.denials = 0
                    steps += self._lose(gap, denied, "the venue does not have them")
            elif missing and not brought and now_us - gap.entry.noticed_us > LAG_US:
                steps += self._lose(gap, missing, "the venue never had them")
        if brought and not was_denied:
            self._tries, self._not_before_us = 0, now_us
        else:
            self._retry_later(now_us)
        return steps

    def on_failure(self, ask: Ask, now_us: int, refused: bool, reason: str) -> list[Step]:
        """Note that an answer did not come, or that the venue has none for this question."""
        self._retry_later(now_us)
        gap = next((gap for gap in self._gaps if gap.range[0] <= (ask.first_id or 0) <= gap.range[1]), None)
        if gap is None or not refused:
            return []
        gap.denials += 1
        return self._lose(gap, self._ids.missing(*gap.range), reason) if gap.denials > DENIALS else []

    def lose_all(self, reason: str) -> list[Step]:
        """Give up everything that is missing."""
        return [step for gap in self._gaps for step in self._lose(gap, self._ids.missing(*gap.range), reason)]

    def close(self, now_us: int) -> list[Step]:
        """Take down the gaps of which nothing is missing any more."""
        steps: list[Step] = []
        for gap in [one for one in self._gaps if not self._ids.missing(*one.range)]:
            self._gaps.remove(gap)
            state = GapState.LOST if gap.lost else GapState.FILLED
            if gap.is_announced and not gap.lost:
                steps.append(Announce(_record(gap, state, gap.range)))
            if gap.is_written or gap.lost:  # else it was out of order, and never a gap
                closed = msgspec.structs.replace(gap.entry, state=state, missing=gap.lost, closed_us=now_us)
                steps.append(Write(closed))
        return steps

    # What to do

    def due_us(self, hold_back_us: int) -> int | None:
        """Say when `on_time` has something to do."""
        times = [gap.entry.noticed_us + hold_back_us for gap in self._gaps if not gap.is_announced]
        times += [gap.entry.noticed_us + REORDER_US for gap in self._gaps if not gap.is_written]
        if self._reach_us:
            times += [gap.entry.last_us + self._reach_us for gap in self._gaps]
        return min(times, default=None)

    def ask_at_us(self) -> int | None:
        """Say when there is something to ask for."""
        first_us = min((gap.entry.noticed_us + REORDER_US for gap in self._gaps), default=None)
        return None if first_us is None else max(first_us, self._not_before_us)

    def plan_ask(self, now_us: int) -> Ask | None:
        """Return what to ask for now: first that for which trades are held back."""
        due = [gap for gap in self._gaps if gap.entry.noticed_us + REORDER_US <= now_us]
        if not due or now_us < self._not_before_us:
            return None
        gap = next((one for one in due if not one.is_announced), due[0])
        first_id, last_id = self._ids.missing(*gap.range)[0][0], self._ids.holes[-1][1]
        return Ask(Purpose.GAP, first_id, min(last_id - first_id + 1, PAGE))

    def postpone(self, until_us: int) -> None:
        """Ask for nothing until then."""
        self._not_before_us = until_us

    # How

    def _retry_later(self, now_us: int) -> None:
        self._not_before_us = now_us + min(FIRST_RETRY_US << min(self._tries, 10), LONGEST_RETRY_US)
        self._tries += 1

    def _write(self, gap: OpenGap) -> list[Step]:
        if gap.is_written:
            return []
        gap.is_written = True
        return [Write(gap.entry)]

    def _announce(self, gap: OpenGap) -> list[Step]:
        if gap.is_announced:
            return []
        gap.is_announced = True
        return [*self._write(gap), Announce(_record(gap, GapState.OPEN, gap.range))]

    def _lose(self, gap: OpenGap, ranges: list[Range], reason: str) -> list[Step]:
        for one in ranges:
            self._ids.forget(*one)
        gap.lost += size(ranges)
        self.lost += size(ranges)
        gap.entry = msgspec.structs.replace(gap.entry, detail=f"{_told(ranges)}: {reason}")
        return [Announce(_record(gap, GapState.LOST, one)) for one in ranges]


def _record(gap: OpenGap, state: GapState, ids: Range) -> Gap:
    entry = gap.entry
    return Gap(entry.symbol_id, state, entry.cause, *ids, entry.first_us, entry.last_us)


def _told(ranges: Iterable[Range]) -> str:
    """Write the first few ranges for people."""
    return ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in list(ranges)[:5])
