"""Audiences: the clients that watch the same symbols in the same form.

An audience gets one encoding a flush, however many clients it has. The index says which
audiences a changed symbol concerns. Pure bookkeeping: nothing here encodes or writes.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from enum import IntEnum
from operator import itemgetter
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np

from gateway.native.sender import Target
from gateway.ws.candles.series import CandleMark, Venue
from gateway.ws.lane import Mark
from protocol.events import Kind, SeriesKey
from protocol.table import Ids

WATCHED: Final = (Kind.PRICE, Kind.QUOTE, Kind.TRADE, Kind.ENIGMA, Kind.CANDLE, Kind.COMPACT)
NEWEST: Final = (Kind.PRICE, Kind.QUOTE, Kind.ENIGMA)
"""Of these a flush has at most one record a symbol."""
FEW: Final = 8
"""If not even one of so many watched symbols has changed, it is cheaper to look up who watches those."""
NOTHING: Final[frozenset[Any]] = frozenset()
"""The one for all: each that is made takes 200 bytes, and most of what a client may watch it does not."""
Watched = TypeVar("Watched", bound=Hashable)
Pick: TypeAlias = Callable[[Mapping[int, bytes]], tuple[bytes, ...]]
"""Take the records of the symbols that an audience watches, by their ids, in the order of these."""


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
        self._targets: tuple[Target, ...] | None = None

    @property
    def targets(self) -> tuple[Target, ...]:
        """The sockets of those who flow, made anew only when it is another set of them."""
        if self._targets is None:
            self._targets = tuple(self.flowing.values())
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


class Audiences:
    """All audiences, by watchlist and by symbol."""

    def __init__(self) -> None:
        self._by_watchlist: dict[Watchlist, Audience] = {}
        self._by_symbol: dict[Kind, dict[Any, dict[Audience, None]]] = {kind: {} for kind in WATCHED}
        """By kind and symbol id; candles by their series."""
        self._picks: dict[Kind, dict[Audience, Pick]] = {kind: {} for kind in NEWEST}
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
            for kind, picks in self._picks.items():
                if ids := watchlist.watched(kind):
                    picks[audience] = _pick_of(sorted(ids))
                    self._watched[kind] += len(ids)
        audience.add(member)
        return audience

    def leave(self, audience: Audience, member: Member) -> None:
        """Take a client out; an audience without clients is forgotten."""
        audience.remove(member)
        if not audience.is_empty or self._by_watchlist.pop(audience.watchlist, None) is None:
            return
        for kind, picks in self._picks.items():
            if picks.pop(audience, None):
                self._watched[kind] -= len(audience.watchlist.watched(kind))
        for kind, index in self._by_symbol.items():
            for symbol_id in audience.watchlist.watched(kind):
                concerned = index[symbol_id]
                del concerned[audience]
                if not concerned:
                    del index[symbol_id]

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

    def is_mostly(self, kind: Kind, changed: Iterable[int]) -> bool:
        """Say whether so much of what is watched has changed that every audience may as well look itself."""
        index = self._by_symbol[kind]
        hits = sum(map(len, filter(None, map(index.get, changed))))
        return hits * FEW > self._watched[kind]

    def picks(self, kind: Kind) -> Mapping[Audience, Pick]:
        """Return for each audience that watches anything of a kind what takes its records out of all."""
        return self._picks[kind]

    def watched(self, kind: Kind) -> Collection[Any]:
        """Return the ids that anybody watches in a kind."""
        return self._by_symbol[kind].keys()


def frozen(ids: Collection[Watched]) -> frozenset[Watched]:
    """Freeze what is watched in one kind."""
    return frozenset(ids) if ids else NOTHING


def _pick_of(ids: list[int]) -> Pick:
    if len(ids) > 1:
        return itemgetter(*ids)
    one = ids[0]
    return lambda records: (records[one],)


def as_ids(symbol_ids: Iterable[int]) -> Ids:
    """Make the array that a price table takes."""
    return np.fromiter(symbol_ids, np.uint16)
