"""What one client still has to get when its socket is full.

Full: nothing more is written; for every symbol that changes meanwhile the outbox notes that it
changed and how often it had before. When the socket drains, one frame brings the newest value of
each, saying how many changes it stands for. Its size is bounded by the client's watchlist. A
client that stays full for longer than `max_lag_s` is closed with 4508 and counted.

Trades are not left out: of each symbol the outbox holds the mark from which they go on. Candles have one mark
for all of a client's (`candles/delivery.py`).
"""

from typing import Final

from gateway.ws.lane import Mark
from protocol.events import Kind

KINDS: Final = (Kind.PRICE, Kind.QUOTE, Kind.ENIGMA, Kind.COMPACT)
"""Of these the newest value counts."""


class Outbox:
    """The symbols that changed behind a full socket."""

    __slots__ = ("_missed", "full_since_s", "marks")

    def __init__(self) -> None:
        self.full_since_s = 0.0
        """When the socket stopped taking more, by the monotonic clock; 0 while it flows."""
        self.marks: dict[int, Mark] = {}
        """Up to where the trades of a symbol were written, where that is not up to the last one."""
        self._missed: dict[Kind, dict[int, int]] = {}

    @property
    def is_full(self) -> bool:
        return self.full_since_s > 0.0

    def note(self, kind: Kind, symbol_id: int, changes_before: int) -> None:
        """Note a change that was not written; the first note of a symbol fixes its baseline."""
        self._missed.setdefault(kind, {}).setdefault(symbol_id, changes_before)

    def note_trades(self, symbol_id: int, mark: Mark) -> None:
        """Note that trades after a mark were not written; the first note of a symbol holds."""
        self.marks.setdefault(symbol_id, mark)

    def take(self, kind: Kind) -> dict[int, int]:
        """Return what was missed, with each symbol's baseline, and forget it."""
        return self._missed.pop(kind, {})

    def forget(self, watched: frozenset[int], kind: Kind) -> None:
        """Drop what the client no longer watches."""
        missed = self._missed.get(kind)
        if missed is not None:
            self._missed[kind] = {one: base for one, base in missed.items() if one in watched}

    def is_late(self, now_s: float, max_lag_s: float) -> bool:
        return self.is_full and now_s - self.full_since_s > max_lag_s
