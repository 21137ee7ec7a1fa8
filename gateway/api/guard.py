"""The guard before each operation: who asks, whether they may, and whether it was they who wanted it.

The rules of this file:
- An operation that needs something: whoever asks is known, by what they show or as anybody, and has the
  scope. 401 says that logging in would help, 403 that it would not.
- An operation that needs nothing takes whoever asks as they are: a token that is worth nothing is nobody's.
- A browser sends its cookie also when another site's page makes it ask. So what changes something has to come
  from a page that is allowed, by Origin, else Referer, else Sec-Fetch-Site, logged in or not: a page could
  log its visitor in as somebody else. Every browser says one of these; who says none of them is no browser.
- A token in a header was put there on purpose, and asks no such question.
- Every request counts: for the user or the key, else for the address, also if it is refused.
"""

from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from gateway.accounts.accounts import Accounts
from gateway.accounts.credentials import Credentials, read_credentials
from gateway.accounts.errors import NotLoggedIn, TooManyGuesses
from gateway.accounts.identity import Identity, Scope
from gateway.addresses import TrustedProxies, counted_as
from gateway.api.limits import RequestLimits, TooManyRequests
from gateway.api.operations import SAFE_METHODS, Limit, Operation
from gateway.api.origins import Origins
from gateway.api.refusals import NotAllowed, TooOften

NOBODY: Final = Identity(scopes=frozenset())


class Guard:
    """The gate of an application."""

    def __init__(
        self, accounts: Accounts, limits: RequestLimits, origins: Origins, proxies: TrustedProxies
    ) -> None:
        self._accounts = accounts
        self._limits = limits
        self._origins = origins
        self._proxies = proxies

    async def admit(self, operation: Operation, request: Request) -> Identity:
        """Return who asks, if they may. Raises AccountError, NotAllowed, TooOften."""
        credentials = read_credentials(request.headers.items(), self.address_of(request))
        identity = await self._identify(operation, credentials)
        await self._count(operation.limit, identity, credentials.address)
        self._check_page(operation, request, credentials)
        if operation.needs is not None and operation.needs not in identity.scopes:
            raise _missing(operation.needs, identity)
        return identity

    def address_of(self, request: Request) -> str:
        """Return the address of whoever asks."""
        return self._proxies.client_address(_peer(request), request.headers.items())

    def is_secure(self, request: Request) -> bool:
        """Say whether whoever asks came over TLS."""
        headers = request.headers.items()
        return self._proxies.client_scheme(_peer(request), headers, request.url.scheme) == "https"

    async def _identify(self, operation: Operation, credentials: Credentials) -> Identity:
        if operation.needs is None and credentials.text is None:
            return NOBODY
        try:
            return await self._accounts.identify(credentials)
        except (NotLoggedIn, TooManyGuesses):
            if operation.needs is None:
                return NOBODY
            await self._count(operation.limit, NOBODY, credentials.address)
            raise

    async def _count(self, limit: Limit | None, identity: Identity, address: str) -> None:
        if limit is None:
            return
        try:
            await self._limits.spend(limit, client_name(identity, address))
        except TooManyRequests as error:
            raise TooOften(error.error, str(error), error.retry_after_s) from None

    def _check_page(self, operation: Operation, request: Request, credentials: Credentials) -> None:
        """See that a change is wanted by a page that may. Raises NotAllowed."""
        if operation.method in SAFE_METHODS or (credentials.text and not credentials.is_cookie):
            return
        page = _page_of(request)
        if page is None and request.headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
            return
        host = request.headers.get("host", "")
        host = self._proxies.client_host(_peer(request), request.headers.items(), host)
        if not self._origins.allows(page, host):
            raise NotAllowed("origin_not_allowed", "pages of that origin may not do this")


def _page_of(request: Request) -> str | None:
    """Return the origin of the page that asks, as far as the browser says."""
    origins = request.headers.getlist("origin")
    if origins:
        return ", ".join(origins)
    referer = request.headers.get("referer")
    if referer is None:
        return None
    try:
        parts = urlsplit(referer)
    except ValueError:
        return referer  # of no page
    return f"{parts.scheme}://{parts.netloc}"


def _peer(request: Request) -> str:
    return request.client.host if request.client else ""


def client_name(identity: Identity, address: str) -> str:
    """Say whose requests count together."""
    if identity.key_id:
        return f"key {identity.key_id}"
    return counted_as(address) if identity.is_anonymous else f"user {identity.user_id}"


def _missing(scope: Scope, identity: Identity) -> Exception:
    if identity.is_anonymous:
        return NotLoggedIn()
    return NotAllowed("scope_missing", f"this key is not for that: it needs the scope {scope.value!r}")
