from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import pytest_asyncio

from bench.demo import WITHOUT_A_PAST, Demo, run_demo

StartDemo = Callable[..., AbstractAsyncContextManager[Demo]]


@pytest.fixture
def start_demo(tmp_path: Path) -> StartDemo:
    """Start demos whose files go into the test's own folder."""
    return lambda *arguments: run_demo(tmp_path / "data", *arguments, settings=WITHOUT_A_PAST)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Demo]:
    """One demo for all the tests of a file."""
    arguments = ("--symbols", "10", "--rate", "20", "--workers", "2")
    async with run_demo(tmp_path_factory.mktemp("data"), *arguments, settings=WITHOUT_A_PAST) as running:
        yield running
