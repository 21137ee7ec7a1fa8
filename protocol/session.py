"""The server's end of a client's conversation, as a state machine; the client's is `client_session.py`.

The rules of this file:
- The server speaks of a symbol id only after a `symbols` message has introduced it.
- A symbol that does not exist is an `error`; the others of the same message are served. The wish is
  kept: should the symbol be listed while the client is connected, it is introduced and served.
- So is a symbol that the client may not see, a kind or an interval that does not exist.
- Text that is no message, or comes too fast, ends the conversation: a ProtocolError with a close code.
- `since` belongs to the trades of a symbol that the same message asks for, `since_us` to candles. Anywhere
  else it is an `error`, and what it was said of is served as if it had not been said.
- Who nobody knows yet may say who it is, and nothing else.
- Prices come because the client asked for them, or because the symbol is on its user's market watch. Each
  reason ends by itself; prices end with the last one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, assert_never

from protocol import control
from protocol.awaited import Awaited
from protocol.control import (
    Auth,
    AuthConfirmed,
    MarketWatchAdd,
    MarketWatchOrder,
    MarketWatchRemove,
    Ping,
    Pong,
    Subscribe,
    Unsubscribe,
    WatchEdit,
    format_error,
)
from protocol.errors import TooManyMessages, UnknownSymbol
from protocol.events import SeriesKey
from protocol.intervals import format_interval
from protocol.market_watch import news_of, plain
from protocol.standing import ANYBODY, Standing
from protocol.symbols import Instrument, SymbolTable, full_name
from protocol.wishes import read_wish

SUBPROTOCOL_V1: Final = "tickgate.v1"
SUBPROTOCOL_V2: Final = "tickgate.v2"
VERSIONS: Final = {SUBPROTOCOL_V1: 1, SUBPROTOCOL_V2: 2}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may ask of the server."""

    messages_per_second: float = 20.0
    message_burst: int = 60
    symbols: int = 4_096
    """Of each in any kind, and in any of the 15 intervals."""


@dataclass(slots=True)
class Reaction:
    """What the server should do about a message."""

    replies: list[bytes] = field(default_factory=list)
    added: list[int] = field(default_factory=list)
    """Ids that were asked for: send their newest values."""
    since: dict[int, int] = field(default_factory=dict)
    """Ids of which the trades after the stated one are asked for."""
    candles: dict[SeriesKey, int | None] = field(default_factory=dict)
    """Series that were asked for, and from which version on; None: from now on."""
    changed: bool = False
    """The watchlist is another than before."""
    auth: str | None = None
    """A session token or an API key: find out whose it is."""
    edit: WatchEdit | None = None
    """Change the user's market watch so; by full names in capitals."""


