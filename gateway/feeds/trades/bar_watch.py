"""Says which final bars of the venue did not come. Nobody asks for them here; the ledger tells. Pure."""

from gateway.feeds.gaps import BarGaps
from protocol.events import GapCause, GapState
from protocol.ledger import LedgerEntry
from protocol.market import Bar


class BarWatch:
    """One venue. Bounded by the streams that are carried."""

    def __init__(self, venue: str) -> None:
        self._venue = venue
        self._gaps: dict[tuple[str, int], BarGaps] = {}

    def forget(self, native: str) -> None:
        """Let a symbol go: its next bar is a beginning."""
        for key in [key for key in self._gaps if key[0] == native]:
            del self._gaps[key]

    def on_final(self, bar: Bar, symbol_id: int, now_us: int) -> LedgerEntry | None:
        """Take in a final bar; return the entry for those that are missing before it."""
        gaps = self._gaps.setdefault((bar.native, bar.interval), BarGaps(bar.interval * 60_000))
        missing = gaps.see(bar.open_ms)
        if missing is None:
            return None
        first_ms, last_ms = missing
        return LedgerEntry(
            id=f"{self._venue}-{bar.native}-kline-{bar.interval}-{first_ms}",
            venue=self._venue,
            native=bar.native,
            symbol_id=symbol_id,
            stream=f"kline_{bar.interval}m",
            cause=GapCause.SKIPPED,
            state=GapState.LOST,
            missing=(last_ms - first_ms) // gaps.interval_ms + 1,
            first_us=first_ms * 1_000,
            last_us=last_ms * 1_000,
            noticed_us=now_us,
            closed_us=now_us,
            detail="the times are when the first and the last missing bar opened",
        )
