"""What clients are sent of changed candles: CANDLE frames, or the JSON of `/ws`.

A CANDLE frame states a version: a client that has read it has every change up to there. Of frames that
belong together only the last says so; those before it say what was true before.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from gateway.ws.audience import Form
from gateway.ws.candles.series import Change
from gateway.ws.connection import frame_binary, frame_text
from protocol.candle_stream import format_candle, format_resync_done, plain_name
from protocol.events import Candle, Kind, SeriesKey
from protocol.frames import LAYOUTS, seal_v2

RECORDS_A_FRAME: Final = 500
"""So that a client which drains bit by bit gets on with every 36 kB that its socket takes."""


class CandleEncoder:
    """The frames of one flush, shared by those who watch the same in the same form."""

    def __init__(self, changes: Mapping[SeriesKey, Sequence[Change]]) -> None:
        self._changes = changes
        self._frames: dict[tuple[object, ...], bytes] = {}

    def frames(self, form: int, keys: Sequence[SeriesKey], before_us: int, whole_us: int) -> bytes:
        """Return WebSocket frames with what changed of some series; b"" if that is nothing in this form."""
        key = (form, whole_us, *keys)
        frames = self._frames.get(key)
        if frames is None:
            changes = [change for one in keys for change in self._changes[one]]
            frames = self._frames[key] = encode_changes(form, changes, before_us, whole_us)
        return frames


def encode_changes(form: int, changes: Sequence[Change], before_us: int, whole_us: int) -> bytes:
    """Encode changes for a client that has everything up to a version, and then up to another."""
    if form == Form.V2:
        return _binary(changes, before_us, whole_us)
    return _json([change for change in changes if change.is_final or form == Form.JSON_PARTIALS])


def _binary(changes: Sequence[Change], before_us: int, whole_us: int) -> bytes:
    frames = []
    for start in range(0, len(changes) or 1, RECORDS_A_FRAME):
        part = changes[start : start + RECORDS_A_FRAME]
        is_last = start + RECORDS_A_FRAME >= len(changes)
        packed = b"".join([change.packed for change in part])
        frames.append(
            frame_binary(seal_v2(Kind.CANDLE, packed, len(part), whole_us if is_last else before_us))
        )
    return b"".join(frames)


def _json(changes: Iterable[Change]) -> bytes:
    """Encode a message a candle, and say which intervals have been repaired."""
    messages = []
    repaired: dict[int, dict[str, None]] = {}
    for change in changes:
        candle = Candle._make(LAYOUTS[Kind.CANDLE].struct.unpack(change.packed))
        symbol = plain_name(change.series.instrument)
        messages.append(frame_text(format_candle(symbol, candle)))
        if change.is_repair:
            repaired.setdefault(candle.interval, {})[symbol] = None
    messages += [
        frame_text(format_resync_done(interval, list(names))) for interval, names in repaired.items()
    ]
    return b"".join(messages)
