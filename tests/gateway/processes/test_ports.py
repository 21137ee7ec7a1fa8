"""Ports: real sockets."""

import socket

import pytest

from gateway.processes.ports import PortTaken, find_free_port, reachable_host, reserved_port

HOST = "127.0.0.1"


def listen(port: int) -> socket.socket:
    """Listen as our gateways do."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((HOST, port))
    listener.listen()
    return listener


def test_a_taken_port_is_named_with_what_to_do():
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            PortTaken, match=rf"{HOST} port {port}: something else listens there .* another port"
        ):
            find_free_port(HOST, port)


def test_a_free_port_stays_free():
    port = find_free_port(HOST, 0)
    assert find_free_port(HOST, port) == port


def test_a_reserved_port_is_open_to_all_who_share_it():
    with reserved_port(HOST, 0) as port, listen(port), listen(port), socket.create_connection((HOST, port)):
        pass


def test_a_reserved_port_is_closed_to_everybody_else():
    with reserved_port(HOST, 0) as port, pytest.raises(PortTaken):
        find_free_port(HOST, port)


def test_another_of_our_own_does_not_slip_in_beside_us():
    with reserved_port(HOST, 0) as port, listen(port), pytest.raises(PortTaken), reserved_port(HOST, port):
        pass


def test_a_connection_attempt_before_anybody_listens_is_refused_and_not_swallowed():
    with reserved_port(HOST, 0) as port, pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port))


def test_a_host_that_is_not_ours_is_said_to_be_so():
    with pytest.raises(PortTaken, match=r"192\.0\.2\.1 port 1234"):
        find_free_port("192.0.2.1", 1234)


@pytest.mark.parametrize(
    ("host", "reachable"),
    [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("fe80::1", "[fe80::1]"), ("localhost", "localhost")],
)
def test_a_server_on_all_addresses_is_reached_on_loopback(host, reachable):
    assert reachable_host(host) == reachable
