"""The one door of the clients to NATS: core subjects and requests.

The rules of this file:
- A server that is away is looked for four times a second, for ever; subscriptions come back by themselves.
- A handler is called as soon as a message comes. Full, at 65,536 messages or 64 MiB for which the program
  found no time: the newest goes, and `on_dropped` says so.
"""

import logging
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeAlias

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError, SlowConsumerError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext

from clients.bus.errors import BusClosed, NoAnswer, NotThere

RECONNECT_WAIT_S: Final = 0.25
CONNECT_TIMEOUT_S: Final = 5
API_TIMEOUT_S: Final = 5.0
MAX_UNTAKEN: Final = 65_536
MAX_UNTAKEN_BYTES: Final = 64 * 1024 * 1024
NOT_THERE: Final = "404"

log = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[Msg], None]
Listener: TypeAlias = Callable[[bool], None]
"""Hears True when the connection is back, False when it is lost or closed."""


class Bus:
    """A connection to NATS. Use `open_bus`."""

    def __init__(self) -> None:
        self.client = Client()
        self.listeners: list[Listener] = []
        self.failure: BusClosed | None = None
        """Why it is closed, if not by us."""
        self._is_leaving = False
        self._on_dropped: dict[Subscription, Callable[[], None]] = {}
        self._said = ""

    @property
    def is_connected(self) -> bool:
        return self.client.is_connected

    @property
    def is_closed(self) -> bool:
        """For good."""
        return self.client.is_closed

    @property
    def url(self) -> str:
        """Where it is connected, without a password."""
        at = self.client.connected_url
        return f"{at.scheme}://{at.netloc.rpartition('@')[2]}" if at else "nats"

    def jetstream(self) -> JetStreamContext:
        return self.client.jetstream(timeout=API_TIMEOUT_S)

    async def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        """Hand a message to NATS without waiting for anybody; while it is away, nobody hears it."""
        if self.client.is_connected:
            await self.client.publish(subject, payload, reply=reply)

    @asynccontextmanager
    async def subscribed(
        self, subjects: Sequence[str], handler: Handler, on_dropped: Callable[[], None] = lambda: None
    ) -> AsyncIterator[None]:
        """Call the handler for every message of these subjects; they are heard from the first moment on."""

        async def on_message(message: Msg) -> None:
            handler(message)

        subscriptions = []
        try:
            for subject in subjects:
                one = await self.client.subscribe(
                    subject,
                    cb=on_message,
                    pending_msgs_limit=MAX_UNTAKEN,
                    pending_bytes_limit=MAX_UNTAKEN_BYTES,
                )
                self._on_dropped[one] = on_dropped
                subscriptions.append(one)
            if self.client.is_connected:
                await self._until_heard()
            yield
        finally:
            for one in subscriptions:
                del self._on_dropped[one]
                if not (self.client.is_closed or self.client.is_draining):
                    await one.unsubscribe()

    async def request(self, subject: str, payload: bytes = b"", timeout_s: float = 2.0) -> bytes:
        """Ask and return the answer. Raises NoAnswer or NotThere."""
        try:
            reply = await self.client.request(subject, payload, timeout=timeout_s)
        except NoRespondersError:
            raise NoAnswer(subject, "nobody serves it") from None
        except NatsTimeoutError:
            raise NoAnswer(subject, f"not within {timeout_s:g} s") from None
        except NatsError as error:
            raise NoAnswer(subject, str(error)) from error
        headers = reply.headers or {}
        if "Nats-Service-Error" in headers:
            refusal = NotThere if headers.get("Nats-Service-Error-Code") == NOT_THERE else NoAnswer
            raise refusal(subject, headers["Nats-Service-Error"])
        return reply.data

    async def leave(self) -> None:
        self._is_leaving = True
        if not self.client.is_closed:
            await self.client.close()

    async def _until_heard(self) -> None:
        """Wait until the server has all that was said to it.

        The client's own `flush` overtakes what waits in its buffer. A question to nobody does not, and comes
        back at once: nobody is there.
        """
        try:
            await self.client.request(self.client.new_inbox(), timeout=CONNECT_TIMEOUT_S)
        except NoRespondersError:
            pass
        except NatsError as error:  # it comes back with the subscriptions
            log.warning("the bus does not answer: %s", error or "too late")

    # Callbacks of the client

    async def on_error(self, error: Exception) -> None:
        if isinstance(error, SlowConsumerError):
            self._on_dropped.get(error.sub, lambda: None)()
        elif str(error) != self._said:  # looked for four times a second, it would say the same each time
            self._said = str(error)
            log.warning("%s", error or type(error).__name__)

    async def on_lost(self) -> None:
        if not (self.client.is_draining or self.client.is_closed):
            self._tell(is_connected=False)

    async def on_back(self) -> None:
        self._said = ""
        self._tell(is_connected=True)

    async def on_closed(self) -> None:
        if not self._is_leaving:
            self.failure = BusClosed(str(self.client.last_error or "by the server"))
        self._tell(is_connected=False)

    def _tell(self, *, is_connected: bool) -> None:
        for listener in list(self.listeners):
            listener(is_connected)


@asynccontextmanager
async def open_bus(
    servers: Sequence[str], name: str, credentials: Path | None, tls: ssl.SSLContext | None
) -> AsyncIterator[Bus]:
    """Connect to NATS, waiting until it is there. Raises BusClosed if it refuses us."""
    bus = Bus()
    try:
        await _connect(bus, servers, name, credentials, tls)
        yield bus
    finally:
        await bus.leave()


async def _connect(
    bus: Bus, servers: Sequence[str], name: str, credentials: Path | None, tls: ssl.SSLContext | None
) -> None:
    try:
        await bus.client.connect(
            servers=list(servers),
            name=name,
            error_cb=bus.on_error,
            disconnected_cb=bus.on_lost,
            reconnected_cb=bus.on_back,
            closed_cb=bus.on_closed,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type]  # annotated int, used as seconds
            connect_timeout=CONNECT_TIMEOUT_S,
            tls=tls,
            user_credentials=str(credentials) if credentials else None,
        )
    except NatsError as error:
        raise BusClosed(str(error)) from error
