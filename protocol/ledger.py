"""The gap ledger: one entry for each discontinuity of a stream, and for each that might have been one.

An entry is JSON on `gaps.<venue>.<native>`, kept by JetStream. It is written when the gap is noticed
and again when its state changes, with the same `id`: the newest message of an id is what holds.
"""

import msgspec

from protocol.errors import BadMessage
from protocol.events import GapCause, GapState


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One discontinuity. `missing` 0 is evidence that nothing was lost there."""

    id: str
    """Unique, and the same for all states of one gap."""
    venue: str
    native: str
    """The venue's spelling of the symbol; `_connections` where it is about a connection."""
    symbol_id: int = 0
    stream: str
    """The kind of stream: `aggTrade`, `bookTicker` …"""
    cause: GapCause
    state: GapState
    missing: int
    """How many ids are still missing."""
    first_id: int = 0
    """First and last missing id when it was noticed; both 0 where the stream has none."""
    last_id: int = 0
    first_us: int = 0
    """The venue's times of the last message before and the first one after."""
    last_us: int = 0
    noticed_us: int
    closed_us: int = 0
    """When it was filled or given up; 0 while it is open."""
    detail: str = ""
    """For people: which connection, what it said."""


_decoder = msgspec.json.Decoder(LedgerEntry)


def format_entry(entry: LedgerEntry) -> bytes:
    """Write an entry as JSON."""
    return msgspec.json.encode(entry)


def parse_entry(text: bytes) -> LedgerEntry:
    """Read an entry. Raises BadMessage, never anything else."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadMessage(str(error)) from None
