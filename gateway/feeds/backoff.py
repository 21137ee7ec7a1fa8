"""How long to wait before the next attempt to connect: exponential, with full jitter, for ever.

Full jitter spreads the attempts of many clients over the whole interval, so that they do not
come back in step. Only valid data resets it: a server that accepts and cuts again is not up.
"""

from typing import Final

FIRST_MS: Final = 500
LONGEST_MS: Final = 30_000


class Backoff:
    def __init__(self, first_ms: int = FIRST_MS, longest_ms: int = LONGEST_MS) -> None:
        self.first_ms = first_ms
        self.longest_ms = longest_ms
        self.failures = 0

    def next_delay_ms(self, random: float) -> int:
        """Note one more failure and say how long to wait, given a random number of [0, 1)."""
        # The exponent is bounded because 2 to the power of a long outage is a very long number.
        ceiling_ms = min(self.longest_ms, self.first_ms << min(self.failures, 32))
        self.failures += 1
        return int(random * ceiling_ms)

    def reset(self) -> None:
        """Forget the failures: the other side has shown that it works."""
        self.failures = 0
