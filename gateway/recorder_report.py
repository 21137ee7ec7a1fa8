"""What the recorder says of itself on `request.recorder`, as far as health and metrics read it.

All of it has a value where nothing was said: a recorder of another version says less, or more.
"""

from typing import Final

import msgspec

from gateway.health import Part, State


class VenueFigures(msgspec.Struct, frozen=True):
    symbols: int = 0
    differences: int = 0
    """Bars that the venue's own did not agree with."""


class BarFigures(msgspec.Struct, frozen=True):
    written: int = 0
    waiting: int = 0
    dropped: int = 0
    refused_for: str = ""
    """Why the store does not write; empty while it does."""
    answers: int = 0
    fetched: int = 0
    """Bars that came over the venues' REST."""
    fetches_under_way: int = 0
    in_doubt: int = 0
    doubts_settled: int = 0
    beginnings_waiting: int = 0


class TradeFigures(msgspec.Struct, frozen=True):
    batches: int = 0
    bad_messages: int = 0
    missed_batches: int = 0
    filled: int = 0
    lost: int = 0
    ticks_dropped: int = 0


class AnnouncedFigures(msgspec.Struct, frozen=True):
    batches: int = 0
    candles_waiting: int = 0
    candles_dropped: int = 0


class StoreFigures(msgspec.Struct, frozen=True):
    waiting_bytes: int = 0
    dropped: int = 0
    down_since_ms: int | None = None
    reason: str = ""


class RecorderReport(msgspec.Struct, frozen=True):
    venues: dict[str, VenueFigures] = {}
    bars: BarFigures = BarFigures()
    trades: TradeFigures = TradeFigures()
    announced: AnnouncedFigures = AnnouncedFigures()
    store: StoreFigures = StoreFigures()

    @property
    def store_trouble(self) -> str:
        """Say why the store is away; empty while it is there."""
        if self.store.down_since_ms is not None:
            return self.store.reason or "it does not answer"
        return self.bars.refused_for


decode_report: Final = msgspec.json.Decoder(RecorderReport).decode


def recorder_parts(report: RecorderReport | None) -> list[Part]:
    """Say how the recorder and its store are; None: it does not answer."""
    if report is None:
        reason = "does not answer"
        return [Part("recorder", State.DOWN, reason), Part("store", State.UNKNOWN, f"the recorder {reason}")]
    trouble = report.store_trouble
    return [
        Part("recorder", State.OK),
        Part("store", State.DOWN, trouble) if trouble else Part("store", State.OK),
    ]
