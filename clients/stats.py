"""What a stream, or a service, has seen, counted."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

AGES_KEPT: Final = 2_048


@dataclass(slots=True)
class StreamStats:
    """What a stream has seen so far; it goes on counting."""

    frames: int = 0
    records: int = 0
    bytes: int = 0
    """Payload of the binary frames."""
    bad_frames: int = 0
    """Frames or messages that broke the protocol, a wrong CRC among them."""
    bad_checksums: int = 0
    reconnects: int = 0
    trades: int = 0
    doubled_trades: int = 0
    """Trades that were here already: a replay repeats some where a hole before them was open."""
    unexplained_gaps: int = 0
    """Jumps of a trade id of which the gateway had not spoken: none come from one that keeps its word."""
    ages_us: deque[int] = field(default_factory=lambda: deque(maxlen=AGES_KEPT))
    """From the exchange to here, of the last live records (v2). The values that a connection starts
    with are not in it: they are as old as the last change."""

    def age_us(self, quantile: float) -> int | None:
        """Return the age that this share of the last records was younger than; None without any."""
        return age_at(self.ages_us, quantile)


@dataclass(slots=True)
class ServicesStats:
    """What all the lanes of a service have seen so far; it goes on counting."""

    messages: int = 0
    bytes: int = 0
    bad_messages: int = 0
    reconnects: int = 0
    overrun: int = 0
    """Messages that were lost here, because the program was too slow for them."""
    recovered_trades: int = 0
    """Trades that the bus had lost, and the feed worker had."""
    missing_trades: int = 0
    """Trades that it did not have either; some may have come later."""


def age_at(ages_us: Iterable[int], quantile: float) -> int | None:
    ages = sorted(ages_us)
    return ages[min(int(len(ages) * quantile), len(ages) - 1)] if ages else None
