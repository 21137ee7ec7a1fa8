"""Audiences: the clients that watch the same symbols in the same form.

An audience gets one encoding a flush, however many clients it has. The index says which
audiences a changed symbol concerns. Pure bookkeeping: nothing here encodes or writes.
"""

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from enum import IntEnum
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import numpy as np

from gateway.native.sender import Target, Targets
from gateway.ws.candles.series import CandleMark, Venue
from gateway.ws.lane import Mark
from protocol.compact import Index
from protocol.events import Kind, SeriesKey
from protocol.table import PLACES, Ids

WATCHED: Final = (Kind.PRICE, Kind.QUOTE, Kind.TRADE, Kind.ENIGMA, Kind.CANDLE, Kind.COMPACT)
NEWEST: Final = (Kind.PRICE, Kind.QUOTE, Kind.ENIGMA)
"""Of these a flush has at most one record a symbol."""
FEW: Final = 32
"""If not even one of so many watched symbols has changed, it is cheaper to look up who watches those."""
NOTHING: Final[frozenset[Any]] = frozenset()
"""The one for all: each that is made takes 200 bytes, and most of what a client may watch it does not."""
Watched = TypeVar("Watched", bound=Hashable)


class Form(IntEnum):
    """In which form a client gets what it watches."""

    V1 = 1
    V2 = 2
    JSON = 3
    """Final candles, at `/ws`."""
    JSON_PARTIALS = 4
    """Running ones too."""


class Watchlist(NamedTuple):
    """What makes two clients the same audience."""

    form: int
    prices: frozenset[int] = frozenset()
    quotes: frozenset[int] = frozenset()
    trades: frozenset[int] = frozenset()
    enigma: frozenset[int] = frozenset()
    candles: frozenset[SeriesKey] = frozenset()
    compact: frozenset[int] = frozenset()

    def watched(self, kind: Kind) -> frozenset[Any]:
        """Return the ids that are watched in a kind; of candles, the series."""
        match kind:
            case Kind.PRICE:
                return self.prices
            case Kind.QUOTE:
                return self.quotes
            case Kind.TRADE:
                return self.trades
            case Kind.ENIGMA:
                return self.enigma
            case Kind.CANDLE:
                return self.candles
            case Kind.COMPACT:
                return self.compact
        raise KeyError(kind)  # gaps go with the trades


class Member(Protocol):
    """One client of an audience."""

    target: Target
    """Its socket, for prebuilt bytes."""

    def miss(self, kind: Kind, baseline: dict[int, int]) -> None:
        """Note what was not written because its socket is full, and how often each had changed before."""

    def miss_trades(self, marks: dict[int, Mark]) -> None:
        """Note of which symbols trades were not written, and up to where they were."""

    def miss_candles(self, mark: CandleMark) -> None:
        """Note that candles were not written, and up to where they were."""

    def catch_up(self) -> None:
        """Write what was missed, as far as the socket takes it."""


class Audience:
    """The members of one watchlist, split by whether their sockets take more."""

    __slots__ = ("_targets", "flowing", "form", "slow", "venues", "watchlist")

    def __init__(self, watchlist: Watchlist) -> None:
        self.watchlist: Final = watchlist
        self.form: Final = watchlist.form
        self.flowing: dict[Member, Target] = {}
        self.slow: set[Member] = set()
        self.venues: tuple[Venue, ...] = ()
        """Those of its candles: set by whoever joins it."""
        self._targets: Targets | None = None

    @property
    def targets(self) -> Targets:
        """The sockets of those who flow, made anew only when it is another set of them."""
        if self._targets is None:
            self._targets = Targets.of(self.flowing.values())
        return self._targets

    def add(self, member: Member) -> None:
        self.flowing[member] = member.target
        self._targets = None

    def remove(self, member: Member) -> None:
        if self.flowing.pop(member, None) is not None:
            self._targets = None
        self.slow.discard(member)

    def pause(self, member: Member) -> None:
        """Write no more to this one: it collects what it misses."""
        if self.flowing.pop(member, None) is not None:
            self._targets = None
            self.slow.add(member)

    def resume(self, member: Member) -> None:
        if member in self.slow:
            self.slow.discard(member)
            self.add(member)

    @property
    def is_empty(self) -> bool:
        return not self.flowing and not self.slow


class Rows(NamedTuple):
    """What the audiences of one form watch in a kind: a row a symbol, audience by audience."""

    audiences: tuple[Audience, ...]
    ids: Index
    """Ascending within an audience."""
    ends: Index
    """Behind the last row of each audience."""


