import asyncio

import pytest

from gateway.store.convoy import Convoy
from gateway.store.history import Span, StoreDown
from gateway.store.operations import Cover
from protocol.bars import Series


def operation(number):
    return Cover(Series("v", "S", 1), Span(number, number + 1))


class Commits:
    """Holds each commit until it is let go."""

    def __init__(self):
        self.seen = []
        self.begun = asyncio.Queue()
        self.go = asyncio.Semaphore(0)
        self.failure = None

    async def __call__(self, operations):
        self.seen.append([one.span.from_ms for one in operations])
        self.begun.put_nowait(None)
        await self.go.acquire()
        if self.failure:
            raise self.failure


@pytest.fixture
def commits():
    return Commits()


async def test_who_comes_first_goes_alone_and_the_others_together(commits):
    convoy = Convoy(commits)
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(convoy.send(operation(0)))
        await commits.begun.get()
        for number in range(1, 5):
            tasks.create_task(convoy.send(operation(number)))
        commits.go.release()
        commits.go.release()
    assert commits.seen == [[0], [1, 2, 3, 4]]


async def test_a_failure_is_everybodys_who_was_in_it(commits):
    convoy = Convoy(commits)
    first = asyncio.create_task(convoy.send(operation(0)))
    await commits.begun.get()
    others = [asyncio.create_task(convoy.send(operation(number))) for number in (1, 2)]
    commits.go.release()
    await first
    commits.failure = StoreDown("away")
    commits.go.release()
    results = await asyncio.gather(*others, return_exceptions=True)
    assert [str(one) for one in results] == ["away", "away"]


async def test_when_the_leader_gives_up_the_others_still_arrive(commits):
    convoy = Convoy(commits)
    first = asyncio.create_task(convoy.send(operation(0)))
    await commits.begun.get()
    leader = asyncio.create_task(convoy.send(operation(1)))
    follower = asyncio.create_task(convoy.send(operation(2)))
    commits.go.release()
    await first
    await commits.begun.get()  # 1 and 2 are on their way
    leader.cancel()
    await commits.begun.get()  # and now 2 alone
    commits.go.release()
    await asyncio.wait_for(follower, 5)
    assert commits.seen == [[0], [1, 2], [2]]
    assert leader.cancelled()
