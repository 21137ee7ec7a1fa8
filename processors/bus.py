"""The one door to NATS.

Ticks go by core NATS: published without waiting, lost if nobody listens, which is why every
batch carries a sequence. What must be there tomorrow (the symbol registry, the gap ledger, the last
ids) goes by JetStream, which acknowledges; nothing on the way of a tick waits for that.
A lost server is looked for again four times a second, for ever; subscriptions come back by
themselves.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import structlog
from nats import micro
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, StreamConfig
from nats.js.errors import APIError, NotFoundError
from nats.micro.request import Request, ServiceError

RECONNECT_WAIT_S: Final = 0.25
CONNECT_TIMEOUT_S: Final = 5
WRONG_LAST_SEQUENCE: Final = 10071
"""JetStream's error code when another message, of that subject or at all, was there first."""
MAX_PENDING_BYTES: Final = 64 * 1024 * 1024
"""Published and not taken by the server yet. Half of it is more than a second of the fastest burst: so long
a server that is there may get no time from its machine, and nothing is lost."""

log = structlog.get_logger()

Handler: TypeAlias = Callable[[str, bytes], None]
Answer: TypeAlias = Callable[[str, bytes], bytes]
SlowAnswer: TypeAlias = Callable[[str, bytes], Awaitable[bytes | None]]
MAX_SLOW_ANSWERS: Final = 64
Reply = TypeVar("Reply")


class BusError(Exception):
    """The bus could not do what was asked; the message says why."""


class NoAnswer(BusError):
    """Nobody serves this request, or not in time."""


class GaveUp(BusError):
    """The stop came before the bus was found."""


class Unavailable(Exception):
    """An answer cannot be given now; whoever asked is told the reason."""


