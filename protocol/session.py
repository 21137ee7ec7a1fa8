"""One client's conversation, as a state machine for each end.

The rules of this file:
- The server speaks of a symbol id only after a `symbols` message has introduced it.
- A symbol that does not exist is an `error`; the others of the same message are served. The wish is
  kept: should the symbol be listed while the client is connected, it is introduced and served.
- Text that is no message, or comes too fast, ends the conversation: a ProtocolError with a close code.
- After a reconnect the client asks for everything again; ids are the same, and introduced anew.
- `since` belongs to the trades of a symbol that the same message asks for. Anywhere else it is an `error`,
  and what it was said of is served as if it had not been said.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from protocol import control
from protocol.control import (
    AutoSubscribe,
    AutoUnsubscribe,
    Error,
    MarketWatchSubscribe,
    Ping,
    Pong,
    Subscribe,
    SymbolEntry,
    Symbols,
    Unsubscribe,
)
from protocol.errors import TooManyMessages, UnknownSymbol, UnknownSymbolId
from protocol.events import PriceUpdate
from protocol.frames import Frame, Records, decode_v1, decode_v2
from protocol.symbols import Instrument, SymbolTable, full_name

SUBPROTOCOL_V1: Final = "tickgate.v1"
SUBPROTOCOL_V2: Final = "tickgate.v2"
LONGEST_NAME: Final = 64
"""A longer name is never listed, and so not waited for."""
VERSIONS: Final = {SUBPROTOCOL_V1: 1, SUBPROTOCOL_V2: 2}
SYMBOLS_A_MESSAGE: Final = 1_000
"""How many symbols a client asks for at once: with long names too, that stays below 64 KiB."""
RESUMES_A_MESSAGE: Final = 300
"""The same with `since`, where each is named twice and has a number of up to 19 digits."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may ask of the server."""

    messages_per_second: float = 20.0
    message_burst: int = 60
    symbols: int = 4_096


@dataclass(slots=True)
class Reaction:
    """What the server should do about a message."""

    replies: list[bytes] = field(default_factory=list)
    added: list[int] = field(default_factory=list)
    """Ids that were asked for: send their newest values."""
    since: dict[int, int] = field(default_factory=dict)
    """Ids of which the trades after the stated one are asked for."""
    changed: bool = False
    """The watchlist is another than before."""


@dataclass(slots=True)
class _Wish:
    """What is wanted of a symbol that does not exist yet."""

    kinds: set[str] = field(default_factory=set)
    since: int | None = None


class ServerSession:
    """The server's end: who this client is to us and what it watches."""

    def __init__(self, version: int, symbols: SymbolTable, limits: Limits) -> None:
        self.version = version
        self.prices: set[int] = set()
        self.quotes: set[int] = set()
        self.trades: set[int] = set()
        self._watched = {"price": self.prices, "quote": self.quotes, control.TRADE: self.trades}
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
            case Subscribe(symbols=symbols, kinds=kinds, since=since):
                return self._subscribe(symbols, kinds, since)
            case Unsubscribe(symbols=symbols):
                return self._unsubscribe(symbols)
            case Ping():
                return Reaction([control.format_message(Pong())])
            case Pong():
                return Reaction()

    def _subscribe(self, names: list[str], kinds: list[str], since: Mapping[str, int]) -> Reaction:
        reaction = Reaction()
        offered = (*control.KINDS, control.TRADE) if self.version == 2 else control.KINDS[:1]
        served = [kind for kind in kinds if kind in offered]
        refused = [kind for kind in kinds if kind not in offered]
        if refused:
            reaction.replies.append(_error("unsupported_kind", f"no such kind here: {', '.join(refused)}"))
        since = self._check_since(names, served, since, reaction)
        found, unknown = self._look_up(names) if served else ([], [])
        if unknown:
            self._await(unknown, served, since)
            reaction.replies.append(_error("unknown_symbol", "not carried by this gateway", unknown))
        wanted = {instrument.id: instrument for instrument in found}
        if len(self.watched | wanted.keys()) > self._limits.symbols:
            text = f"a client may watch {self._limits.symbols} symbols"
            reaction.replies.append(_error("too_many_symbols", text))
            return reaction
        for kind in served:
            reaction.changed = reaction.changed or not wanted.keys() <= self._watched[kind]
            self._watched[kind].update(wanted)
        reaction.added = list(wanted)
        reaction.since = {one.id: since[full] for one in found if (full := one.name.upper()) in since}
        self._introduce(list(wanted.values()), reaction)
        return reaction

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
        return reaction

    @property
    def watched(self) -> set[int]:
        """The ids that this client watches, in any kind."""
        return self.prices | self.quotes | self.trades

    def on_listed(self) -> Reaction:
        """React to new symbols in the table: serve those that were asked for before they existed."""
        reaction = Reaction()
        found, _ = self._look_up(list(self._awaited))
        for instrument in found:
            name = instrument.name.upper()
            wish = self._awaited.pop(name)
            since = {} if wish.since is None else {name: wish.since}
            served = self._subscribe([name], sorted(wish.kinds), since)
            reaction.replies += served.replies
            reaction.added += served.added
            reaction.since |= served.since
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

    def _await(self, names: list[str], kinds: list[str], since: Mapping[str, int]) -> None:
        for name in names:
            if len(self._awaited) < self._limits.symbols and len(name) <= LONGEST_NAME:
                wish = self._awaited.setdefault(full_name(name), _Wish())
                wish.kinds.update(kinds)
                wish.since = since.get(full_name(name), wish.since)

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


