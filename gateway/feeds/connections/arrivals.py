"""Which of two lines brings a message first, and by how much. Pure.

Two lines carry the same streams, so everything comes twice. A message is known by its symbol and the
number that the venue gave it; where it gives none, by the venue's time of sending.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from protocol.market import AggTrade, BookTop, MarketEvent, RawTrade

KEPT: Final = 20_000


@dataclass(frozen=True, slots=True)
class LineArrivals:
    """How one line compares with the other."""

    first: int
    """Messages that it brought before the other one."""
    alone: int
    """Messages that the other one has not brought, as far as it was waited for."""
    mean_lead_us: float
    longest_lead_us: int


@dataclass(slots=True)
class _Count:
    first: int = 0
    alone: int = 0
    lead_us: int = 0
    longest_lead_us: int = 0


class Arrivals:
    """Of one place of the plan. Bounded: full, the oldest message is not waited for any more."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._counts: dict[str, _Count] = {}
        self._seen: dict[tuple[str, int], tuple[str, int] | None] = {}
        """Who brought a message first and when; None when the other line has brought it too."""

    def note(self, line: str, events: Iterable[MarketEvent], received_us: int) -> None:
        """Take note of what a line brought in one turn."""
        seen, mine = self._seen, (line, received_us)
        for event in events:
            number = event.id if type(event) is AggTrade else number_of(event)  # mostly the former
            if not number:
                continue  # nothing to know it by
            before = seen.setdefault((event.native, number), mine)
            if before is mine:
                if len(seen) > self._kept:
                    self._forget_oldest()
            # A line brings a message twice while a connection takes over from another.
            elif before is not None and before[0] != line:
                seen[event.native, number] = None
                self._count(before[0], received_us - before[1])

    def of(self, line: str) -> LineArrivals:
        count = self._counts.get(line, _Count())
        mean_us = count.lead_us / count.first if count.first else 0.0
        return LineArrivals(count.first, count.alone, mean_us, count.longest_lead_us)

    def _count(self, line: str, lead_us: int) -> None:
        count = self._counts.setdefault(line, _Count())
        count.first += 1
        count.lead_us += lead_us
        count.longest_lead_us = max(count.longest_lead_us, lead_us)

    def _forget_oldest(self) -> None:
        first = self._seen.pop(next(iter(self._seen)))
        if first is not None:
            self._counts.setdefault(first[0], _Count()).alone += 1


def number_of(event: MarketEvent) -> int:
    """Return what tells a symbol's messages apart; 0 where nothing does."""
    match event:
        case AggTrade() | RawTrade():
            return event.id
        case BookTop():
            return event.update_id
        case _:
            return event.sent_us
