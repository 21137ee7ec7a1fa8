"""One REST request of an exchange, as data."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Call:
    path: str
    weight: int
    """What it costs of the venue's weight per minute."""
    params: dict[str, str] = field(default_factory=dict)
    """Unencoded; the client percent-encodes them."""
