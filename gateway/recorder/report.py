"""How the recorder is, and its Enigma levels, for whoever asks: `request.recorder`, `request.enigma`."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from gateway.recorder.recording import Recording
from processors.bus import SlowEndpoint, Unavailable
from protocol import subjects


class EnigmaQuestion(msgspec.Struct, frozen=True):
    venue: str
    native: str


_question: Final = msgspec.json.Decoder(EnigmaQuestion)


class Report:
    def __init__(self, recordings: Mapping[str, Recording], describe: Callable[[], dict[str, Any]]) -> None:
        """`describe` says how everything but the venues is."""
        self._recordings = recordings
        self._describe = describe

    def endpoints(self) -> list[SlowEndpoint]:
        return [
            SlowEndpoint("recorder", subjects.REQUEST_RECORDER, self._answer_state),
            SlowEndpoint("enigma", subjects.REQUEST_ENIGMA, self._answer_enigma),
        ]

    def describe(self) -> dict[str, Any]:
        venues = {venue: recording.describe() for venue, recording in self._recordings.items()}
        return {"venues": venues} | self._describe()

    async def _answer_state(self, _subject: str, _payload: bytes) -> bytes:
        return msgspec.json.encode(self.describe())

    async def _answer_enigma(self, _subject: str, payload: bytes) -> bytes:
        try:
            venue, native = msgspec.structs.astuple(_question.decode(payload))
        except (msgspec.DecodeError, UnicodeError) as error:
            raise KeyError(f"not a question for a level: {error}") from None
        recording = self._recordings.get(venue)
        if recording is None or not recording.has_symbol(native):
            raise KeyError(f"{venue} {native} is not recorded")
        if recording.enigma is None:
            raise KeyError("Enigma is switched off")
        level = recording.enigma.describe(native)
        if level is None:
            raise Unavailable("the extremes of this symbol are not known yet")
        return msgspec.json.encode(level)
