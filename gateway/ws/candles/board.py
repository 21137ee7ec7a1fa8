"""The candles that clients watch, as the recorder announces them, and what of them is to be delivered.

The rules of this file:
- Only series that somebody watches are kept. Records of others are dropped unread.
- A CANDLE frame of the recorder states its version: all changes up to it have been published. A venue is
  whole up to the last one before which no batch was missed. That is what clients are told, so that it is
  safe to resume from; what is newer is delivered all the same.
- An answer of the recorder holds every change of a series after one version, up to another. What of it those
  who are written to lack is delivered to them; batches older than the answer are no news any more.
- The first answer of a series is its beginning. Of what had changed before anybody watched, only the newest
  bar is news.

Pure: bytes, sockets and clocks are elsewhere.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from gateway.ws.candles.series import CandleMark, Change, Series, Venue
from protocol import subjects
from protocol.bars import Bars
from protocol.events import MAX_SYMBOL_ID, CandleFlag, Kind, SeriesKey
from protocol.frames import LAYOUTS, Frame, Records
from protocol.intervals import MINUTES
from protocol.symbols import Instrument

CANDLE: Final = LAYOUTS[Kind.CANDLE].dtype
_SHARED: Final = [name for name in CANDLE.names or () if name not in ("symbol_id", "interval", "pad")]
"""What a CANDLE record and a bar have in common."""
_FINAL: Final = int(CandleFlag.FINAL)
_PLACES: Final = np.full(65_536, len(MINUTES), np.intp)
"""From a number of minutes to its place in the table of what is open; what is no interval has the last."""
_PLACES[list(MINUTES.values())] = np.arange(len(MINUTES))
Mask: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]


class Question(NamedTuple):
    """What the recorder is asked: every change of a series after a version."""

    key: SeriesKey
    after_us: int
    gaps: int
    """How often batches of the venue had been missed by then."""


class CandleBoard:
    """All series that are watched."""

    def __init__(self) -> None:
        self.series: dict[SeriesKey, Series] = {}
        self.to_begin: dict[SeriesKey, None] = {}
        self.on_wanted: Callable[[], None] = lambda: None
        """Called when there is something to ask the recorder for."""
        self._venues: dict[str, Venue] = {}
        """By the bus subject on which their candles come."""
        self._is_open: Mask = np.zeros((MAX_SYMBOL_ID + 1, len(MINUTES) + 1), np.bool_)
        self._idle: set[SeriesKey] = set()
        self._dirty: dict[SeriesKey, dict[int, Change]] = {}
        self._stamp = 0
        self._flushed_stamp = 0

    # What is watched

    def open(self, key: SeriesKey, instrument: Instrument) -> Series:
        """Return a series, kept from now on."""
        series = self.series.get(key)
        if series is None:
            series = self.series[key] = Series(
                key, instrument, self._venue(subjects.recorded(instrument.venue))
            )
            self._is_open[key.symbol_id, _PLACES[key.interval]] = True
            self.to_begin[key] = None
            self.on_wanted()
        return series

    def keep(self, watched: set[SeriesKey]) -> None:
        """Forget the series that were not watched, now and the last time."""
        idle = self.series.keys() - watched
        for key in idle & self._idle:
            self.series.pop(key).venue.to_heal.pop(key, None)
            self._is_open[key.symbol_id, _PLACES[key.interval]] = False
            self.to_begin.pop(key, None)
            self._dirty.pop(key, None)
        self._idle = idle

    def venues_of(self, keys: Iterable[SeriesKey]) -> tuple[Venue, ...]:
        """Return the venues of some series that are kept."""
        return tuple({self.series[key].venue: None for key in keys})

    def _venue(self, subject: str) -> Venue:
        return self._venues.setdefault(subject, Venue())

    # In

    def on_frame(self, subject: str, frame: Frame) -> None:
        """Take in a CANDLE frame that came on a `recorded.` subject."""
        venue = self._venue(subject)
        venue.newest_us = max(venue.newest_us, frame.time_us)
        if not venue.to_heal:
            venue.whole_us = venue.newest_us
        records = frame.records
        is_watched = self._is_open[records["symbol_id"].astype(np.intp), _PLACES[records["interval"]]]
        for change in self._changes(records[is_watched]):
            if frame.time_us <= change.series.answered_us:
                continue
            self._stamp += 1
            if change.series.put(change, frame.time_us, self._stamp):
                self._mark_dirty(change)

    def on_missed(self, subject: str) -> None:
        """React to batches that were lost, or may have been: all series of the venue must be asked for."""
        venue = self._venue(subject)
        venue.gaps += 1
        for series in self.series.values():
            if series.venue is venue:
                series.answered_us = series.whole_us
                venue.to_heal[series.key] = None
        self.on_wanted()

    def ask(self, series: Series, since_us: int | None, begin_us: int) -> Question:
        """Say what to ask so that the answer can be taken in: a first one at least from `begin_us` on."""
        wanted = (since_us, series.whole_us or None, None if series.has_begun else begin_us)
        after_us = min(one for one in wanted if one is not None)
        return Question(series.key, after_us, series.venue.gaps)

    def on_answer(self, question: Question, as_of_us: int, bars: Bars) -> bool:
        """Take in the answer to a question. False: it came too late to be of use, it must be asked again."""
        series = self.series.get(question.key)
        if series is None or series.dropped_us > as_of_us:
            return False  # a bar of the answer may have changed since, and nobody would know
        whole_us, has_begun = series.whole_us, series.has_begun
        heals = series.key in series.venue.to_heal
        bars = bars[np.argsort(bars["version"], kind="stable")]
        changes = list(zip(self.changes_of(series, bars), bars["version"].tolist(), strict=True))
        news = [
            (change._replace(is_repair=heals or change.is_repair), version_us)
            for change, version_us in changes
            if version_us > whole_us and not series.knows_better(change.open_ms, as_of_us)
        ]
        self._stamp += 1
        if not has_begun:
            series.begin(question.after_us, [one for one in changes if one[1] <= whole_us])
        for change in series.merge(news, self._stamp):
            self._mark_dirty(change)
        if not has_begun and (newest := series.announce_newest(self._stamp)):
            self._mark_dirty(newest)
        series.answered_us = max(series.answered_us, as_of_us)
        self.to_begin.pop(series.key, None)
        if question.gaps == series.venue.gaps:
            self._on_healed(series)
        return True

    def _on_healed(self, series: Series) -> None:
        venue = series.venue
        venue.to_heal.pop(series.key, None)
        if not venue.to_heal:
            venue.whole_us = venue.newest_us

    def changes_of(self, series: Series, bars: Bars) -> list[Change]:
        """Read the bars of a series as changes, in their order."""
        return list(self._changes(candles_of(series.key, bars)))

    def _changes(self, records: Records) -> Iterator[Change]:
        """Take CANDLE records of series that are kept apart."""
        packed, size = records.tobytes(), CANDLE.itemsize
        fields = ("symbol_id", "interval", "open_ms", "flags", "revision")
        rows = zip(*[records[name].tolist() for name in fields], strict=True)
        for place, (symbol_id, interval, open_ms, flags, revision) in enumerate(rows):
            series = self.series[SeriesKey(symbol_id, interval)]
            is_final = bool(flags & _FINAL)
            record = packed[place * size : (place + 1) * size]
            yield Change(series, open_ms, record, is_final, is_final and revision > 0)

    def _mark_dirty(self, change: Change) -> None:
        self._dirty.setdefault(change.series.key, {})[change.open_ms] = change

    # Out

    @property
    def is_dirty(self) -> bool:
        return bool(self._dirty)

    def take(self) -> dict[SeriesKey, list[Change]]:
        """Return what is to be delivered now, by series, in the order of change."""
        dirty, self._dirty = self._dirty, {}
        return {key: list(changes.values()) for key, changes in dirty.items()}

    def on_flushed(self) -> None:
        """Note that everything has been delivered."""
        self._flushed_stamp = self._stamp
        for venue in self._venues.values():
            venue.flushed_us = venue.whole_us

    def mark_of(self, series: Series) -> CandleMark:
        """Return up to where a series is known."""
        return CandleMark(self._stamp, series.whole_us)

    def to_ask(self) -> list[Series]:
        """Return the series that the recorder must be asked for."""
        keys = dict(self.to_begin)
        for venue in self._venues.values():
            keys |= venue.to_heal
        return [self.series[key] for key in keys]

    def mark(self, venues: Iterable[Venue]) -> CandleMark:
        """Return up to where everything was delivered when that was last done."""
        return CandleMark(self._flushed_stamp, lowest(venue.flushed_us for venue in venues))

    def whole_us(self, venues: Iterable[Venue]) -> int:
        """Return the version up to which nothing is missing; 0: nothing was heard yet."""
        return lowest(venue.whole_us for venue in venues)


def candles_of(key: SeriesKey, bars: Bars) -> Records:
    """Write the bars of a series as CANDLE records."""
    records: Records = np.zeros(len(bars), CANDLE)
    records["symbol_id"], records["interval"] = key
    for name in _SHARED:
        records[name] = bars[name]
    return records


def lowest(versions_us: Iterable[int]) -> int:
    """Return the lowest version of those venues that have been heard."""
    return min((one for one in versions_us if one), default=0)
