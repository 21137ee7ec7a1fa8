"""The recorder's clock: every change gets a version of its own, in µs, and no version comes twice."""


class VersionClock:
    """Shows the time, unless that would not be later than what it has shown before."""

    def __init__(self, last_us: int) -> None:
        """`last_us` is the highest version that an earlier recorder has left."""
        self.last_us = last_us

    def next(self, now_us: int) -> int:
        self.last_us = max(self.last_us + 1, now_us)
        return self.last_us
