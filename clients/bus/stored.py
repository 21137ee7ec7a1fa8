"""What a stream keeps of some subjects, from a place on and without a hole, over every break.

The rules of this file:
- It goes on behind the last message that was read, whatever happens to the connection, to the server or to
  the reader. Without a place it begins behind what is stored when it is opened.
- What the stream has let go before it could be read is said: `Forgotten`, before what follows it.
- A stream that is not there yet is waited for.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from typing import Final

from clients.bus.connection import Bus
from clients.bus.reader import Ends, Place, ReaderGone, Stored, find_stream, open_reader, stored_ms
from clients.updates import Forgotten

RETRY_S: Final = 0.25

log = logging.getLogger(__name__)


async def stored(bus: Bus, subjects: Sequence[str], place: Place) -> AsyncGenerator[Stored | Forgotten, None]:
    """Yield all that these subjects of one stream have, and get. Raises BusClosed."""
    said = ""
    while not bus.is_closed:
        try:
            stream, ends = await find_stream(bus, subjects[0])
            if place == Place(None):
                place = Place(ends.last)
            forgotten = await _forgotten(bus, stream, ends, place)
            if forgotten is not None:
                place = Place(max(ends.first - 1, 0))
                yield forgotten
            async with open_reader(bus, stream, subjects, place) as reader:
                said = ""
                while True:
                    for one in await reader.take():
                        place = Place(one.sequence)
                        yield one
        except ReaderGone as error:
            if str(error) != said:  # tried four times a second, it would say the same each time
                said = str(error)
                log.info("%s: %s; trying again", subjects[0], error)
            await asyncio.sleep(RETRY_S)  # nothing says when a stream comes into being
    if bus.failure is not None:
        raise bus.failure


async def _forgotten(bus: Bus, stream: str, ends: Ends, place: Place) -> Forgotten | None:
    """Say what a stream does not have any more of what would be read."""
    if place.after is not None:
        if place.after > ends.last:
            return Forgotten(0, 0)
        return Forgotten(place.after + 1, ends.first - 1) if place.after + 1 < ends.first else None
    if place.since_ms is None or ends.first <= 1 or ends.first > ends.last:
        return None
    first_ms = await stored_ms(bus, stream, ends.first)
    return Forgotten(1, ends.first - 1) if first_ms is not None and first_ms > place.since_ms else None
