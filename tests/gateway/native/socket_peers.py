"""Connections to send to: our end, and the client's, which reads when a test says so."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, cast

from gateway.native.sender import Target, target_of

TIMEOUT_S: Final = 20.0


class End(asyncio.Protocol):
    """The gateway's end of a connection."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.target: Target
        self.is_full = False
        self.lost = asyncio.Event()
        self.inode_at_the_end = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.target = target_of(self.transport)

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False

    def connection_lost(self, _: Exception | None) -> None:
        self.inode_at_the_end = os.fstat(self.target.fd).st_ino
        self.lost.set()


class Peer:
    """The client's end: it reads when a test says so."""

    def __init__(self, end: End, sock: socket.socket) -> None:
        self.end = end
        self.sock = sock
        self.read = bytearray()

    def read_some(self, most: int = 1 << 20) -> int:
        """Read what is there now; return how much that was."""
        try:
            data = self.sock.recv(most)
        except BlockingIOError:
            return 0
        self.read += data
        return len(data)

    async def read_to(self, size: int) -> bytes:
        """Read until so many bytes have come since the beginning."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.read) < size:
                self.read += await loop.sock_recv(self.sock, 1 << 20)
        return bytes(self.read)

    def reset(self) -> None:
        """Drop the connection, so that the other end gets an error and not an end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


@asynccontextmanager
async def peers(count: int, *, buffer_bytes: int = 0) -> AsyncIterator[list[Peer]]:
    """Open connections over TCP; with a size, the kernel holds about that much of what is not read."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack, socket.socket() as listener:
        if buffer_bytes:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        listener.bind(("127.0.0.1", 0))
        listener.listen(count)
        made = []
        for _ in range(count):
            theirs = stack.enter_context(socket.socket())
            theirs.connect(listener.getsockname())
            theirs.setblocking(False)
            ours, _address = listener.accept()
            _, end = await loop.connect_accepted_socket(End, ours)
            made.append(Peer(end, theirs))
        try:
            yield made
        finally:
            for peer in made:
                peer.end.transport.abort()
                await peer.end.lost.wait()
