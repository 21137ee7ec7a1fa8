from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from bench.demo import Demo, run_demo

StartDemo = Callable[..., AbstractAsyncContextManager[Demo]]


@pytest.fixture
def start_demo(tmp_path: Path) -> StartDemo:
    """Start demos whose files go into the test's own folder."""
    return lambda *arguments: run_demo(tmp_path / "data", *arguments)
