"""Whether the database of users and watchlists answers: asked now and then, so that health need not wait."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.health import Part, State
from gateway.metadata.errors import MetadataDown

EVERY_S: Final = 5.0


class MetadataWatch:
    """The newest word on it."""

    def __init__(self, check: Callable[[], Awaitable[None]]) -> None:
        """`check` raises MetadataDown where the database cannot be used."""
        self.part = Part("metadata", State.UNKNOWN, "not asked yet")
        self._check = check

    async def run(self) -> None:
        """Ask again and again. Until cancelled."""
        while True:
            self.part = await self._ask()
            await asyncio.sleep(EVERY_S)

    async def _ask(self) -> Part:
        try:
            await self._check()
        except MetadataDown as error:
            return Part("metadata", State.DOWN, str(error))
        return Part("metadata", State.OK)