class ServerSession:
    """The server's end: who this client is to us and what it watches."""

    def __init__(
        self, version: int, symbols: SymbolTable, limits: Limits, standing: Standing = ANYBODY
    ) -> None:
        self.version = version
        self.standing = standing
        self.prices: set[int] = set()
        self.quotes: set[int] = set()
        self.trades: set[int] = set()
        self.enigma: set[int] = set()
        self.compact: set[int] = set()
        self.candles: set[SeriesKey] = set()
        self.market_watch: set[int] = set()
        """Of these it gets prices, whether it has asked for them or not."""
        self._asked = {
            "price": self.prices,
            "quote": self.quotes,
            control.TRADE: self.trades,
            control.ENIGMA: self.enigma,
            control.COMPACT: self.compact,
        }
        self._symbols = symbols
        self._limits = limits
        self._introduced: set[int] = set()
        self._awaited = Awaited(limits.symbols)
        self._told: tuple[str, ...] | None = None
        """The market watch as the client knows it."""
        self._waits_for_listing = False
        """Some of it does not exist yet, or no longer."""
        self._tokens = float(limits.message_burst)
        self._tokens_at_ms = 0

    @property
    def asked(self) -> set[int]:
        """The ids that this client has asked for, in any kind."""
        return self._in_any_kind()

    @property
    def watched(self) -> set[int]:
        """The ids that this client watches, in any kind and for any reason."""
        return self._in_any_kind(self.market_watch)

    def _in_any_kind(self, *more: set[int]) -> set[int]:
        return self.prices.union(
            self.quotes,
            self.trades,
            self.enigma,
            self.compact,
            (key.symbol_id for key in self.candles),
            *more,
        )

    def on_text(self, text: bytes | str, now_ms: int) -> Reaction:
        """React to one text message. Raises a ProtocolError that ends the conversation."""
        self.spend_token(now_ms)
        match control.parse_client_message(text):
            case Subscribe() | Unsubscribe() if not self.standing.is_admitted:
                return Reaction([format_error("not_logged_in", "say first who you are")])
            case Subscribe() as wish:
                return self.subscribe(wish)
            case Unsubscribe(symbols=symbols):
                return self._unsubscribe(symbols)
            case Auth(session_token=token):
                return Reaction(auth=token)
            case MarketWatchAdd() | MarketWatchRemove() | MarketWatchOrder() as edit:
                return self._edit(edit)
            case Ping():
                return Reaction([control.format_message(Pong())])
            case Pong():
                return Reaction()
            case other:
                assert_never(other)

    # What the client asks for

    def subscribe(self, wish: Subscribe) -> Reaction:
        """React to what a client asks for."""
        kinds, intervals, since, errors = read_wish(wish, self.version)
        reaction = Reaction(errors)
        found, unknown = self._look_up(wish.symbols, reaction) if kinds else ([], [])
        if unknown:
            candles = {format_interval(one): wish.since_us for one in intervals}
            self._awaited.add(unknown, kinds, since, candles)
        wanted = {one.id: one for one in found}
        if len(self.asked | wanted.keys()) > self._limits.symbols:
            text = f"a client may watch {self._limits.symbols} symbols"
            reaction.replies.append(format_error("too_many_symbols", text))
            return reaction
        for kind in kinds:
            if kind != control.CANDLE:
                reaction.changed = reaction.changed or not wanted.keys() <= self._asked[kind]
                self._asked[kind].update(wanted)
        series = [SeriesKey(symbol_id, interval) for symbol_id in wanted for interval in intervals]
        reaction.changed = reaction.changed or not self.candles.issuperset(series)
        self.candles.update(series)
        reaction.candles = dict.fromkeys(series, wish.since_us)
        reaction.added = list(wanted)
        reaction.since = {one.id: since[full] for one in found if (full := one.name.upper()) in since}
        self._introduce(list(wanted.values()), reaction)
        return reaction

    def _unsubscribe(self, names: list[str]) -> Reaction:
        reaction = Reaction()
        found, unknown = self._find(names)
        never_asked = [name for name in unknown if not self._awaited.drop(name)]
        if never_asked:
            reaction.replies.append(format_error("unknown_symbol", "not listed", never_asked))
        self._drop({instrument.id for instrument in found}, reaction)
        return reaction

    def _drop(self, gone: set[int], reaction: Reaction) -> None:
        """Serve nothing more of what was asked of some symbols."""
        reaction.changed = reaction.changed or not gone.isdisjoint(self.asked)
        for asked in self._asked.values():
            asked.difference_update(gone)
        self.candles.difference_update([key for key in self.candles if key.symbol_id in gone])

    def on_listed(self) -> Reaction:
        """React to new symbols in the table: serve those that were wanted before they existed."""
        reaction = Reaction()
        for instrument in self._find(list(self._awaited))[0]:
            for message in self._awaited.take(instrument.name):
                served = self.subscribe(message)
                reaction.replies += served.replies
                reaction.added += [one for one in served.added if one not in reaction.added]
                reaction.since |= served.since
                reaction.candles |= served.candles
                reaction.changed = reaction.changed or served.changed
        if self._waits_for_listing:
            self._serve_market_watch(reaction)
        return reaction

    # Who the client is

    def admit(self, standing: Standing) -> Reaction:
        """React to what was found out about who this is: end what they may not see."""
        if standing.user != self.standing.user:
            self._told = None
        self.standing = standing
        confirmed = AuthConfirmed(standing.user, list(standing.symbols_allowed))
        reaction = Reaction([control.format_message(confirmed)])
        known = [one for symbol_id in sorted(self.asked) if (one := self._symbols.by_id(symbol_id))]
        allowed = {one.id for one in self._open_to_it(known, reaction)}
        self._drop({one.id for one in known if one.id not in allowed}, reaction)
        self._serve_market_watch(reaction)
        return reaction

    # The market watch

    @property
    def knows_market_watch(self) -> bool:
        """The client was told what is on it."""
        return self._told is not None

    def on_market_watch(self, names: Sequence[str]) -> Reaction:
        """React to what the user's market watch is now, by full names in capitals."""
        news = news_of(self._told, names)
        reaction = Reaction([control.format_message(one) for one in news])
        self._told = tuple(names)
        self._serve_market_watch(reaction)
        return reaction

    def _serve_market_watch(self, reaction: Reaction) -> None:
        """Serve what of it exists and may be seen; the rest stays on it, and waits."""
        found, unknown = self._find(self._told or ())
        self._waits_for_listing = bool(unknown)
        served = {one.id: one for one in found if self.standing.may_watch(one)}
        gained = [one for symbol_id, one in served.items() if symbol_id not in self.market_watch]
        reaction.changed = reaction.changed or served.keys() != self.market_watch
        self.market_watch = set(served)
        self._introduce(gained, reaction)
        reaction.added += [one.id for one in gained if one.id not in reaction.added]

    def _edit(self, edit: WatchEdit) -> Reaction:
        if not self.standing.has_market_watch:
            if not self.standing.user:
                return Reaction([format_error("not_logged_in", "a market watch belongs to a user")])
            return Reaction([format_error("not_allowed", "there is no market watch here")])
        reaction = Reaction()
        names = list(dict.fromkeys(full_name(one) for one in edit.symbols))
        if isinstance(edit, MarketWatchAdd):
            names = [one.name.upper() for one in self._look_up(names, reaction)[0]]
        if names:
            reaction.edit = type(edit)(names)
        return reaction

    # Symbols

    def _look_up(self, names: list[str], reaction: Reaction) -> tuple[list[Instrument], list[str]]:
        """Return the instruments that this client may see, and the names that are none; reply the rest."""
        found, unknown = self._find(names)
        if unknown:
            reaction.replies.append(format_error("unknown_symbol", "not listed", unknown))
        return self._open_to_it(found, reaction), unknown

    def _open_to_it(self, instruments: list[Instrument], reaction: Reaction) -> list[Instrument]:
        """Keep what this client may see, and reply the rest."""
        allowed = {one.id: one for one in instruments if self.standing.may_watch(one)}
        closed = [plain(one.name) for one in instruments if one.id not in allowed]
        if closed:
            reaction.replies.append(format_error("not_allowed", "not open to you", closed))
        return list(allowed.values())

    def _find(self, names: Sequence[str]) -> tuple[list[Instrument], list[str]]:
        """Split names into the instruments there are and the names that are none."""
        found, unknown = [], []
        for name in names:
            try:
                found.append(self._symbols.find(name))
            except UnknownSymbol:
                unknown.append(name)
        return found, unknown

    def _introduce(self, instruments: list[Instrument], reaction: Reaction) -> None:
        new = [one for one in instruments if one.id not in self._introduced]
        if new:
            # By a set: it is then half as large as one that grows.
            self._introduced |= {one.id for one in new}
            reaction.replies.append(control.format_message(control.dictionary(new)))

    def spend_token(self, now_ms: int) -> None:
        """Count one message, ping or pong. Raises TooManyMessages."""
        refill = (now_ms - self._tokens_at_ms) / 1000 * self._limits.messages_per_second
        self._tokens = min(self._limits.message_burst, self._tokens + max(refill, 0.0))
        self._tokens_at_ms = now_ms
        if self._tokens < 1.0:
            raise TooManyMessages(self._limits.messages_per_second)
        self._tokens -= 1.0
