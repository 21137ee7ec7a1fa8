"""Why a contest ends without a result."""


class Ended(Exception):
    """A process that is needed has ended; what it said about that is on stderr."""

    def __init__(self, name: str, returncode: int | None) -> None:
        super().__init__(f"{name} has ended with {returncode}")


class MessagesLost(Exception):
    """A contender has not taken in what was sent to it, each message once and in its order."""

    def __init__(self, name: str, taken: int, sent: int, reason: str = "") -> None:
        self.taken = taken
        self.sent = sent
        super().__init__(f"{name} has taken in {taken:,} of {sent:,} messages{reason and ': '}{reason}")