def _error(code: str, message: str, symbols: list[str] | None = None) -> bytes:
    return control.format_message(Error(code, message, (symbols or [])[:100]))


Heard: TypeAlias = Error | AutoSubscribe | AutoUnsubscribe | MarketWatchSubscribe
"""Server messages that are the application's business."""


class ClientSession:
    """The client's end: what was asked for, and what the ids mean."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.dictionary: dict[int, SymbolEntry] = {}
        self._kinds: dict[str, list[str]] = {}

    def subscribe(
        self, symbols: list[str], kinds: list[str], since: Mapping[str, int] | None = None
    ) -> bytes:
        """Note the wish, so that `on_open` repeats it, and return the message that states it.

        `since` holds the last known trades, by the spelling in `symbols`; it belongs to this message alone.
        """
        for symbol in symbols:
            self._kinds[symbol] = sorted({*self._kinds.get(symbol, ()), *kinds})
        return control.format_message(Subscribe(symbols, kinds, dict(since or {})))

    def unsubscribe(self, symbols: list[str]) -> bytes:
        """Forget the wish, by the spelling it was stated in, and return the message that says so."""
        for symbol in symbols:
            self._kinds.pop(symbol, None)
        return control.format_message(Unsubscribe(symbols))

    def on_open(self, last_ids: Mapping[str, int] | None = None) -> list[bytes]:
        """Start a new connection: forget what the last one introduced, ask for everything again.

        `last_ids` holds, by full name in capitals, the last trade that is known: trades go on after it.
        """
        self.dictionary.clear()
        known = last_ids or {}
        by_kinds: dict[tuple[str, ...], list[str]] = {}
        for symbol, kinds in self._kinds.items():
            by_kinds.setdefault(tuple(kinds), []).append(symbol)
        messages = []
        for wanted, symbols in by_kinds.items():
            size = RESUMES_A_MESSAGE if control.TRADE in wanted else SYMBOLS_A_MESSAGE
            for start in range(0, len(symbols), size):
                part = symbols[start : start + size]
                since = {one: known[full] for one in part if (full := full_name(one)) in known}
                message = Subscribe(part, list(wanted), since if control.TRADE in wanted else {})
                messages.append(control.format_message(message))
        return messages

    def on_text(self, text: bytes | str) -> tuple[list[bytes], Heard | Symbols | None]:
        """Return what to answer, and the message if the application should see it."""
        message = control.parse_server_message(text)
        match message:
            case Ping():
                return [control.format_message(Pong())], None
            case Pong():
                return [], None
            case Symbols(symbols=entries):
                self.dictionary.update((entry.id, entry) for entry in entries)
        return [], message

    def on_binary(self, data: bytes) -> Frame | list[PriceUpdate]:
        """Decode a frame; v1 gives rows, v2 a Frame. Raises a ProtocolError, never anything else."""
        if self.version == 1:
            records = decode_v1(data)
            self._check_introduced(records)
            return [PriceUpdate._make(row) for row in records.tolist()]
        frame = decode_v2(data)
        self._check_introduced(frame.records)
        return frame

    def _check_introduced(self, records: Records) -> None:
        for symbol_id in records["symbol_id"].tolist():
            if symbol_id not in self.dictionary:
                raise UnknownSymbolId(symbol_id)
