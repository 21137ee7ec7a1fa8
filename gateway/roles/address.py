"""Where the bus is, read from the settings."""

from gateway.config.load import Settings
from processors.bus import BusAddress


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
