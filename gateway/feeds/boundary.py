"""Where one connection's stream of messages ends, whether something was missing there or not.

The pool says so for every connection that ends, is replaced or falls silent; the hub looks for
what may be missing, and writes it into the ledger.
"""

from dataclasses import dataclass

from protocol.events import GapCause, GapState
from protocol.ledger import LedgerEntry
from protocol.subjects import CONNECTIONS


@dataclass(frozen=True, slots=True)
class Boundary:
    """One end of one connection."""

    kind: str
    """The kind of stream it carried: `aggTrade`, `bookTicker` …"""
    connection: str
    """Its place in the plan, as logs name it: `aggTrade-0`."""
    cause: GapCause
    """CONNECTION_LOST, ROTATED or MUTE; WORKER_RESTARTED if the whole process ended."""
    natives: frozenset[str]
    """The symbols it carried, in the venue's spelling."""
    last_message_us: int
    """When its last message was received; 0 if it never brought one."""
    at_us: int
    """When the end was noticed, in µs since 1970."""
    detail: str
    """For people: why it ended."""

    def entry(self, venue: str) -> LedgerEntry:
        """Say it for the ledger: evidence, whether anything turns out to be missing or not."""
        return LedgerEntry(
            id=f"{venue}-{self.connection}-{self.at_us}",
            venue=venue,
            native=CONNECTIONS,
            stream=self.kind,
            cause=self.cause,
            state=GapState.FILLED,
            missing=0,
            first_us=self.last_message_us,
            last_us=self.at_us,
            noticed_us=self.at_us,
            closed_us=self.at_us,
            detail=f"{self.connection}: {self.detail}",
        )
