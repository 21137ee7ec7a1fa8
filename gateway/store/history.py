"""What a history store does, whichever it is: bars by series, and how much of each series is there.

The rules of this file:
- What `write` has returned from is on disk and survives a kill.
- Of two bars of a series with the same opening, the one with the higher version holds.
- Coverage is what makes an empty answer mean something: inside a covered span a bar that is not there
  does not exist; outside nobody has looked.
- A store that cannot be reached raises StoreDown; nothing else is an excuse.
- Calls that run at the same time have no order among them; whoever needs one awaits the first.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from protocol.bars import Bars, Series
from protocol.events import Trade


class StoreDown(Exception):
    """The store cannot be reached, or cannot write; the message says why."""


class StoreUnusable(Exception):
    """What is there is not a store of ours, or is damaged: it is left untouched, and nothing starts."""


class Span(NamedTuple):
    """From one opening on, up to another that does not belong to it any more."""

    from_ms: int
    to_ms: int


class Change(NamedTuple):
    """Bars of one series to be written."""

    series: Series
    bars: Bars


class HistoryStore(Protocol):
    """Use with `async with`. One process has it open."""

    async def write(self, changes: Sequence[Change]) -> None:
        """Keep these bars; each replaces the one of its opening with a lower version. Raises StoreDown."""

    async def read(self, series: Series, from_ms: int, to_ms: int, limit: int) -> Bars:
        """Return the newest `limit` of the bars that open in [from_ms, to_ms), oldest first.

        Raises StoreDown.
        """

    async def changed(self, series: Series, after_us: int, limit: int) -> Bars:
        """Return the newest `limit` of the bars whose version is higher, by opening.

        Raises StoreDown.
        """

    async def cover(self, series: Series, span: Span) -> None:
        """Note that every bar of a span that exists is written; spans that touch become one.

        Raises StoreDown.
        """

    async def uncover(self, series: Series, span: Span) -> None:
        """Take that back for a span. Raises StoreDown."""

    async def coverage(self, series: Series) -> list[Span]:
        """Return the covered spans, oldest first. Raises StoreDown."""

    async def series(self) -> list[Series]:
        """Return every series of which something is kept. Raises StoreDown."""

    async def last_version(self) -> int:
        """Return the highest version of all bars; 0 in an empty store. Raises StoreDown."""

    async def write_ticks(self, venue: str, native: str, trades: Sequence[Trade]) -> None:
        """Keep single trades. Raises StoreDown."""

    async def read_ticks(self, venue: str, native: str, from_us: int, to_us: int, limit: int) -> list[Trade]:
        """Return the oldest `limit` of the trades made in [from_us, to_us), by id. Raises StoreDown.

        A store knows no symbol ids: theirs is 0.
        """

    async def drop_ticks(self, before_us: int) -> None:
        """Forget trades that are older. Raises StoreDown."""
