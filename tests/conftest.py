"""What tests all over the tree share: a real nats-server, and logs that are put back."""

import asyncio
import logging
import os
import queue
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

from gateway.natsd import nats_server
from gateway.processes.ports import find_free_port

# Whatever the environment says: to compile all modules anew is most of what the start of a process costs.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A busy machine is slow, and no test is about that.
hypothesis.settings.register_profile("tickgate", deadline=None)
hypothesis.settings.load_profile("tickgate")


@pytest.fixture(scope="session")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real nats-server with JetStream on a free port; one for all the tests of a process."""
    started: queue.Queue[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()

    async def serve(folder: Path) -> None:
        stop = asyncio.Event()
        async with nats_server(folder, find_free_port(), {}) as server:
            started.put((server.url, asyncio.get_running_loop(), stop))
            await stop.wait()

    # A thread of its own, because every test has an event loop of its own.
    thread = threading.Thread(target=asyncio.run, args=(serve(tmp_path_factory.mktemp("nats")),))
    thread.start()
    url, loop, stop = started.get(timeout=30)
    yield url
    loop.call_soon_threadsafe(stop.set)
    thread.join()


@pytest.fixture
def logs_put_back() -> Iterator[None]:
    """For tests that start the logs of a process in this one: afterwards they are as before."""
    root, hook = logging.getLogger(), sys.excepthook
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, sys.excepthook = handlers, hook
    root.setLevel(level)
    structlog.reset_defaults()
