"""What tests all over the tree share: a real nats-server, and one timeout for waiting."""

import asyncio
import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.natsd import nats_server
from gateway.ports import find_free_port


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
