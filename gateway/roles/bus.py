"""The bus as a role finds it: where it is, and how a role ends that cannot have it."""

import contextlib
from collections.abc import Iterator

import structlog

from gateway.config.load import Settings
from gateway.processes.lifetime import Failure
from processors.bus import BusAddress, BusError, GaveUp

log = structlog.get_logger()


class BusFailed(Failure):
    """The bus does not do what this process cannot do without."""


def bus_address(settings: Settings) -> BusAddress:
    """Split `messaging.nats.url`, which may name several servers, and add the credentials."""
    nats = settings.messaging.nats
    return BusAddress(
        servers=[url.strip() for url in nats.url.split(",") if url.strip()],
        credentials=nats.credentials,
        tls_ca=nats.tls_ca,
        tls_cert=nats.tls_cert,
        tls_key=nats.tls_key,
    )


def bus_name(settings: Settings, role: str) -> str:
    """Say what a process's connection is called in NATS."""
    return f"{settings.messaging.nats.client_name}-{role}"


@contextlib.contextmanager
def bus_needed() -> Iterator[None]:
    """End quietly if the stop comes before the bus is found. Raises BusFailed for what the bus refuses."""
    try:
        yield
    except* GaveUp:
        log.info("bus.never_found")
    except* BusError as group:
        raise BusFailed(str(_first_leaf(group))) from group


def _first_leaf(error: BaseException) -> BaseException:
    return _first_leaf(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
