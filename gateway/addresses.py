"""Who is at the other end, also when proxies stand between.

The rules of this file:
- Only a peer in a trusted network is believed when it speaks of others.
- X-Forwarded-For is read from its end, where each proxy adds whom it heard from: the client is the first one
  there that is no trusted proxy. What stands before it may be invented, and is not looked at.
- What cannot be read ends the reading: then nobody but the peer is known.
- X-Forwarded-Proto and X-Forwarded-Host count as the nearest proxy wrote them: their last value.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Headers: TypeAlias = Iterable[tuple[str, str]]
"""Names and values as they came, a name perhaps several times."""

HOUSEHOLD_BITS: Final = 64
"""Of an IPv6 address: what is one customer's, who can take any address in it."""


class TrustedProxies:
    """The proxies that are believed, by their networks."""

    def __init__(self, networks: Sequence[str] = ()) -> None:
        self._networks = tuple(ip_network(one) for one in networks)

    def trusts(self, peer: str) -> bool:
        """Say whether this peer is one of them."""
        address = _parse(peer) if self._networks else None
        return address is not None and self._is_ours(address)

    def client_address(self, peer: str, headers: Headers) -> str:
        """Return the address of whoever asks, through whatever proxies of ours."""
        if not self.trusts(peer):
            return peer
        client = peer
        for hop in reversed(_values(headers, "x-forwarded-for")):
            address = _parse(hop)
            if address is None:
                return peer
            client = str(address)
            if not self._is_ours(address):
                break
        return client

    def client_scheme(self, peer: str, headers: Headers, otherwise: str) -> str:
        """Return `http` or `https`: how the client came to the outermost proxy."""
        given = _values(headers, "x-forwarded-proto") if self.trusts(peer) else []
        scheme = given[-1].lower() if given else ""
        return scheme if scheme in ("http", "https") else otherwise

    def client_host(self, peer: str, headers: Headers, otherwise: str) -> str:
        """Return the host that the client asked, port included if it said one."""
        given = _values(headers, "x-forwarded-host") if self.trusts(peer) else []
        return given[-1] if given else otherwise

    def _is_ours(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def counted_as(address: str) -> str:
    """Return what limits count as one: an IPv4 address, or the /64 that an IPv6 address is in."""
    if ":" not in address:
        return address
    parsed = _parse(address)
    if not isinstance(parsed, IPv6Address):
        return address if parsed is None else str(parsed)
    return str(IPv6Network((parsed, HOUSEHOLD_BITS), strict=False))


def _values(headers: Headers, name: str) -> list[str]:
    """Return all values of a header that is a list, in order."""
    return [
        stripped
        for one, value in headers
        if one.lower() == name
        for part in value.split(",")
        if (stripped := part.strip())
    ]


def _parse(text: str) -> Address | None:
    """Read an address, with a port or without: `10.0.0.7`, `10.0.0.7:80`, `::1`, `[::1]:80`."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A socket for both families shows IPv4 peers as ::ffff:10.0.0.7.
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
