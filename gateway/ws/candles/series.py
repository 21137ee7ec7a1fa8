"""The bars of one series that changed lately: what clients are brought up to date from.

The rules of this file:
- A bar's newest state stands for all before it.
- The last `KEPT` bars that changed are kept, in the order of their change. Whoever has everything up to a
  version, or was not written to for a while, is given what changed since. Where they do not reach back so
  far, the recorder must be asked.
- A bar that is no other than before has not changed, whoever says it again.

Pure: bytes, sockets and clocks are elsewhere.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from protocol.events import SeriesKey
from protocol.symbols import Instrument

KEPT: Final = 16


class CandleMark(NamedTuple):
    """Up to where somebody has the candles."""

    stamp: int
    """How many changes of all series had been taken in."""
    version_us: int
    """What the recorder is asked from, should the changes since not be kept any more."""


class Change(NamedTuple):
    """The newest state of a bar."""

    series: "Series"
    open_ms: int
    packed: bytes
    """The CANDLE record."""
    is_final: bool
    is_repair: bool
    """It comes late: a correction, or what was missed."""


class Venue:
    """What was heard of all series of one venue."""

    def __init__(self) -> None:
        self.newest_us = 0
        """The newest version that was heard; 0 before the first."""
        self.whole_us = 0
        """The version up to which nothing is missing."""
        self.flushed_us = 0
        """The same, when it was last delivered."""
        self.gaps = 0
        """How often batches were missed."""
        self.to_heal: dict[SeriesKey, None] = {}


class _Kept(NamedTuple):
    version_us: int
    stamp: int
    """0: there from the beginning, nobody has missed it."""
    change: Change


class Series:
    """The candles of one symbol in one interval."""

    def __init__(self, key: SeriesKey, instrument: Instrument, venue: Venue) -> None:
        self.key: Final = key
        self.instrument: Final = instrument
        self.venue: Final = venue
        self.has_begun = False
        """The recorder has been asked once: what changed just before we listened is kept as well."""
        self.answered_us = venue.newest_us
        """What changed up to this version came with an answer, or before anybody watched."""
        self.dropped_us = 0
        """Of what changed up to this version not everything is kept any more."""
        self._kept: dict[int, _Kept] = {}
        self._begun_us = 0
        self._dropped_stamp = 0

    @property
    def whole_us(self) -> int:
        """Whoever is written to has everything up to this version; 0: nothing has been heard yet."""
        if self.key in self.venue.to_heal:
            return self.answered_us
        return max(self.answered_us, self.venue.whole_us)

    # In

    def put(self, change: Change, version_us: int, stamp: int) -> bool:
        """Take in a bar; say whether it has changed."""
        has_changed = self._keep(change, version_us, stamp)
        self._drop_oldest()
        return has_changed

    def merge(self, changes: Iterable[tuple[Change, int]], stamp: int) -> list[Change]:
        """Take in bars that changed a while ago, with their versions; return those that have."""
        changed = [change for change, version_us in changes if self._keep(change, version_us, stamp)]
        self._kept = dict(sorted(self._kept.items(), key=_version_of))
        self._drop_oldest()
        return changed

    def begin(self, after_us: int, earlier: Iterable[tuple[Change, int]]) -> None:
        """Take in what changed after a version and before anybody watched: bars and versions, in order."""
        quiet = {
            change.open_ms: _Kept(version, 0, change)
            for change, version in earlier
            if change.open_ms not in self._kept
        }
        self._kept = quiet | self._kept
        self._begun_us, self.has_begun = after_us, True
        self._drop_oldest()

    def announce_newest(self, stamp: int) -> Change | None:
        """Let the newest bar count as changed now, and return it; unless it has, since the beginning."""
        newest = max(self._kept, default=None)
        if newest is None or self._kept[newest].stamp:
            return None
        self._kept[newest] = self._kept[newest]._replace(stamp=stamp)
        return self._kept[newest].change

    def knows_better(self, open_ms: int, as_of_us: int) -> bool:
        """Say whether a bar has changed since an answer was given."""
        kept = self._kept.get(open_ms)
        return kept is not None and kept.version_us > as_of_us

    def _keep(self, change: Change, version_us: int, stamp: int) -> bool:
        kept = self._kept.get(change.open_ms)
        if kept is not None and kept.change.packed == change.packed:
            return False
        self._kept.pop(change.open_ms, None)  # so that it stands at the end
        self._kept[change.open_ms] = _Kept(version_us, stamp, change)
        return True

    def _drop_oldest(self) -> None:
        while len(self._kept) > KEPT:
            dropped = self._kept.pop(next(iter(self._kept)))
            self.dropped_us = max(self.dropped_us, dropped.version_us)
            self._dropped_stamp = max(self._dropped_stamp, dropped.stamp)

    # Out

    def newest(self) -> Change | None:
        """Return the newest bar: it is running, unless nothing has traded since the last one's end."""
        return self._kept[max(self._kept)].change if self._kept else None

    def since(self, version_us: int) -> list[Change] | None:
        """Return what changed after a version; None if the recorder must be asked."""
        newest_us = max(self.venue.newest_us, self.answered_us)
        if not self.has_begun or not max(self._begun_us, self.dropped_us) <= version_us <= newest_us:
            return None
        return [kept.change for kept in self._kept.values() if kept.version_us > version_us]

    def after(self, mark: CandleMark) -> list[Change] | None:
        """Return what was taken in after a mark; None if the recorder must be asked."""
        if mark.stamp < self._dropped_stamp:
            return None
        return [kept.change for kept in self._kept.values() if kept.stamp > mark.stamp]


def _version_of(item: tuple[int, _Kept]) -> int:
    return item[1].version_us
