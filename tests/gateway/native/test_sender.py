"""Every way of sending brings every client the same bytes."""

import asyncio
import contextlib
import os
import resource
import socket
import ssl
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from socket_peers import peers

from gateway.native.sender import BY_TRANSPORT, Sender, Target, Targets, target_of

SMALL = 4_096


def numbered(size: int, number: int) -> bytes:
    """Bytes in which a place tells where they come from."""
    unit = number.to_bytes(4, "big")
    return (unit * (size // 4 + 1))[:size]


def test_every_target_gets_the_whole_frame(sender, run):
    async def test() -> None:
        async with peers(20) as all_of_them:
            targets = [peer.end.target for peer in all_of_them]
            sender.queue(b"first", Targets.of(targets))
            sender.flush()
            sender.queue(b"only some", Targets.of(targets[:5]))
            sender.queue(b"the others", Targets.of(targets[5:]))
            sender.flush()
            for place, peer in enumerate(all_of_them):
                due = b"first" + (b"only some" if place < 5 else b"the others")
                assert await peer.read_to(len(due)) == due

    run(test())


def test_who_does_not_read_gets_every_byte_later(sender, run):
    async def test() -> None:
        async with peers(2, buffer_bytes=SMALL) as (slow, quick):
            due = b""
            for number in range(300):
                frame = numbered(1_000, number)
                sender.queue(frame, Targets.of([slow.end.target, quick.end.target]))
                sender.flush()
                due += frame
                assert await quick.read_to(len(due)) == due
            assert slow.end.is_full
            assert await slow.read_to(len(due)) == due
            sender.queue(b"and on", Targets.of([slow.end.target]))
            sender.flush()
            assert await slow.read_to(len(due) + 6) == due + b"and on"

    run(test())


def test_a_frame_larger_than_any_buffer_comes_whole(sender, run):
    async def test() -> None:
        async with peers(2, buffer_bytes=SMALL) as both:
            frame = numbered(1_000_001, 7)
            sender.queue(frame, Targets.of([peer.end.target for peer in both]))
            sender.flush()
            for peer in both:
                assert await peer.read_to(len(frame)) == frame

    run(test())


def test_nothing_overtakes_what_waits_in_a_transport(sender, run):
    async def test() -> None:
        async with peers(1) as (peer,):
            sender.queue(b"first ", Targets.of([peer.end.target]))
            sender.flush()
            peer.end.transport.write(b"second ")
            sender.wrote(peer.end.target.fd)
            sender.queue(b"third ", Targets.of([peer.end.target]))
            sender.flush()
            peer.end.transport.write(b"fourth")
            assert await peer.read_to(25) == b"first second third fourth"

    run(test())


def test_who_is_gone_disturbs_nobody(sender, run):
    async def test() -> None:
        async with peers(4) as (stays, resets, closes, closes_meanwhile):
            targets = tuple(peer.end.target for peer in (resets, closes, closes_meanwhile, stays))
            resets.reset()
            closes.sock.close()
            sender.queue(b"a", Targets.of(targets))
            closes_meanwhile.sock.close()
            sender.flush()
            sender.queue(b"b", Targets.of(targets))
            sender.flush()
            assert await stays.read_to(2) == b"ab"
            async with asyncio.timeout(10):
                for peer in (resets, closes, closes_meanwhile):
                    await peer.end.lost.wait()

    run(test())


def test_a_connection_is_told_lost_before_its_number_can_be_anothers(run):
    async def test() -> None:
        async with peers(4) as (resets, ends, is_closed, is_aborted):
            before = [os.fstat(peer.end.target.fd).st_ino for peer in (resets, ends, is_closed, is_aborted)]
            resets.reset()
            ends.sock.close()
            is_closed.end.transport.close()
            is_aborted.end.transport.abort()
            async with asyncio.timeout(10):
                for peer, inode in zip((resets, ends, is_closed, is_aborted), before, strict=True):
                    await peer.end.lost.wait()
                    assert peer.end.inode_at_the_end == inode

    run(test())


class Drained(asyncio.WriteTransport):
    """A transport in which nothing waits; what is left to it is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.left = b""
        self.asked = 0

    def get_write_buffer_size(self) -> int:
        self.asked += 1
        return 0

    def write(self, data: bytes) -> None:
        self.left += data


@contextlib.contextmanager
def many_files(count: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"this needs {count} open files, and {hard} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_three_thousand_targets_are_sent_to_in_one_flush(sender):
    with many_files(6_200), contextlib.ExitStack() as stack:
        pairs = [tuple(map(stack.enter_context, socket.socketpair())) for _ in range(3_000)]
        targets = tuple(Target(ours.fileno(), Drained()) for ours, _ in pairs)
        sender.queue(b"one for all", Targets.of(targets[:2_999]))
        sender.queue(b"another", Targets.of(targets[2_999:]))
        sender.flush()
        for place, (target, (_, theirs)) in enumerate(zip(targets, pairs, strict=True)):
            due = b"one for all" if place < 2_999 else b"another"
            assert isinstance(target.transport, Drained)
            assert (target.transport.left or theirs.recv(100)) == due
            assert not target.transport.left or sender.way == "python"


def test_a_full_socket_among_many_leaves_its_frame_to_its_transport(sender):
    with contextlib.ExitStack() as stack:
        pairs = [tuple(map(stack.enter_context, socket.socketpair())) for _ in range(3)]
        pairs[1][0].setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while pairs[1][0].send(bytes(65_536)):
                pass
        transports = [Drained() for _ in pairs]
        targets = tuple(
            Target(ours.fileno(), transport) for (ours, _), transport in zip(pairs, transports, strict=True)
        )
        sender.queue(b"frame", Targets.of(targets))
        sender.flush()
        assert transports[1].left == b"frame"
        for (_, theirs), transport in ((pairs[0], transports[0]), (pairs[2], transports[2])):
            assert (transport.left or theirs.recv(100)) == b"frame"


def test_a_target_that_only_its_transport_may_write_to_is_left_to_it(sender):
    transport = Drained()
    sender.queue(b"frame", Targets.of([Target(BY_TRANSPORT, transport)]))
    sender.flush()
    assert transport.left == b"frame"


def test_a_transport_is_asked_when_it_is_new_and_when_it_was_written_to(sender):
    with contextlib.ExitStack() as stack:
        ours, theirs = map(stack.enter_context, socket.socketpair())
        transport = Drained()

        def send() -> None:
            sender.queue(b"frame", Targets.of([Target(ours.fileno(), transport)]))
            sender.flush()

        send()
        if sender.way == "python":
            assert transport.asked == 0
            return
        assert transport.asked == 1
        send()
        assert transport.asked == 1
        sender.wrote(ours.fileno())
        send()
        assert transport.asked == 2
        assert theirs.recv(100) == b"frame" * 3


def test_what_is_left_to_a_transport_counts_as_written_to_it(sender):
    if sender.way == "python":
        pytest.skip("everything is left to transports")
    with contextlib.ExitStack() as stack:
        ours, _ = map(stack.enter_context, socket.socketpair())
        ours.setblocking(False)
        transport = Drained()
        target = Targets.of([Target(ours.fileno(), transport)])
        while not transport.left:
            sender.queue(bytes(65_536), target)
            sender.flush()
        assert transport.asked == 1
        sender.queue(b"frame", target)
        sender.flush()
        assert transport.asked == 2


def test_a_transport_that_cannot_be_asked_is_an_error_and_nothing_is_queued(sender):
    if sender.way == "python":
        pytest.skip("no transport is asked")

    class Odd(Drained):
        def get_write_buffer_size(self) -> int:
            sender.queue(b"", Targets.of([]))  # comes back while it is asked
            return 0

    ours, theirs = socket.socketpair()
    with ours, theirs:
        for transport, error in ((asyncio.WriteTransport(), NotImplementedError), (Odd(), RuntimeError)):
            with pytest.raises(error):
                sender.queue(b"frame", Targets.of([Target(ours.fileno(), transport)]))
        sender.flush()
        ours.close()
        assert theirs.recv(100) == b""


def test_what_was_sent_is_not_sent_again(sender):
    transport = Drained()
    sender.queue(b"frame", Targets.of([Target(BY_TRANSPORT, transport)]))
    sender.flush()
    sender.flush()
    assert transport.left == b"frame"


def test_under_tls_only_the_transport_writes():
    class Encrypted(Drained, asyncio.Transport):
        pass

    ours, theirs = socket.socketpair()
    with ours, theirs:
        plain, encrypted = Encrypted(), Encrypted()
        plain._extra = {"socket": ours}
        encrypted._extra = {"socket": ours, "sslcontext": ssl.create_default_context()}
        assert target_of(plain) == (ours.fileno(), plain)
        assert target_of(encrypted) == (BY_TRANSPORT, encrypted)
        assert target_of(Encrypted()).fd == BY_TRANSPORT


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sets(st.integers(0, 3)), st.integers(1, 20_000)),
        st.tuples(st.just("say"), st.sets(st.integers(0, 3)), st.integers(1, 300)),
        st.tuples(st.just("read"), st.sets(st.integers(0, 3)), st.integers(1, 60_000)),
        st.tuples(st.just("turn"), st.just(set()), st.integers(1, 3)),
    ),
    max_size=40,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_each_client_gets_exactly_what_was_written_for_it(sender, run, steps):
    async def test() -> None:
        async with peers(4, buffer_bytes=SMALL) as clients:
            due = [b""] * 4
            for number, (what, who, size) in enumerate(steps):
                if what == "send":
                    frame = numbered(size, number)
                    sender.queue(frame, Targets.of([clients[one].end.target for one in who]))
                    sender.flush()
                for one in who:
                    if what == "say":  # as an answer is written, past the sender
                        clients[one].end.transport.write(numbered(size, number))
                        sender.wrote(clients[one].end.target.fd)
                    if what in ("send", "say"):
                        due[one] += numbered(size, number)
                    if what == "read":
                        clients[one].read_some(size)
                for _ in range(size if what == "turn" else 0):
                    await asyncio.sleep(0)
            for client, stream in zip(clients, due, strict=True):
                assert await client.read_to(len(stream)) == stream

    run(test())


# Which way


def test_without_the_extension_frames_are_sent_from_python(monkeypatch):
    monkeypatch.setitem(sys.modules, "gateway.native._send", None)
    for wanted in ("auto", "uring", "loop", "python"):
        with Sender(wanted) as sender:
            assert sender.way == "python"


def test_where_the_kernel_refuses_a_ring_send_is_called_in_a_loop():
    pytest.importorskip("gateway.native._send", reason="the extension is not built")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))  # so that there is no number for it
    try:
        with Sender("uring") as sender:
            assert sender.way == "loop"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def rings() -> list[int]:
    """The numbers of the rings that this process has open."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # of the listing itself
            if "io_uring" in os.readlink(f"/proc/self/fd/{number}"):
                found.append(int(number))
    return found


def test_a_ring_is_given_back_and_not_passed_on_to_programs_that_we_start(sender):
    if sender.way != "uring":
        assert rings() == []
        return
    (ring,) = rings()
    assert not os.get_inheritable(ring)
    with Sender("uring"):
        assert len(rings()) == 2
    assert rings() == [ring]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (b"",),
        ("text", (b"", ())),
        (b"", []),
        (b"", (b"",)),
        (b"", (b"", [])),
        (b"", ("", ())),
        (b"", (b"\1\0\0\0", ())),
        (b"", (b"", (1,))),
    ],
)
def test_the_extension_refuses_what_is_no_frame_and_no_target(arguments):
    native = pytest.importorskip("gateway.native._send", reason="the extension is not built")
    sender = native.Sender()
    with pytest.raises(TypeError):
        sender.queue(*arguments)
    with pytest.raises(TypeError):
        sender.wrote("1")
    for unknown in (-1, 0, 1_000_000):
        sender.wrote(unknown)
    assert sender.submit() == []
    sender.close()
