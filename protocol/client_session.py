"""The client's end of its conversation with a gateway, as a state machine.

The rules of this file:
- After a reconnect the client asks for everything again; ids are the same, and introduced anew.
- Trades go on after the last id of each symbol, candles after one version for all of them: the one that the
  last CANDLE frame stated.
- A frame that uses an id which no dictionary message has introduced is refused.
- Compact prices count from what this connection has brought, and nothing from before it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from protocol import control
from protocol.compact import Bases
from protocol.control import (
    AuthConfirmed,
    Error,
    Ping,
    Pong,
    Subscribe,
    SymbolEntry,
    Symbols,
    Unsubscribe,
    WatchNews,
)
from protocol.errors import UnknownSymbolId
from protocol.events import Kind, PriceUpdate
from protocol.frames import Frame, Records, decode_v1, decode_v2
from protocol.symbols import full_name

SYMBOLS_A_MESSAGE: Final = 1_000
"""How many symbols a client asks for at once: with long names too, that stays below 64 KiB."""
RESUMES_A_MESSAGE: Final = 300
"""The same with `since`, where each is named twice and has a number of up to 19 digits."""

Heard: TypeAlias = Error | AuthConfirmed | WatchNews
"""Server messages that are the application's business."""


@dataclass(slots=True)
class _Wish:
    """What is wanted of a symbol."""

    kinds: set[str] = field(default_factory=set)
    intervals: set[str] = field(default_factory=set)


class ClientSession:
    """The client's end: what was asked for, and what the ids mean."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.dictionary: dict[int, SymbolEntry] = {}
        self._wishes: dict[str, _Wish] = {}
        self._bases = Bases()

    def subscribe(
        self,
        symbols: list[str],
        kinds: Iterable[str],
        since: Mapping[str, int] | None = None,
        intervals: Iterable[str] = (),
        since_us: int | None = None,
    ) -> bytes:
        """Note the wish, so that `on_open` repeats it, and return the message that states it.

        `since` holds the last known trades, by the spelling in `symbols`, `since_us` the version up to which
        candles are known; they belong to this message alone.
        """
        for symbol in symbols:
            wish = self._wishes.setdefault(symbol, _Wish())
            wish.kinds.update(kinds)
            wish.intervals.update(intervals)
        wanted = Subscribe(symbols, list(kinds), dict(since or {}), list(intervals), since_us)
        return control.format_message(wanted)

    def unsubscribe(self, symbols: list[str]) -> bytes:
        """Forget the wish, by the spelling it was stated in, and return the message that says so."""
        for symbol in symbols:
            self._wishes.pop(symbol, None)
        return control.format_message(Unsubscribe(symbols))

    def on_open(self, last_ids: Mapping[str, int] | None = None, since_us: int | None = None) -> list[bytes]:
        """Start a new connection: forget what the last one introduced, ask for everything again.

        `last_ids` holds, by full name in capitals, the last trade that is known: trades go on after it.
        Candles go on after `since_us`.
        """
        self.dictionary.clear()
        self._bases = Bases()
        alike: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
        for symbol, wish in self._wishes.items():
            key = tuple(sorted(wish.kinds)), tuple(sorted(wish.intervals))
            alike.setdefault(key, []).append(symbol)
        messages = []
        for (kinds, intervals), symbols in alike.items():
            known = last_ids or {} if control.TRADE in kinds else {}
            size = RESUMES_A_MESSAGE if control.TRADE in kinds else SYMBOLS_A_MESSAGE
            version = since_us if control.CANDLE in kinds else None
            for start in range(0, len(symbols), size):
                part = symbols[start : start + size]
                since = {one: known[full] for one in part if (full := full_name(one)) in known}
                message = Subscribe(part, list(kinds), since, list(intervals), version)
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
        """Decode a frame; v1 and compact prices give rows, the others of v2 a Frame.

        Raises a ProtocolError, never anything else.
        """
        if self.version == 1:
            records = decode_v1(data)
            self._check_introduced(records)
            return _updates(records)
        frame = decode_v2(data)
        self._check_introduced(frame.records)
        if frame.kind is Kind.BASE:
            self._bases.update(frame.records)
            return []
        return _updates(self._bases.prices(frame.records)) if frame.kind is Kind.COMPACT else frame

    def _check_introduced(self, records: Records) -> None:
        for symbol_id in records["symbol_id"].tolist():
            if symbol_id not in self.dictionary:
                raise UnknownSymbolId(symbol_id)


def _updates(records: Records) -> list[PriceUpdate]:
    return [PriceUpdate._make(row) for row in records.tolist()]