@dataclass(frozen=True, slots=True)
class BusAddress:
    """Where the bus is and how to get in."""

    servers: Sequence[str]
    credentials: Path | None = None
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None

    def tls(self) -> ssl.SSLContext | None:
        if not (self.tls_ca or self.tls_cert):
            return None
        context = ssl.create_default_context(cafile=self.tls_ca)
        if self.tls_cert:
            context.load_cert_chain(self.tls_cert, self.tls_key)
        return context


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One request that a service answers."""

    name: str
    subject: str
    answer: Answer
    """From subject and payload to the reply; raises KeyError for what does not exist."""


@dataclass(frozen=True, slots=True)
class SlowEndpoint:
    """Requests whose answers take a while: several are worked on at the same time.

    Full, at 64: the request is refused at once, with an error that says so.
    """

    name: str
    subject: str
    answer: SlowAnswer
    """Raises KeyError for what does not exist, Unavailable for what cannot be had now. None: not ours,
    another process will answer."""
    asked_by_all: str = ""
    """A name of this process's own: every process that serves the subject hears every request, and
    those that cannot answer stay silent. Without one, a request goes to any one of them."""


class Bus:
    """A connection to NATS. Use `connect`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._stream: JetStreamContext = client.jetstream(timeout=CONNECT_TIMEOUT_S)
        self._on_reconnect: list[Callable[[], None]] = []

    @property
    def is_connected(self) -> bool:
        return self._client.is_connected

    @property
    def pending_bytes(self) -> int:
        """What was published and has not left this process yet."""
        return self._client.pending_data_size

    def on_reconnect(self, reaction: Callable[[], None]) -> None:
        """Call this whenever a lost server has been found again."""
        self._on_reconnect.append(reaction)

    async def publish(self, subject: str, payload: bytes) -> None:
        """Hand a message to NATS without waiting for anybody. Raises BusError if there is no room."""
        try:
            await self._client.publish(subject, payload)
        except NatsError as error:
            raise BusError(f"cannot publish: {error}") from error

    @property
    def has_room(self) -> bool:
        """The server is there, and less than half waits for it of what the client can hold."""
        return self._client.is_connected and self._client.pending_data_size <= MAX_PENDING_BYTES // 2

    def publish_now(self, subject: str, payload: bytes) -> None:
        """Hand a message to NATS from where nobody can wait, while there `has_room`. Raises BusError."""
        step = self._client.publish(subject, payload)
        try:
            step.send(None)
        except StopIteration:
            return
        except NatsError as error:
            raise BusError(f"cannot publish: {error}") from error
        # nats-py waits inside of `publish` for one thing only: room, when MAX_PENDING_BYTES are reached.
        step.close()
        raise BusError(f"cannot publish: more than {MAX_PENDING_BYTES} bytes wait")

    async def flush(self) -> None:
        """Wait until the server has everything."""
        try:
            await _heeding(self._client.flush(CONNECT_TIMEOUT_S))
        except NatsError as error:
            raise BusError(f"cannot flush: {error}") from error

    async def subscribe(self, subject: str, handler: Handler) -> None:
        """Call the handler for every message, in the order of arrival."""

        async def on_message(message: Msg) -> None:
            handler(message.subject, message.data)

        # The bound is the bytes one reader may lag behind: above it nats-py drops the newest message,
        # which the batch sequence shows and a snapshot heals.
        await self._client.subscribe(
            subject, cb=on_message, pending_msgs_limit=65_536, pending_bytes_limit=64 * 1024 * 1024
        )

    async def request(self, subject: str, payload: bytes = b"", timeout_s: float = 1.0) -> bytes:
        """Ask and return the answer. Raises NoAnswer."""
        try:
            reply = await _heeding(self._client.request(subject, payload, timeout=timeout_s))
        except NoRespondersError:
            raise NoAnswer(f"nobody answers {subject}") from None
        except (NatsTimeoutError, NatsError) as error:
            raise NoAnswer(f"no answer to {subject}: {error or 'too late'}") from error
        if reply.headers and "Nats-Service-Error" in reply.headers:
            raise NoAnswer(f"{subject}: {reply.headers['Nats-Service-Error']}")
        return reply.data

    async def gather(self, subject: str, payload: bytes, timeout_s: float) -> list[bytes]:
        """Ask everybody who serves a subject, and return what has been answered in that time."""
        answers: list[bytes] = []

        async def on_answer(message: Msg) -> None:
            if not message.headers:  # those say that somebody could not answer, or that nobody serves it
                answers.append(message.data)

        try:
            inbox = self._client.new_inbox()
            subscription = await self._client.subscribe(inbox, cb=on_answer)
            try:
                await self._client.publish(subject, payload, reply=inbox)
                await asyncio.sleep(timeout_s)
            finally:
                await subscription.unsubscribe()
        except NatsError as error:
            raise BusError(f"cannot ask {subject}: {error}") from error
        return answers

    async def serve(
        self,
        name: str,
        version: str,
        description: str,
        endpoints: Sequence[Endpoint],
        about: Mapping[str, str],
        slow: Sequence[SlowEndpoint] = (),
        tasks: asyncio.TaskGroup | None = None,
    ) -> None:
        """Appear as a NATS micro service (`nats micro ls`) that answers these requests."""
        service = await micro.add_service(
            self._client,
            name=name,
            version=version,
            description=description,
            metadata=dict(about),
        )
        for endpoint in endpoints:
            await service.add_endpoint(
                name=endpoint.name, subject=endpoint.subject, handler=_responder(endpoint.answer)
            )
        for one in slow:
            if tasks is None:
                raise ValueError("slow endpoints need a TaskGroup to work in")
            await service.add_endpoint(
                name=one.name,
                subject=one.subject,
                queue_group=one.asked_by_all or None,
                handler=_SlowResponder(one.answer, tasks).respond,
            )

    # JetStream

    async def open_stream(self, name: str, subject: str, max_messages: int) -> None:
        """Make sure that an append-only stream exists; a full one refuses new messages."""
        await self._open_stream(
            StreamConfig(
                name=name,
                subjects=[subject],
                max_msgs=max_messages,
                discard=DiscardPolicy.NEW,
                deny_delete=True,
                deny_purge=True,
            )
        )

    async def open_rolling_stream(
        self, name: str, subject: str, *, max_bytes: int, max_age_s: float = 0, newest_only: bool = False
    ) -> None:
        """Make sure that a stream exists in which the oldest messages go when it is full or they are old.

        `newest_only` keeps one message a subject.
        """
        await self._open_stream(
            StreamConfig(
                name=name,
                subjects=[subject],
                max_bytes=max_bytes,
                max_age=max_age_s,
                max_msgs_per_subject=1 if newest_only else -1,
                discard=DiscardPolicy.OLD,
            )
        )

    async def _open_stream(self, config: StreamConfig) -> None:
        name = config.name or ""
        try:
            try:
                await _heeding(self._stream.stream_info(name))
            except NotFoundError:
                await _heeding(self._stream.add_stream(config))
        except APIError as error:
            raise BusError(f"JetStream cannot keep the stream {name}: {error.description}") from error
        except NatsError as error:
            raise BusError(f"JetStream is needed and does not answer: {error or 'no reply'}") from error

    async def append(self, subject: str, payload: bytes, message_id: str = "") -> int:
        """Append a message, wait until it is stored, and return its sequence. Raises BusError.

        The same `message_id` within two minutes is stored once, so that a doubtful append may be repeated.
        """
        headers = {"Nats-Msg-Id": message_id} if message_id else None
        try:
            return (await _heeding(self._stream.publish(subject, payload, headers=headers))).seq
        except (APIError, NatsError) as error:
            raise BusError(f"cannot append to {subject}: {error or 'no reply'}") from error

    async def append_first(self, subject: str, payload: bytes) -> int | None:
        """Append a message if its subject has none yet; return its sequence, or None if it has one."""
        return await self._append_if({"Nats-Expected-Last-Subject-Sequence": "0"}, subject, payload)

    async def append_at(self, subject: str, payload: bytes, sequence: int) -> bool:
        """Append a message if it becomes the one of this sequence, and say whether it did."""
        before = {"Nats-Expected-Last-Sequence": str(sequence - 1)}
        return await self._append_if(before, subject, payload) is not None

    async def _append_if(self, condition: dict[str, str], subject: str, payload: bytes) -> int | None:
        try:
            ack = await _heeding(self._stream.publish(subject, payload, headers=condition))
        except APIError as error:
            if error.err_code == WRONG_LAST_SEQUENCE:
                return None
            raise BusError(f"cannot append to {subject}: {error.description}") from error
        except NatsError as error:
            raise BusError(f"cannot append to {subject}: {error or 'no reply'}") from error
        return ack.seq

    async def last_sequence(self, stream: str) -> int:
        try:
            return (await _heeding(self._stream.stream_info(stream))).state.last_seq
        except (APIError, NatsError) as error:
            raise BusError(f"cannot read stream {stream}: {error or 'no reply'}") from error

    async def read_message(self, stream: str, sequence: int) -> bytes | None:
        """Read one stored message; None if that sequence holds none."""
        try:
            message = await _heeding(self._stream.get_msg(stream, sequence))
        except NotFoundError:
            return None
        except (APIError, NatsError) as error:
            raise BusError(f"cannot read {stream} at {sequence}: {error or 'no reply'}") from error
        return message.data or b""

    async def read_last(self, stream: str, subject: str) -> bytes | None:
        """Read the newest stored message of a subject; None if there is none."""
        try:
            message = await _heeding(self._stream.get_last_msg(stream, subject))
        except NotFoundError:
            return None
        except (APIError, NatsError) as error:
            raise BusError(f"cannot read the last {subject}: {error or 'no reply'}") from error
        return message.data or b""

    # Callbacks of the client

    async def _reconnected(self) -> None:
        log.info("bus.reconnected", server=_server_of(self._client))
        for reaction in self._on_reconnect:
            reaction()


