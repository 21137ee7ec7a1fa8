"""What a setting's value may be: durations, addresses, lists of names. Text in, value out.

Each type reads what a person writes in an environment variable, on a command line or in
YAML, and `format_value` writes it back so that reading it again gives the same value.
"""

import contextlib
import re
from ipaddress import ip_address, ip_network
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, FilePath, SecretStr

HIDDEN: Final = "********"
_UNITS_S: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_STEP: Final = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|d)")
_USER_IN_URL: Final = re.compile(r"(?<=://)[^/@,]*(?=@)")


def parse_duration_s(value: object) -> object:
    """Read `15s`, `5m`, `1m30s`, `250ms`; a bare number is seconds. What is no text passes unchanged."""
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    with contextlib.suppress(ValueError):
        return float(text)
    if not re.fullmatch(f"({_STEP.pattern})+", text):
        raise ValueError("write a duration as 15s, 5m, 1m30s or 250ms")
    return sum(float(number) * _UNITS_S[unit] for number, unit in _STEP.findall(text))


def format_value(value: object) -> str:
    """Write a value as an environment variable would hold it, secrets included."""
    match value:
        case None:
            return ""
        case SecretStr():
            return value.get_secret_value()
        case tuple():
            return ",".join(format_value(item) for item in value)
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)


def show_value(value: object) -> str:
    """Write a value for people: secrets and the user part of addresses are hidden."""
    if isinstance(value, SecretStr):
        return HIDDEN if value.get_secret_value() else ""
    return _USER_IN_URL.sub(HIDDEN, format_value(value))


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _split(value: object) -> object:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        return value
    parts = [part.strip() for item in items for part in str(item).split(",")]
    return tuple(part for part in parts if part)


def _check_symbol(name: str) -> str:
    if re.search(r"\s", name):
        raise ValueError("a symbol has no spaces in it; separate symbols with commas")
    return "all" if name.lower() == "all" else name.upper()


def _check_url(value: str, schemes: tuple[str, ...]) -> str:
    try:
        parts = urlsplit(value)
        right = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # urlsplit's word for a bad port or bracket
        right = False
    if value and not right:
        raise ValueError(f"write an address that starts with {' or '.join(f'{s}://' for s in schemes)}")
    return value.rstrip("/")


def _check_ws_url(value: str) -> str:
    return _check_url(value, ("ws", "wss"))


def _check_http_url(value: str) -> str:
    return _check_url(value, ("http", "https"))


def _check_nats_urls(value: str) -> str:
    servers = [server.strip() for server in value.split(",") if server.strip()]
    urls = [server if "://" in server else f"nats://{server}" for server in servers]
    return ",".join(_check_url(url, ("nats", "tls", "ws", "wss")) for url in urls)


def _check_host_port(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not value:
        return value
    if not host or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError("write host:port, as in localhost:6379")
    return value


def _check_network(value: str) -> str:
    try:
        return str(ip_network(value, strict=False))
    except ValueError:
        raise ValueError("write an address or a network: 10.0.0.7, 10.0.0.0/8, ::1") from None


VenueName: TypeAlias = Literal["binance", "binance-usdm", "binance-coinm"]
StreamName: TypeAlias = Literal["aggTrade", "trade", "bookTicker", "miniTicker", "kline_1m"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
LogFormat: TypeAlias = Literal["auto", "console", "json"]
Anonymous: TypeAlias = Literal["auto", "yes", "no"]
SendWay: TypeAlias = Literal["auto", "uring", "loop", "python"]

Port: TypeAlias = Annotated[int, Field(ge=0, le=65_535)]
Count: TypeAlias = Annotated[int, Field(ge=1)]
Zero: TypeAlias = Annotated[int, Field(ge=0)]
Workers: TypeAlias = Annotated[int, Field(ge=0, le=64)]
Amount: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seconds: TypeAlias = Annotated[float, BeforeValidator(parse_duration_s), Field(gt=0, allow_inf_nan=False)]
Secret: TypeAlias = SecretStr
ExistingFile: TypeAlias = Annotated[FilePath | None, BeforeValidator(lambda value: value or None)]
# What has a default other than empty cannot be set to empty: in the environment, empty means not set.
Text: TypeAlias = Annotated[str, Field(min_length=1)]
Names: TypeAlias = Annotated[tuple[Text, ...], BeforeValidator(_split)]
Network: TypeAlias = Annotated[str, AfterValidator(_check_network)]
Networks: TypeAlias = Annotated[tuple[Network, ...], BeforeValidator(_split)]
Symbol: TypeAlias = Annotated[str, AfterValidator(_check_symbol)]
Symbols: TypeAlias = Annotated[tuple[Symbol, ...], BeforeValidator(_split), Field(min_length=1)]
Venues: TypeAlias = Annotated[tuple[VenueName, ...], BeforeValidator(_split), Field(min_length=1)]
Streams: TypeAlias = Annotated[tuple[StreamName, ...], BeforeValidator(_split), Field(min_length=1)]
WsUrl: TypeAlias = Annotated[str, AfterValidator(_check_ws_url)]
HttpUrl: TypeAlias = Annotated[str, AfterValidator(_check_http_url)]
NatsUrls: TypeAlias = Annotated[str, AfterValidator(_check_nats_urls)]
HostPort: TypeAlias = Annotated[str, AfterValidator(_check_host_port)]
