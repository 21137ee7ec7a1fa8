import asyncio

import pytest

from gateway.natsd import find_nats_server
from gateway.processes.ports import find_free_port
from gateway.roles.bus import BusFailed, bus_needed
from processors.bus import BusAddress, BusError, GaveUp, connect


def test_a_stop_before_the_bus_is_found_is_no_failure():
    with bus_needed():
        raise GaveUp("stopped")


async def test_what_the_bus_refuses_ends_the_role_with_its_words():
    async def refused() -> None:
        raise BusError("JetStream is needed and does not answer")

    with pytest.raises(BusFailed, match="JetStream is needed"), bus_needed():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(refused())


async def test_a_server_without_jetstream_is_named_as_such():
    port = find_free_port()
    server = await asyncio.create_subprocess_exec(find_nats_server(), "-a", "127.0.0.1", "-p", str(port))
    try:
        async with connect(BusAddress([f"nats://127.0.0.1:{port}"]), "test") as bus:
            with pytest.raises(BusError, match="JetStream"):
                await bus.open_stream("ANY", "any.>", 1)
    finally:
        server.terminate()
        await server.wait()
