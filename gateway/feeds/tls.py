"""Which certificates the exchange side trusts: one answer for sockets and REST."""

import functools
import ssl

import httpx


@functools.cache
def trusted() -> ssl.SSLContext:
    """Trust the bundle that comes with httpx, or what SSL_CERT_FILE or SSL_CERT_DIR name.

    The bundle, because many a container has no certificates of its own.
    """
    return httpx.create_ssl_context()
