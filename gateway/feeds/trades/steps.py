"""What a trade lane wants done, as values: the steps it returns and the questions it has."""

from enum import Enum
from typing import NamedTuple, TypeAlias

from protocol.events import Gap
from protocol.ledger import LedgerEntry
from protocol.market import AggTrade


class Deliver(NamedTuple):
    """Hand a trade on."""

    trade: AggTrade
    received_us: int
    recovered: bool


class Glimpse(NamedTuple):
    """Show the price of a trade that is held back."""

    trade: AggTrade
    received_us: int


class Announce(NamedTuple):
    """Tell the readers of the trades, in their midst."""

    gap: Gap


class Write(NamedTuple):
    """Write into the ledger."""

    entry: LedgerEntry


class BeginAnew(NamedTuple):
    """Forget the ids: the venue numbers this symbol's trades from a new start."""


Step: TypeAlias = Deliver | Glimpse | Announce | Write | BeginAnew


class Purpose(Enum):
    GAP = "gap"
    """Ids are missing."""
    PROBE = "probe"
    """Something may have come after the last one."""
    RESET = "reset"
    """Ids may have begun anew."""


class Ask(NamedTuple):
    """A question to the venue: its trades from an id on."""

    purpose: Purpose
    first_id: int | None
    """None: the newest."""
    limit: int
