"""What is heard of the recorder, venue by venue: whether it is there, how far it has got, and whether any of
its batches was missed.

Pure: batches and the time are handed in.
"""

from typing import Final

from protocol import subjects
from protocol.batches import Batch, SequenceCheck

LIVE_S: Final = 2.0
"""The recorder is heard twice a second."""


class _Voice:
    """One venue, from one start of the recorder on."""

    def __init__(self, epoch_us: int) -> None:
        self.epoch_us = epoch_us
        self.check = SequenceCheck()
        self.version = 0
        self.heard_s = 0.0


class Voices:
    """All venues, by the subject that they are heard on."""

    def __init__(self) -> None:
        self._voices: dict[str, _Voice] = {}

    def hear(self, subject: str, batch: Batch, now_s: float) -> str | None:
        """Take note of a batch. Return why something before it may have been missed, if so."""
        voice = self._voices.get(subject)
        began_anew = voice is not None and voice.epoch_us != batch.epoch_us
        if voice is None or began_anew:
            voice = self._voices[subject] = _Voice(batch.epoch_us)
        missed = voice.check.missed(batch)
        voice.heard_s = now_s
        voice.version = max((voice.version, *(frame.time_us for frame in batch.frames)))
        if began_anew:
            return "recorder_began_anew"
        return "batches_missed" if missed else None

    def is_live(self, venue: str, now_s: float) -> bool:
        """Say whether the recorder is heard of this venue."""
        voice = self._voices.get(subjects.recorded(venue))
        return voice is not None and now_s - voice.heard_s < LIVE_S

    def version(self, venue: str) -> int:
        """Return the version up to which all changes have been heard; 0 if nothing has."""
        voice = self._voices.get(subjects.recorded(venue))
        return voice.version if voice else 0
