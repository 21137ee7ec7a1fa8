"""What a service asked for on the bus, and cannot have."""


class ServicesError(Exception):
    """What was asked for cannot be had, now or at all; the message says why."""


class NoAnswer(ServicesError):
    """Nobody serves this request, or not in time."""

    def __init__(self, subject: str, reason: str) -> None:
        self.subject = subject
        self.reason = reason
        super().__init__(f"no answer to {subject}: {reason}")


class NotThere(ServicesError):
    """The answer is that there is no such thing, or not yet: a symbol without a price."""

    def __init__(self, subject: str, reason: str) -> None:
        self.subject = subject
        self.reason = reason
        super().__init__(f"{subject}: {reason}")


class BusClosed(ServicesError):
    """NATS will not have us back: wrong credentials, for one."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the bus is closed: {reason}")
