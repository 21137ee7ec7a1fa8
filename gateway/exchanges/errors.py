"""What can be wrong with what an exchange sent."""


class BadPayload(Exception):
    """A message or answer of an exchange that is not what its documents describe."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)
