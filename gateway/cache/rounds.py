"""What a writer has brought into the cache, and how often it could not.

A writer comes round again and again with what is newest, so a round that is skipped is not made up for.
"""

from typing import Any

import structlog

log = structlog.get_logger()


class Rounds:
    """One writer's count."""

    def __init__(self, what: str) -> None:
        """`what` is written, for the log."""
        self.written = 0
        """Values."""
        self.skipped = 0
        """Rounds that fell out, or ended before their end, because Redis was down, refused, or was slow."""
        self._what = what
        self._skipped_lately = 0

    def on_written(self, values: int) -> None:
        """Take note that Redis took values."""
        self.written += values
        if self._skipped_lately:
            log.info("cache.rounds_skipped", what=self._what, rounds=self._skipped_lately)
        self._skipped_lately = 0

    def on_skipped(self, rounds: int = 1) -> None:
        self.skipped += rounds
        self._skipped_lately += rounds

    def describe(self) -> dict[str, Any]:
        return {"written": self.written, "skipped_rounds": self.skipped}
