"""The final bars of one symbol and interval, as far back as a correction may still need them."""

from collections.abc import Iterable

from processors.bars.bar_row import BarRow, corrected
from processors.bars.spans import Spans
from protocol.events import CandleFlag


class FinalBars:
    """Bounded by `forget`."""

    def __init__(self) -> None:
        self.rows: dict[int, BarRow] = {}
        """By opening."""
        self.known = Spans()
        """Where a bar that is not in `rows` does not exist. Outside nobody has looked."""
        self.frontier_ms = 0
        """Bars that open before are final, or not known; 0 before anything is known."""
        self._changed: dict[int, bool] = {}

    def put(self, row: BarRow, to_ms: int, *, is_new: bool = True) -> None:
        """Take in a final bar that ends at `to_ms`: a new one, or a better one where there is one already.

        `is_new`: it had not been final anywhere before, so this is no correction.
        """
        known = self.rows.get(row.open_ms)
        if known is not None:
            row = corrected(known, row)
            if row is known:
                return
        self.rows[row.open_ms] = row
        self.known.add(row.open_ms, to_ms)
        self._changed.setdefault(row.open_ms, known is None and is_new)

    def seed(self, rows: Iterable[BarRow], from_ms: int, to_ms: int) -> None:
        """Learn in silence all final bars that open in a span; what is known of it already stays."""
        for row in rows:
            if row.flags & CandleFlag.FINAL and not self.known.covers(row.open_ms, row.open_ms + 1):
                self.rows[row.open_ms] = row._replace(version=0)
        self.known.add(from_ms, to_ms)

    def take_changed(self) -> dict[int, bool]:
        """Return which bars changed since the last call, and whether each is newly final."""
        if not self._changed:
            return {}
        changed, self._changed = self._changed, {}
        return changed

    def forget(self, before_ms: int) -> None:
        """Drop what opened before."""
        for open_ms in [one for one in self.rows if one < before_ms]:
            del self.rows[open_ms]
        self.known.drop_before(before_ms)
