"""The head of one request: what may be wrong with it, and what a proxy adds to it.

Names are in lower case here, as the parser's user has made them; values are as they came.
"""

import re
from typing import Final, TypeAlias

from gateway.addresses import TrustedProxies
from gateway.http.entrance import HttpLimits
from gateway.http.rejections import BAD_HOST, BAD_PATH, BODY_TOO_LONG, HEAD_TOO_LONG, MALFORMED, Rejected

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]

HEADER_EXTRA_BYTES: Final = 4
"""Colon, space, end of line."""
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")


def check_head(version: str, url: bytes, headers: RawHeaders, limits: HttpLimits) -> None:
    """Raise Rejected if a request with this head is none, or is too long."""
    if version not in ("1.1", "1.0"):
        raise Rejected(MALFORMED)
    head_bytes, hosts = len(url), 0
    for name, value in headers:
        head_bytes += len(name) + len(value) + HEADER_EXTRA_BYTES
        if name == b"host":
            hosts += 1
            _check_host(value)
        elif name == b"content-length" and int(value) > limits.max_body_bytes:
            raise Rejected(BODY_TOO_LONG)
    if head_bytes > limits.max_header_bytes or len(headers) > limits.max_headers:
        raise Rejected(HEAD_TOO_LONG)
    if hosts > 1 or (not hosts and version == "1.1"):
        raise Rejected(BAD_HOST)
    if b"%00" in url.partition(b"?")[0]:
        raise Rejected(BAD_PATH)


def believe_proxy(peer: str, headers: RawHeaders, scheme: str, proxies: TrustedProxies) -> tuple[str, str]:
    """Return address and scheme of a proxy's client, and put the host that it asked into the headers."""
    texts = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    host = proxies.client_host(peer, texts, "").encode("latin-1")
    if host:
        _check_host(host)
        headers[:] = [*((name, value) for name, value in headers if name != b"host"), (b"host", host)]
    return proxies.client_address(peer, texts), proxies.client_scheme(peer, texts, scheme)


def _check_host(host: bytes) -> None:
    if not _HOST.fullmatch(host):
        raise Rejected(BAD_HOST)
