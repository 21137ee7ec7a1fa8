"""Which streams go on which connection, and in which messages they are asked for. Pure.

The rules of this file:
- One kind of stream a connection, so that one category and one rhythm.
- A stream that is already on a connection stays there: nothing moves when others come and go.
- New streams go where there are fewest; a connection is added only when the others are full.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

MOST_NAMES: Final = 200
MOST_BYTES: Final = 4_096
"""Of one message that asks for streams; what a venue accepts is nowhere stated, this has always passed."""


class Slot(NamedTuple):
    """One connection's place in the plan."""

    kind: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind}-{self.number}"


Plan: TypeAlias = Mapping[Slot, frozenset[str]]


def plan_streams(current: Plan, natives: Collection[str], kinds: Iterable[str], most: int) -> Plan:
    """Place each symbol in each kind, at most so many on a connection, and move none."""
    plan: dict[Slot, frozenset[str]] = {}
    for kind in kinds:
        kept = {slot: held & set(natives) for slot, held in current.items() if slot.kind == kind}
        plan.update(_place(kind, kept, sorted(set(natives).difference(*kept.values())), most))
    return plan


def _place(kind: str, kept: Plan, new: list[str], most: int) -> dict[Slot, frozenset[str]]:
    groups = {slot: set(held) for slot, held in kept.items()}
    numbers = (number for number in range(len(groups) + len(new)) if Slot(kind, number) not in kept)
    total = len(new) + sum(map(len, groups.values()))
    while len(groups) * most < total:
        groups[Slot(kind, next(numbers))] = set()
    for native in new:
        min(groups.values(), key=len).add(native)
    return {slot: frozenset(held) for slot, held in groups.items() if held}


def batches(
    names: Iterable[str], most_names: int = MOST_NAMES, most_bytes: int = MOST_BYTES
) -> Iterator[list[str]]:
    """Cut a list of stream names into messages that are neither too many names nor too long."""
    batch: list[str] = []
    size = 0
    for name in names:
        length = len(name.encode()) + 3  # its quotes and the comma
        if batch and (len(batch) == most_names or size + length > most_bytes):
            yield batch
            batch, size = [], 0
        batch.append(name)
        size += length
    if batch:
        yield batch
