"""What a gateway process is told: plain values out of the settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.accounts.accounts import Rules
from gateway.api.cors import CorsRules
from gateway.api.limits import Rate
from gateway.api.operations import Limit
from gateway.config.load import Settings
from gateway.http.entrance import HttpLimits
from gateway.ws.endpoint import ClientLimits
from protocol.session import Limits

SPARE_CONNECTIONS: Final = 1_000
"""HTTP connections beside those of the streams."""
MOST_OF_AN_ADDRESS: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayOptions:
    """Everything but the bus, the cache and the database."""

    name: str = "gateway"
    """In the metrics: unlike that of any other gateway on the bus."""
    clients: ClientLimits = field(default_factory=ClientLimits)
    http: HttpLimits = field(default_factory=HttpLimits)
    answer_timeout_s: float = 15.0
    accounts: Rules = field(default_factory=lambda: Rules(anonymous=True))
    max_watched: int = 500
    rates: Mapping[Limit, Rate] = field(default_factory=dict)
    """What has none is not limited."""
    origins: tuple[str, ...] = ()
    """Of pages elsewhere that may call."""
    cors: CorsRules = field(default_factory=CorsRules)
    proxies: tuple[str, ...] = ()
    """Addresses and networks of those that are believed."""
    enigma_enabled: bool = True


def gateway_options(settings: Settings, name: str) -> GatewayOptions:
    """Read from the settings what a gateway may do."""
    server = settings.server
    return GatewayOptions(
        name=name,
        clients=_client_limits(settings),
        http=_http_limits(settings),
        answer_timeout_s=server.write_timeout_s,
        accounts=_rules(settings),
        max_watched=settings.auth.max_watched,
        rates=_rates(settings),
        origins=server.cors.allowed_origins,
        cors=CorsRules(
            methods=server.cors.allowed_methods,
            headers=server.cors.allowed_headers,
            exposed=server.cors.expose_headers,
            credentials=server.cors.allow_credentials,
        ),
        proxies=server.trusted_proxies,
        enigma_enabled=settings.features.enigma_enabled,
    )


def _client_limits(settings: Settings) -> ClientLimits:
    wanted = settings.clients
    return ClientLimits(
        session=Limits(wanted.messages_per_second, wanted.message_burst, wanted.max_symbols),
        max_connections=wanted.max_connections,
        max_message_bytes=wanted.max_message_bytes,
        max_buffer_bytes=wanted.max_buffer_bytes,
        max_lag_s=wanted.max_lag_s,
        ping_interval_s=wanted.ping_interval_s,
        pong_timeout_s=wanted.pong_timeout_s,
        send=wanted.send,
    )


def _http_limits(settings: Settings) -> HttpLimits:
    server = settings.server
    return HttpLimits(
        read_timeout_s=server.read_timeout_s,
        send_timeout_s=server.write_timeout_s,
        max_header_bytes=server.max_header_bytes,
        max_body_bytes=server.max_body_bytes,
        max_per_address=server.max_connections_per_address or MOST_OF_AN_ADDRESS,
        spares_loopback=not server.max_connections_per_address,
        max_connections=settings.clients.max_connections + SPARE_CONNECTIONS,
    )


def _rules(settings: Settings) -> Rules:
    auth = settings.auth
    return Rules(
        anonymous=settings.anybody_may_read,
        session_life_s=auth.session_life_s,
        session_longest_s=auth.session_longest_s,
        login_attempts=auth.login_attempts,
        login_window_s=auth.login_window_s,
    )


def _rates(settings: Settings) -> dict[Limit, Rate]:
    limits = settings.limits
    if not limits.enabled:
        return {}
    return {
        Limit.MARKET: Rate(limits.market_per_second, limits.market_burst),
        Limit.HISTORY: Rate(limits.history_per_second, limits.history_burst),
        Limit.ACCOUNT: Rate(limits.account_per_second, limits.account_burst),
    }
