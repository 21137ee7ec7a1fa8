"""Senders of every way, on a loop of either kind."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

import pytest
import uvloop

from gateway.native.sender import Sender

LOOPS: Final = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=["uring", "loop", "python"])
def sender(request: pytest.FixtureRequest) -> Iterator[Sender]:
    """One of each way that there is here."""
    with Sender(request.param) as made:
        if made.way != request.param:
            if made.way == "python" and os.environ.get("CI") == "true":
                pytest.fail("the extension is not built: python -m gateway.native.build")
            pytest.skip(f"the best way here is {made.way}")
        yield made


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    """Run a test on a loop of either kind."""

    def run(test: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(test)

    return run