class Audiences:
    """All audiences, by watchlist and by symbol."""

    def __init__(self) -> None:
        self._by_watchlist: dict[Watchlist, Audience] = {}
        self._by_symbol: dict[Kind, dict[Any, dict[Audience, None]]] = {kind: {} for kind in WATCHED}
        """By kind and symbol id; candles by their series."""
        self._ids: dict[Kind, dict[Audience, Index]] = {kind: {} for kind in NEWEST}
        """What each audience watches, ascending."""
        self._rows: dict[Kind, dict[int, Rows]] = {}
        """The same by form, made when it is asked for and kept while nothing changes."""
        self._watchers = {kind: np.zeros(PLACES, np.int64) for kind in NEWEST}
        """How many audiences watch each symbol."""
        self._watched = dict.fromkeys(NEWEST, 0)
        """How many symbols all audiences together watch, each counted as often as it is watched."""

    def __len__(self) -> int:
        return len(self._by_watchlist)

    def __iter__(self) -> Iterator[Audience]:
        return iter(self._by_watchlist.values())

    def join(self, watchlist: Watchlist, member: Member) -> Audience:
        """Put a client into the audience of its watchlist, made if it is the first."""
        audience = self._by_watchlist.get(watchlist)
        if audience is None:
            audience = self._by_watchlist[watchlist] = Audience(watchlist)
            for kind, index in self._by_symbol.items():
                for symbol_id in watchlist.watched(kind):
                    index.setdefault(symbol_id, {})[audience] = None
            for kind in NEWEST:
                if ids := watchlist.watched(kind):
                    self._ids[kind][audience] = np.array(sorted(ids), np.intp)
                    self._count(kind, audience, 1)
        audience.add(member)
        return audience

    def leave(self, audience: Audience, member: Member) -> None:
        """Take a client out; an audience without clients is forgotten."""
        audience.remove(member)
        if not audience.is_empty or self._by_watchlist.pop(audience.watchlist, None) is None:
            return
        for kind in NEWEST:
            if audience in self._ids[kind]:
                self._count(kind, audience, -1)
                del self._ids[kind][audience]
        for kind, index in self._by_symbol.items():
            for symbol_id in audience.watchlist.watched(kind):
                concerned = index[symbol_id]
                del concerned[audience]
                if not concerned:
                    del index[symbol_id]

    def _count(self, kind: Kind, audience: Audience, more: int) -> None:
        ids = self._ids[kind][audience]
        self._watchers[kind][ids] += more
        self._watched[kind] += more * len(ids)
        self._rows.pop(kind, None)

    def concerned(self, kind: Kind, changed: Iterable[Watched]) -> dict[Audience, list[Watched]]:
        """Say which of the changed symbols each audience watches, in the order they changed."""
        index = self._by_symbol[kind]
        concerned: dict[Audience, list[Watched]] = {}
        for symbol_id in changed:
            for audience in index.get(symbol_id, ()):
                if audience in concerned:
                    concerned[audience].append(symbol_id)
                else:
                    concerned[audience] = [symbol_id]
        return concerned

    def is_mostly(self, kind: Kind, changed: Index) -> bool:
        """Say whether so much of what is watched has changed that all rows may as well be looked through."""
        return int(self._watchers[kind].take(changed).sum()) * FEW > self._watched[kind]

    def rows(self, kind: Kind) -> Mapping[int, Rows]:
        """Return by form what all audiences watch in a kind."""
        rows = self._rows.get(kind)
        if rows is None:
            rows = self._rows[kind] = _rows_of(self._ids[kind])
        return rows

    def watched(self, kind: Kind) -> Collection[Any]:
        """Return the ids that anybody watches in a kind."""
        return self._by_symbol[kind].keys()


def frozen(ids: Collection[Watched]) -> frozenset[Watched]:
    """Freeze what is watched in one kind."""
    return frozenset(ids) if ids else NOTHING


def _rows_of(watched: Mapping[Audience, Index]) -> dict[int, Rows]:
    by_form: dict[int, dict[Audience, Index]] = {}
    for audience, ids in watched.items():
        by_form.setdefault(audience.form, {})[audience] = ids
    return {
        form: Rows(
            tuple(all_ids), np.concatenate([*all_ids.values()]), np.cumsum([*map(len, all_ids.values())])
        )
        for form, all_ids in by_form.items()
    }


def as_ids(symbol_ids: Iterable[int]) -> Ids:
    """Make the array that a price table takes."""
    return np.fromiter(symbol_ids, np.uint16)
