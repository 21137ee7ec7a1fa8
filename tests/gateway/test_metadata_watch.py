import asyncio

from gateway.health import Part, State
from gateway.metadata.errors import MetadataDown
from gateway.metadata_watch import MetadataWatch


async def word_of(check) -> Part:
    """Let a watch ask once."""
    asked = asyncio.Event()

    async def checked() -> None:
        asked.set()
        await check()

    watch = MetadataWatch(checked)
    assert watch.part.state is State.UNKNOWN
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watch.run())
        await asked.wait()
        await asyncio.sleep(0)
        running.cancel()
    return watch.part


async def test_a_database_that_answers_is_well():
    async def check() -> None: ...

    assert await word_of(check) == Part("metadata", State.OK)


async def test_one_that_does_not_is_down_and_says_why():
    async def check() -> None:
        raise MetadataDown("postgresql://db/tickgate", "connection refused")

    part = await word_of(check)
    assert part.state is State.DOWN
    assert "connection refused" in part.reason