async def _heeding(asking: Coroutine[Any, Any, Reply]) -> Reply:
    """Await an answer or a refusal, and heed a cancellation that came together with it.

    nats-py waits by `asyncio.wait_for`, which in Python 3.11 returns or raises what came and forgets
    the cancellation: a loop that asks again and again would outlive its end.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        return await asking
    finally:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError


def _responder(answer: Answer) -> Callable[[Request], Awaitable[None]]:
    async def respond(request: Request) -> None:
        try:
            reply = answer(request.subject, request.data)
        except KeyError as error:
            raise ServiceError("404", f"no such thing: {error}") from None
        await request.respond(reply)

    return respond


class _SlowResponder:
    """Answers the requests of one slow endpoint, each in a task."""

    def __init__(self, answer: SlowAnswer, tasks: asyncio.TaskGroup) -> None:
        self._answer = answer
        self._tasks = tasks
        self._at_work = 0

    async def respond(self, request: Request) -> None:
        if self._at_work >= MAX_SLOW_ANSWERS:
            raise ServiceError("503", "too many requests at once")
        self._at_work += 1
        self._tasks.create_task(self._respond(request))

    async def _respond(self, request: Request) -> None:
        try:
            reply = await self._answer(request.subject, request.data)
            if reply is not None:
                await request.respond(reply)
        except KeyError as error:
            await _refuse(request, "404", f"no such thing: {error}")
        except Unavailable as error:
            await _refuse(request, "503", str(error))
        except NatsError as error:
            log.warning("bus.not_answered", subject=request.subject, error=str(error))
        finally:
            self._at_work -= 1


async def _refuse(request: Request, code: str, reason: str) -> None:
    try:
        await request.respond_error(code, " ".join(reason.split()))  # it travels in a header: one line
    except NatsError as error:
        log.warning("bus.not_answered", subject=request.subject, error=str(error))


@asynccontextmanager
async def connect(address: BusAddress, name: str, give_up: asyncio.Event | None = None) -> AsyncIterator[Bus]:
    """Connect to NATS, retrying until it is there; leave in order, with everything published.

    Raises GaveUp if `give_up` is set before that.
    """
    client = Client()
    bus = Bus(client)

    async def on_error(error: Exception) -> None:
        log.warning("bus.error", error=str(error) or type(error).__name__)

    async def on_disconnect() -> None:
        if not (client.is_draining or client.is_closed):
            log.warning("bus.disconnected")

    async def on_reconnect() -> None:
        await bus._reconnected()

    connecting = client.connect(
        servers=list(address.servers),
        name=name,
        error_cb=on_error,
        disconnected_cb=on_disconnect,
        reconnected_cb=on_reconnect,
        max_reconnect_attempts=-1,
        reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type]  # annotated int, used as seconds
        connect_timeout=CONNECT_TIMEOUT_S,
        pending_size=MAX_PENDING_BYTES,
        tls=address.tls(),
        user_credentials=str(address.credentials) if address.credentials else None,
    )
    await _first(connecting, give_up or asyncio.Event())
    log.info("bus.connected", server=_server_of(client))
    try:
        yield bus
    finally:
        await _leave(client)


async def _first(connecting: Coroutine[None, None, None], give_up: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as tasks:
        connected = tasks.create_task(connecting)
        giving_up = tasks.create_task(give_up.wait())
        await asyncio.wait([connected, giving_up], return_when=asyncio.FIRST_COMPLETED)
        connected.cancel()
        giving_up.cancel()
    if connected.cancelled():
        raise GaveUp("the bus was not found before the stop")


async def _leave(client: Client) -> None:
    if client.is_connected:
        try:
            await asyncio.wait_for(client.drain(), 2.0)
        except (NatsError, TimeoutError):
            log.warning("bus.left_in_haste")
    if not client.is_closed:
        await client.close()


def _server_of(client: Client) -> str:
    return client.connected_url.netloc.rpartition("@")[2] if client.connected_url else ""
