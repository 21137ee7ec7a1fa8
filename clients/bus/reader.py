"""Reads what JetStream has stored, from a place on, and then what is added.

The rules of this file:
- A reader is an ephemeral consumer that acknowledges nothing; where it is, only we know. It is asked for up
  to `MOST` messages, and brings them as soon as there are any: nothing comes that nobody has asked for, so a
  slow program holds up nobody, and nothing is ever dropped.
- When the connection was lost, or the server says that the reader is no more, or is silent for `SILENT_S`
  where a sign of life is due every `SIGN_EVERY_S`, it is gone: whoever reads opens another one, behind the
  last message that they have.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Final, NamedTuple

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy
from nats.js.errors import APIError, NotFoundError

from clients.bus.connection import Bus

MOST: Final = 256
REQUEST_LIVES_S: Final = 30.0
SIGN_EVERY_S: Final = 2.0
SILENT_S: Final = 5.0
FORGOTTEN_AFTER_S: Final = 120.0
"""The server removes a reader that asks for nothing; a program that took its time opens another one."""
_NANOS: Final = 1_000_000_000
_SIGN, _NONE_LEFT, _EXPIRED = "100", "404", "408"
"""What a message without data says in its status; any other is the end of the reader."""


class Stored(NamedTuple):
    """One message of a stream."""

    sequence: int
    subject: str
    payload: bytes


class ReaderGone(Exception):
    """It must be opened again, behind the last message that was read."""


class Place(NamedTuple):
    """Where to begin: behind a sequence or, without one, at a time."""

    after: int | None
    since_ms: int | None = None


class Ends(NamedTuple):
    """The sequences of the first and last message that a stream has; an empty one's first is the next."""

    first: int
    last: int


class Reader:
    """One consumer. Use `open_reader`."""

    def __init__(self, bus: Bus, stream: str, info: ConsumerInfo) -> None:
        self.pending = info.num_pending or 0
        """How many messages are stored and not taken yet, as of the last look."""
        self.inbox = bus.client.new_inbox()
        self._bus = bus
        self._ask_at = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{info.name}"
        self._arrived: deque[Msg] = deque()
        self._wake = asyncio.Event()
        self._due = 0
        """How many messages may still come for the last question."""
        self._end = ""

    async def take(self) -> list[Stored]:
        """Return what has arrived, waiting for the first of it. Raises ReaderGone."""
        while not self._arrived:
            if self._end:
                raise ReaderGone(self._end)
            if not self._due:
                await self._ask()
            self._wake.clear()
            try:
                async with asyncio.timeout(SILENT_S):
                    await self._wake.wait()
            except TimeoutError:
                raise ReaderGone("the bus is silent") from None
        messages = [self._arrived.popleft() for _ in range(len(self._arrived))]
        self.pending = messages[-1].metadata.num_pending
        return [Stored(one.metadata.sequence.stream, one.subject, one.data) for one in messages]

    async def _ask(self) -> None:
        self._due = MOST
        question = {
            "batch": MOST,
            "expires": int(REQUEST_LIVES_S * _NANOS),
            "idle_heartbeat": int(SIGN_EVERY_S * _NANOS),
        }
        await self._bus.publish(self._ask_at, json.dumps(question).encode(), self.inbox)

    def on_connection(self, _: bool) -> None:
        """React to a connection that was lost: what was asked for may have gone with it."""
        self._end = "the bus was away"
        self._wake.set()

    def on_message(self, message: Msg) -> None:
        status = message.headers.get("Status") if message.headers else None
        if status is None:
            self._arrived.append(message)
            self._due -= 1
        elif status in (_NONE_LEFT, _EXPIRED):
            self._due = 0
        elif status != _SIGN:
            self._end = message.headers.get("Description") or status if message.headers else status
        self._wake.set()


@asynccontextmanager
async def open_reader(bus: Bus, stream: str, subjects: Sequence[str], place: Place) -> AsyncIterator[Reader]:
    """Open a reader of some subjects of a stream. Raises ReaderGone."""
    jetstream = bus.jetstream()
    info = await _create(jetstream, stream, subjects, place)
    reader = Reader(bus, stream, info)
    bus.listeners.append(reader.on_connection)
    try:
        async with bus.subscribed([reader.inbox], reader.on_message):
            yield reader
    finally:
        bus.listeners.remove(reader.on_connection)
        if bus.is_connected:  # else the server removes it by itself
            with suppress(NatsError):
                await jetstream.delete_consumer(stream, info.name)


async def _create(
    jetstream: JetStreamContext, stream: str, subjects: Sequence[str], place: Place
) -> ConsumerInfo:
    config = ConsumerConfig(
        filter_subjects=list(subjects),
        ack_policy=AckPolicy.NONE,
        inactive_threshold=FORGOTTEN_AFTER_S,
        mem_storage=True,
        num_replicas=1,
    )
    if place.after is not None:
        config.deliver_policy, config.opt_start_seq = DeliverPolicy.BY_START_SEQUENCE, place.after + 1
    elif place.since_ms is not None:
        config.deliver_policy = DeliverPolicy.BY_START_TIME
        config.opt_start_time = datetime.fromtimestamp(place.since_ms / 1_000, UTC)
    try:
        return await jetstream.add_consumer(stream, config)
    except NatsError as error:
        raise ReaderGone(_reason(error)) from error


async def find_stream(bus: Bus, subject: str) -> tuple[str, Ends]:
    """Return the stream that keeps a subject, and what it has. Raises ReaderGone if there is none yet."""
    jetstream = bus.jetstream()
    try:
        name = await jetstream.find_stream_name_by_subject(subject)
        state = (await jetstream.stream_info(name)).state
    except NotFoundError:
        raise ReaderGone(f"nobody keeps {subject} yet") from None
    except NatsError as error:
        raise ReaderGone(_reason(error)) from error
    return name, Ends(state.first_seq, state.last_seq)


async def stored_ms(bus: Bus, stream: str, sequence: int) -> int | None:
    """Return when a message was stored; None if it is there no more. Raises ReaderGone."""
    try:
        message = await bus.jetstream().get_msg(stream, sequence)
    except NotFoundError:
        return None
    except NatsError as error:
        raise ReaderGone(_reason(error)) from error
    return round(message.time.timestamp() * 1_000) if message.time else None


def _reason(error: NatsError) -> str:
    said = error.description if isinstance(error, APIError) else str(error)
    return said or "JetStream does not answer"
