"""The server's end of a client's conversation, as a state machine; the client's is `client_session.py`.

The rules of this file:
- The server speaks of a symbol id only after a `symbols` message has introduced it.
- A symbol that does not exist is an `error`; the others of the same message are served. The wish is
  kept: should the symbol be listed while the client is connected, it is introduced and served.
- A kind or an interval that does not exist is an `error` too, and the others are served.
- Text that is no message, or comes too fast, ends the conversation: a ProtocolError with a close code.
- `since` belongs to the trades of a symbol that the same message asks for, `since_us` to candles. Anywhere
  else it is an `error`, and what it was said of is served as if it had not been said.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from protocol import control
from protocol.control import Error, Ping, Pong, Subscribe, Unsubscribe
from protocol.errors import TooManyMessages, UnknownInterval, UnknownSymbol
from protocol.events import SeriesKey
from protocol.intervals import format_interval, parse_interval
from protocol.symbols import Instrument, SymbolTable, full_name

SUBPROTOCOL_V1: Final = "tickgate.v1"
SUBPROTOCOL_V2: Final = "tickgate.v2"
VERSIONS: Final = {SUBPROTOCOL_V1: 1, SUBPROTOCOL_V2: 2}
LONGEST_NAME: Final = 64
"""A longer name is never listed, and so not waited for."""


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


@dataclass(slots=True)
class _Wish:
    """What is wanted of a symbol that does not exist yet."""

    kinds: set[str] = field(default_factory=set)
    since: int | None = None
    candles: dict[str, int | None] = field(default_factory=dict)
    """By interval: from which version on."""


class ServerSession:
    """The server's end: who this client is to us and what it watches."""

    def __init__(self, version: int, symbols: SymbolTable, limits: Limits) -> None:
        self.version = version
        self.prices: set[int] = set()
        self.quotes: set[int] = set()
        self.trades: set[int] = set()
        self.enigma: set[int] = set()
        self.candles: set[SeriesKey] = set()
        self._watched = {
            "price": self.prices,
            "quote": self.quotes,
            control.TRADE: self.trades,
            control.ENIGMA: self.enigma,
        }
        self._symbols = symbols
        self._limits = limits
        self._introduced: set[int] = set()
        self._awaited: dict[str, _Wish] = {}
        """Full names that did not exist when they were asked for, with what was wanted of them.
        Full, at the client's limit of symbols: later ones are not waited for."""
        self._tokens = float(limits.message_burst)
        self._tokens_at_ms = 0

    def on_text(self, text: bytes | str, now_ms: int) -> Reaction:
        """React to one text message. Raises a ProtocolError that ends the conversation."""
        self._spend_token(now_ms)
        match control.parse_client_message(text):
            case Subscribe() as wish:
                return self.subscribe(wish)
            case Unsubscribe(symbols=symbols):
                return self._unsubscribe(symbols)
            case Ping():
                return Reaction([control.format_message(Pong())])
            case Pong():
                return Reaction()

    def subscribe(self, wish: Subscribe) -> Reaction:
        """React to what a client asks for."""
        reaction = Reaction()
        kinds, intervals = self._served(wish, reaction)
        since = self._check_since(wish.symbols, kinds, wish.since, reaction)
        found, unknown = self._look_up(wish.symbols) if kinds else ([], [])
        if unknown:
            candles = {format_interval(one): wish.since_us for one in intervals}
            self._await(unknown, kinds, since, candles)
            reaction.replies.append(_error("unknown_symbol", "not carried by this gateway", unknown))
        wanted = {instrument.id: instrument for instrument in found}
        if len(self.watched | wanted.keys()) > self._limits.symbols:
            text = f"a client may watch {self._limits.symbols} symbols"
            reaction.replies.append(_error("too_many_symbols", text))
            return reaction
        for kind in kinds:
            if kind != control.CANDLE:
                reaction.changed = reaction.changed or not wanted.keys() <= self._watched[kind]
                self._watched[kind].update(wanted)
        series = [SeriesKey(symbol_id, interval) for symbol_id in wanted for interval in intervals]
        reaction.changed = reaction.changed or not self.candles.issuperset(series)
        self.candles.update(series)
        reaction.candles = dict.fromkeys(series, wish.since_us)
        reaction.added = list(wanted)
        reaction.since = {one.id: since[full] for one in found if (full := one.name.upper()) in since}
        self._introduce(list(wanted.values()), reaction)
        return reaction

    def _served(self, wish: Subscribe, reaction: Reaction) -> tuple[list[str], list[int]]:
        """Return the kinds and the intervals that are served, and reply what is not."""
        offered = control.KINDS_OF_VERSION[self.version]
        kinds = [kind for kind in wish.kinds if kind in offered]
        refused = [kind for kind in wish.kinds if kind not in offered]
        if refused:
            reaction.replies.append(_error("unsupported_kind", f"no such kind here: {', '.join(refused)}"))
        if wish.since_us is not None and control.CANDLE not in kinds:
            reaction.replies.append(_error("bad_since", "since_us goes with candles"))
        if control.CANDLE not in kinds:
            return kinds, []
        intervals, unknown = _intervals(wish.intervals or [control.DEFAULT_INTERVAL])
        if unknown:
            reaction.replies.append(_error("unknown_interval", "no such interval", intervals=unknown))
        return [kind for kind in kinds if kind != control.CANDLE or intervals], intervals

    def _check_since(
        self, names: list[str], kinds: list[str], since: Mapping[str, int], reaction: Reaction
    ) -> dict[str, int]:
        """Return `since` by full names, without what is said of symbols whose trades are not asked for."""
        if not since:
            return {}
        asked = {full_name(name) for name in names} if control.TRADE in kinds else set()
        wrong = [name for name in since if full_name(name) not in asked]
        if wrong:
            text = "since goes with the trades of a symbol that the same message asks for"
            reaction.replies.append(_error("bad_since", text, wrong))
        return {full: last for name, last in since.items() if (full := full_name(name)) in asked}

    def _unsubscribe(self, names: list[str]) -> Reaction:
        reaction = Reaction()
        found, unknown = self._look_up(names)
        never_asked = [name for name in unknown if self._awaited.pop(full_name(name), None) is None]
        if never_asked:
            reaction.replies.append(_error("unknown_symbol", "not carried by this gateway", never_asked))
        gone = {instrument.id for instrument in found}
        reaction.changed = not gone.isdisjoint(self.watched)
        for watched in self._watched.values():
            watched.difference_update(gone)
        self.candles.difference_update([key for key in self.candles if key.symbol_id in gone])
        return reaction

    @property
    def watched(self) -> set[int]:
        """The ids that this client watches, in any kind."""
        return self.prices.union(
            self.quotes, self.trades, self.enigma, (key.symbol_id for key in self.candles)
        )

    def on_listed(self) -> Reaction:
        """React to new symbols in the table: serve those that were asked for before they existed."""
        reaction = Reaction()
        found, _ = self._look_up(list(self._awaited))
        for instrument in found:
            wish = self._awaited.pop(instrument.name.upper())
            for message in _messages(instrument.name.upper(), wish):
                served = self.subscribe(message)
                reaction.replies += served.replies
                reaction.added += [one for one in served.added if one not in reaction.added]
                reaction.since |= served.since
                reaction.candles |= served.candles
                reaction.changed = reaction.changed or served.changed
        return reaction

    def _look_up(self, names: list[str]) -> tuple[list[Instrument], list[str]]:
        """Split names into the instruments there are and the names that are none."""
        found, unknown = [], []
        for name in names:
            try:
                found.append(self._symbols.find(name))
            except UnknownSymbol:
                unknown.append(name)
        return found, unknown

    def _await(
        self,
        names: list[str],
        kinds: list[str],
        since: Mapping[str, int],
        candles: Mapping[str, int | None],
    ) -> None:
        for name in names:
            if len(self._awaited) < self._limits.symbols and len(name) <= LONGEST_NAME:
                wish = self._awaited.setdefault(full_name(name), _Wish())
                wish.kinds.update(kinds)
                wish.since = since.get(full_name(name), wish.since)
                wish.candles.update(candles)

    def _introduce(self, instruments: list[Instrument], reaction: Reaction) -> None:
        new = [one for one in instruments if one.id not in self._introduced]
        if new:
            self._introduced.update(one.id for one in new)
            reaction.replies.append(control.format_message(control.dictionary(new)))

    def _spend_token(self, now_ms: int) -> None:
        refill = (now_ms - self._tokens_at_ms) / 1000 * self._limits.messages_per_second
        self._tokens = min(self._limits.message_burst, self._tokens + max(refill, 0.0))
        self._tokens_at_ms = now_ms
        if self._tokens < 1.0:
            raise TooManyMessages(self._limits.messages_per_second)
        self._tokens -= 1.0


def _messages(name: str, wish: _Wish) -> list[Subscribe]:
    """Say again what was wanted of a symbol, in as few messages as its candles begin at different places."""
    kinds = sorted(wish.kinds - {control.CANDLE})
    messages = [Subscribe([name], kinds, {} if wish.since is None else {name: wish.since})] if kinds else []
    for since_us in dict.fromkeys(wish.candles.values()):
        intervals = [one for one, since in wish.candles.items() if since == since_us]
        messages.append(Subscribe([name], [control.CANDLE], intervals=intervals, since_us=since_us))
    return messages


def _intervals(names: list[str]) -> tuple[list[int], list[str]]:
    """Split names into the intervals there are and the names that are none."""
    found, unknown = [], []
    for name in names:
        try:
            found.append(parse_interval(name))
        except UnknownInterval:
            unknown.append(name)
    return found, unknown


def _error(
    code: str, message: str, symbols: list[str] | None = None, intervals: list[str] | None = None
) -> bytes:
    return control.format_message(Error(code, message, (symbols or [])[:100], (intervals or [])[:100]))
