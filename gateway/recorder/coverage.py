"""Which spans of each series the store has in full, remembered here, because only the recorder changes it.

The rules of this file:
- What is covered need not be fetched: a bar that is not there does not exist.
- Spans of bars that were recorded live are only noted at first. They are saved from time to time, after the
  bars themselves have been written. A recorder that is killed before that fetches a minute or two again.
- What was fetched from the venue is saved at once, so that a long backfill goes on where it was interrupted.
"""

import asyncio
from collections.abc import Sequence

from gateway.store import spans
from gateway.store.history import HistoryStore, Span, StoreDown
from protocol.bars import Series


class Coverage:
    """Of all series that were asked about. Bounded by the series that a venue can have."""

    def __init__(self, store: HistoryStore) -> None:
        self._store = store
        self._known: dict[Series, list[Span]] = {}
        self._unsaved: dict[Series, list[Span]] = {}
        self._assumed: dict[Series, list[Span]] = {}

    async def missing(self, series: Series, wanted: Span) -> list[Span]:
        """Return what of a span is not covered, oldest first. Raises StoreDown."""
        return without(await self.covered(series), wanted)

    async def covered(self, series: Series) -> list[Span]:
        """Return the covered spans, oldest first. Raises StoreDown."""
        known = self._known.get(series)
        if known is None:
            known = await self._store.coverage(series)
            for span in (*self._unsaved.get(series, ()), *self._assumed.get(series, ())):
                known = spans.add(known, span)
            self._known[series] = known
        return known

    def note(self, series: Series, span: Span) -> None:
        """Cover a span from now on, and in the store after the next `take_unsaved` and `save`."""
        if series in self._known:
            self._known[series] = spans.add(self._known[series], span)
        self._unsaved[series] = spans.add(self._unsaved.get(series, []), span)

    def assume(self, series: Series, span: Span) -> None:
        """Cover a span for as long as we live: it has been recorded, and is to be looked at once more."""
        if series in self._known:
            self._known[series] = spans.add(self._known[series], span)
        self._assumed[series] = spans.add(self._assumed.get(series, []), span)

    async def add(self, series: Series, span: Span) -> None:
        """Cover a span whose bars are in the store. Raises StoreDown."""
        await self._store.cover(series, span)
        if series in self._known:
            self._known[series] = spans.add(self._known[series], span)

    def take_unsaved(self) -> dict[Series, list[Span]]:
        unsaved, self._unsaved = self._unsaved, {}
        return unsaved

    async def save(self, unsaved: dict[Series, list[Span]]) -> None:
        """Put into the store what was noted; what was not saved is noted again. Raises StoreDown."""
        covers = [self._store.cover(series, span) for series, some in unsaved.items() for span in some]
        try:
            await asyncio.gather(*covers)  # the store makes one commit of them
        except StoreDown:
            self.note_again(unsaved)
            raise

    def note_again(self, unsaved: dict[Series, list[Span]]) -> None:
        """Take back what could not be saved yet."""
        for series, some in unsaved.items():
            for span in some:
                self._unsaved[series] = spans.add(self._unsaved.get(series, []), span)

    def forget(self) -> None:
        """Ask the store anew: it was away, or has got history from elsewhere."""
        self._known.clear()


def without(covered: Sequence[Span], wanted: Span) -> list[Span]:
    """Return the parts of a span that are not covered, oldest first."""
    left = [wanted] if wanted.from_ms < wanted.to_ms else []
    for span in spans.clip(covered, wanted):
        left = spans.remove(left, span)
    return left
