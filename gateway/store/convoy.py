"""Operations that come while others are under way travel together in the next: one commit for all."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.store.history import StoreDown
from gateway.store.operations import Operation


@dataclass(slots=True)
class _Passenger:
    operation: Operation
    has_arrived: bool = False
    failure: StoreDown | None = None


class Convoy:
    """Hands all that waits to `commit`, in the order in which it came, one commit at a time.

    What waits is bounded by the callers, each of whom waits for its own.
    """

    def __init__(self, commit: Callable[[list[Operation]], Awaitable[None]]) -> None:
        self._commit = commit
        self._turn = asyncio.Lock()
        self._waiting: list[_Passenger] = []

    async def send(self, operation: Operation) -> None:
        """Return when the operation is committed. Raises StoreDown when its commit did."""
        passenger = _Passenger(operation)
        self._waiting.append(passenger)
        async with self._turn:
            if not passenger.has_arrived:  # nobody took it along: it is its turn to lead
                await self._lead(passenger)
        if passenger.failure is not None:
            raise passenger.failure

    async def _lead(self, leader: _Passenger) -> None:
        together, self._waiting = self._waiting, []
        failure = None
        try:
            await self._commit([one.operation for one in together])
        except StoreDown as error:
            failure = error
        except BaseException:  # cancelled, say: its own affair; the next one leads the others
            self._waiting[:0] = [one for one in together if one is not leader]
            raise
        for one in together:
            one.has_arrived, one.failure = True, failure
