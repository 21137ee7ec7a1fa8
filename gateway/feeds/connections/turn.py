"""What a connection received in one turn of the loop: parsed, and by symbol. Pure.

Most of what is done with a message is done as well once for all of a symbol that came together: its
rhythm, its next id, its newest price. In what order the symbols of a turn come means nothing, because
one symbol's messages of one kind come on one connection; each symbol's own keep theirs.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from gateway.exchanges.errors import BadPayload
from protocol.market import Ack, MarketEvent, Shutdown, VenueMessage

Turn: TypeAlias = dict[str, list[MarketEvent]]
"""By the venue's spelling of a symbol what was said of it, in the order of arrival; never an empty list."""
OnTurn: TypeAlias = Callable[[Turn, int], None]
"""Takes a turn, and when it was received, in µs since 1970."""

_NOTICES: Final = (Ack, Shutdown)


def read_turn(
    messages: Sequence[bytes],
    parse: Callable[[bytes], VenueMessage | None],
    on_notice: Callable[[Ack | Shutdown], None],
    on_bad: Callable[[bytes, BadPayload], None],
) -> Turn:
    """Parse what came together; what is not about a symbol is told at once."""
    turn: Turn = {}
    for data in messages:
        try:
            message = parse(data)
        except BadPayload as error:
            on_bad(data, error)
            continue
        if message is None:
            continue
        if isinstance(message, _NOTICES):
            on_notice(message)
            continue
        events = turn.get(message.native)
        if events is None:
            turn[message.native] = [message]
        else:
            events.append(message)
    return turn
