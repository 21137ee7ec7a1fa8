"""Up to which version all candles of a stream are here.

The rules of this file:
- A CANDLE frame states it. But a frame may have been under way when more was asked for, from an older version
  on: it knows nothing of that. So a ping follows such a question, and only frames after its answer count.
- Until then a new connection goes on from the older version, which is always safe: what is here already
  comes again.
"""


class CandleVersion:
    """The version of one stream, over all of its connections."""

    def __init__(self, known_us: int | None = None) -> None:
        """`known_us` is from another time."""
        self._stated_us = known_us
        self._asked_us: int | None = None
        """The oldest version that was asked from, as long as no frame is known to have heeded that."""
        self._pongs_due = 0

    @property
    def resume_us(self) -> int | None:
        """What to ask a new connection for; None: only for what is newest."""
        versions = [one for one in (self._stated_us, self._asked_us) if one is not None]
        return min(versions, default=None)

    def on_asked(self, since_us: int) -> None:
        """React to a question from a version on, and the ping that follows it."""
        self._asked_us = since_us if self._asked_us is None else min(since_us, self._asked_us)
        self._pongs_due += 1

    def on_open(self) -> bool:
        """React to a new connection, on which all is asked for in one; say whether a ping must follow."""
        self._asked_us, self._pongs_due = self.resume_us, 0
        if self._asked_us is not None:
            self._pongs_due = 1
        return self._asked_us is not None

    def on_pong(self) -> None:
        self._pongs_due = max(self._pongs_due - 1, 0)

    def on_frame(self, version_us: int) -> None:
        """Take in what a CANDLE frame states; 0 is no version."""
        if version_us:
            self._stated_us = version_us
            if not self._pongs_due:
                self._asked_us = None
