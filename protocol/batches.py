"""What travels on `wire.<venue>.<shard>`: v2 frames behind a header that shows loss on the bus.

    offset  size  field
    0       8     epoch_us: when this feed worker started; another one means a restart, not a loss
    8       8     sequence: 1, 2, 3 … within the epoch
    16      8     received_us: when the oldest change of this batch came off the exchange's socket
    24      …     v2 frames, one behind the other

A reader that sees a sequence jump has missed batches and asks `request.snapshot.<venue>.<shard>`.
"""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from protocol.errors import BadLength
from protocol.frames import Frame, decode_joined

HEADER: Final = struct.Struct("<QQQ")


class Batch(NamedTuple):
    epoch_us: int
    sequence: int
    received_us: int
    frames: list[Frame]


def encode_batch(epoch_us: int, sequence: int, received_us: int, frames: Sequence[bytes]) -> bytes:
    """Put the batch header before encoded v2 frames."""
    return HEADER.pack(epoch_us, sequence, received_us) + b"".join(frames)


def decode_batch(payload: bytes) -> Batch:
    """Decode one bus message. Raises a ProtocolError, never anything else."""
    if len(payload) < HEADER.size:
        raise BadLength(HEADER.size, len(payload))
    epoch_us, sequence, received_us = HEADER.unpack_from(payload)
    return Batch(epoch_us, sequence, received_us, list(decode_joined(payload, HEADER.size)))


class SequenceCheck:
    """Watches one sender's batch sequence."""

    def __init__(self) -> None:
        self._epoch_us = 0
        self._sequence = 0

    def missed(self, batch: Batch) -> int:
        """Say how many batches were lost just before this one. The first batch ever heard misses none;
        the first of a new epoch misses what it says came before it."""
        if batch.epoch_us != self._epoch_us:
            first_ever = self._epoch_us == 0
            self._epoch_us = batch.epoch_us
            missed = 0 if first_ever else batch.sequence - 1
        else:
            missed = batch.sequence - self._sequence - 1
        self._sequence = batch.sequence
        return max(missed, 0)
