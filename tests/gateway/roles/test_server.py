import asyncio
import socket

import pytest
import uvloop

from gateway.roles.server import listen


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_what_is_written_to_a_client_leaves_at_once(new_loop):
    """With Nagle's delay on, an answer in two writes takes 40 ms."""

    async def accept() -> int:
        accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def on_client(_reader, writer):
            own = writer.get_extra_info("socket")
            accepted.set_result(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with listen("127.0.0.1", 0, reuse_port=False) as listener:
            async with await asyncio.start_server(on_client, sock=listener):
                _, writer = await asyncio.open_connection(*listener.getsockname())
                result = await asyncio.wait_for(accepted, 5)
                writer.close()
                await writer.wait_closed()
                return result

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(accept()) == 1
