"""How frames get to sockets: by an io_uring, by send() in C, or by each socket's transport.

The rules of this file:
- What is queued is sent by `flush`, before the loop turns again; until then no socket may be closed.
- Who has anything unsent is written to by its transport, behind that, and so is what a socket did not take:
  asyncio then does what it always does, buffers, pauses, and finds out who is gone.
- Whoever writes to a target's transport, or opens a socket, says so by `wrote`. Of everybody else it is known
  that nothing is unsent, and nothing of theirs is looked at.
- One frame a socket and flush: what is queued twice for the same socket may come in any order.
"""

import asyncio
from array import array
from collections.abc import Collection
from types import TracebackType
from typing import Final, Literal, NamedTuple, Protocol, Self, TypeAlias, cast

import structlog

Way: TypeAlias = Literal["uring", "loop", "python"]
Wanted: TypeAlias = Literal["auto", "uring", "loop", "python"]

BY_TRANSPORT: Final = -1

log = structlog.get_logger()


class Target(NamedTuple):
    """Whom to send to."""

    fd: int
    """Its socket's number; `BY_TRANSPORT` where only the transport may write."""
    transport: asyncio.WriteTransport


class Targets(NamedTuple):
    """Some of them, so that what is looked at for each lies close together."""

    fds: bytes
    """C integers."""
    transports: tuple[asyncio.WriteTransport, ...]

    @classmethod
    def of(cls, targets: Collection[Target]) -> Self:
        fds = array("i", [target.fd for target in targets])
        return cls(fds.tobytes(), tuple(target.transport for target in targets))


Unsent: TypeAlias = list[tuple[asyncio.WriteTransport, bytes, int]]
"""What was not taken whole, of which frame, and how many bytes of that were."""


class Native(Protocol):
    """The extension's, `send.c`."""

    def queue(self, frame: bytes, targets: Targets, /) -> None: ...
    def wrote(self, fd: int, /) -> None: ...
    def submit(self) -> Unsent: ...
    def close(self) -> None: ...


class ByTransports:
    """The same without the extension."""

    def __init__(self) -> None:
        self._queued: Unsent = []

    def queue(self, frame: bytes, targets: Targets, /) -> None:
        self._queued += [(transport, frame, 0) for transport in targets.transports]

    def wrote(self, fd: int, /) -> None:
        """Transports keep the order of what is written to them."""

    def submit(self) -> Unsent:
        queued, self._queued = self._queued, []
        return queued

    def close(self) -> None:
        self._queued.clear()


class Sender:
    """Sends frames to many sockets at once. What is queued is bounded by whoever flushes in the same turn."""

    def __init__(self, wanted: Wanted = "auto") -> None:
        """Take the best way there is, at most the wanted one."""
        self.way, self._native = _open(wanted)
        self.queue: Final = self._native.queue
        """Have a frame sent to each of some targets."""
        self.wrote: Final = self._native.wrote
        """Take note that a transport was written to, by the number of its socket."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._native.close()

    def flush(self) -> None:
        """Send all that is queued, and leave what is not taken to the transports."""
        for transport, frame, taken in self._native.submit():
            transport.write(frame[taken:] if taken else frame)


def target_of(transport: asyncio.Transport) -> Target:
    """Say how to send to a connection. Under TLS, frames are not what its socket carries."""
    sock = transport.get_extra_info("socket")
    if sock is None or transport.get_extra_info("sslcontext") is not None:
        return Target(BY_TRANSPORT, transport)
    return Target(sock.fileno(), transport)


def _open(wanted: Wanted) -> tuple[Way, Native]:
    if wanted == "python":
        return "python", ByTransports()
    try:
        from gateway.native._send import Sender as NativeSender
    except ImportError as error:
        log.info("send.no_extension", reason=str(error))
        return "python", ByTransports()
    if wanted == "loop":
        return "loop", cast(Native, NativeSender())
    try:
        return "uring", cast(Native, NativeSender(uring=True))
    except OSError as error:  # an old kernel, or a sandbox that refuses it
        log.info("send.no_uring", reason=str(error))
        return "loop", cast(Native, NativeSender())
