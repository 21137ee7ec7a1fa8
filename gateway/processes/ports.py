"""TCP ports: which are taken, which are free, and keeping one for processes that share it."""

import contextlib
import errno
import socket
from collections.abc import Iterator

from gateway.processes.lifetime import Failure


class PortTaken(Failure):
    """Nobody can listen there; says why and what to do."""

    def __init__(self, host: str, port: int, error: OSError) -> None:
        self.host = host
        self.port = port
        if error.errno == errno.EADDRINUSE:
            reason = (
                "something else listens there already; stop it, or choose another port (0 takes a free one)"
            )
        else:
            reason = error.strerror or str(error)
        super().__init__(f"cannot listen on {host} port {port}: {reason}")


def find_free_port(host: str = "127.0.0.1", port: int = 0) -> int:
    """Return the port if it is free now, or any free one for 0. Raises PortTaken."""
    with _open_socket(host) as probe:
        # Else a port whose connections ended a moment ago would count as taken for a minute.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return _bind(probe, host, port)


@contextlib.contextmanager
def reserved_port(host: str, port: int) -> Iterator[int]:
    """Keep a port for child processes that share it by SO_REUSEPORT. Raises PortTaken.

    A bound socket that does not listen gets no connections, and stops anybody else from taking
    the port while none of the children holds it.
    """
    port = find_free_port(host, port)  # SO_REUSEPORT would let us in beside another of our own
    with _open_socket(host) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        yield _bind(holder, host, port)


def reachable_host(host: str) -> str:
    """Return an address that reaches a server which listens on `host`, as it stands in a URL."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host


def _open_socket(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)


def _bind(holder: socket.socket, host: str, port: int) -> int:
    try:
        holder.bind((host, port))
    except OSError as error:  # a host name that does not resolve is one, too
        raise PortTaken(host, port, error) from None
    bound: int = holder.getsockname()[1]
    return bound
