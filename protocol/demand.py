"""Who wants which symbols: JSON on `control.symbols`, from whoever has clients to the feed workers.

    {"type": "demand", "node": "gateway-1f3a", "wants": {"binance": ["BTCUSDT", "ETHUSDT"]}}
    {"type": "question"}

A demand is all that a node wants, and replaces what it said before. It is said again every 5 seconds: a node
that is not heard for 15 wants nothing. A question asks everybody to say it now.
"""

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

from protocol.errors import BadMessage

EVERY_S: Final = 5.0
FORGOTTEN_AFTER_S: Final = 15.0
_Text = Annotated[str, Meta(min_length=1, max_length=128)]


class Demand(msgspec.Struct, frozen=True, tag_field="type", tag="demand"):
    """All that the clients of one node want."""

    node: _Text
    """A name of its own: whoever says it again with the same one replaces it."""
    wants: dict[_Text, list[_Text]] = {}
    """By venue: symbols in the venue's spelling. What the venue does not list is ignored."""


class Question(msgspec.Struct, frozen=True, tag_field="type", tag="question"):
    """Who wants what? Asked by a worker that has just started."""


DemandMessage: TypeAlias = Demand | Question

_decoder: Final[msgspec.json.Decoder[DemandMessage]] = msgspec.json.Decoder(DemandMessage)


def format_demand(message: DemandMessage) -> bytes:
    """Write a message as JSON."""
    return msgspec.json.encode(message)


def parse_demand(text: bytes) -> DemandMessage:
    """Read a message. Raises BadMessage, never anything else."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadMessage(str(error)) from None
